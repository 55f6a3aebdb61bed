"""Training on carried streams: each step goes on from the state that the step before left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from titans_seq.adapters.tokens import Tokens
from titans_seq.nn import BackboneState
from titans_seq.nn._state_file import packed_state, unpacked_state
from titans_seq.training.module import SeriesTraining
from titans_seq.training.pieces import SeriesPieces
from titans_seq.training.sampling import Stretch
from titans_seq.training.streams import carry, restart

CARRIED = "carried_state"
"""Key of the carried state in a checkpoint."""


class ContiguousTraining(SeriesTraining):
    """`SeriesTraining` on the batches of a `PieceSampler`, in their order; parameters as there.

    The state of the network is carried from step to step and detached: gradients reach back to the beginning of a
    piece, what was read reaches back to the beginning of the series.

    The carried state is part of a checkpoint. A training that goes on from one in the middle of an epoch is, without
    dropout and on the same machine, the one that was not broken off, bit for bit, if the sampler stands where it stood:
    Lightning sees to that where it is given the sampler itself; else its ``state_dict`` has to be kept with the
    checkpoint. With dropout the state of torch's random generator has to be kept, too, which Lightning does not do.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.carried: BackboneState | None = None
        self._loaded: Mapping[str, Any] | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the carried state into a checkpoint."""
        checkpoint[CARRIED] = self._loaded if self.carried is None else packed_state(self.carried)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the carried state of a checkpoint; from none if it has none."""
        # Put together when it is read from: only then the weights are loaded, and on their device.
        self.carried, self._loaded = None, checkpoint.get(CARRIED)

    def read(self, batch: Stretch) -> tuple[Tokens, Tensor, Tensor]:
        """Read pieces from the carried state, and the patches cut short from a copy of it that is not kept."""
        assert isinstance(batch, SeriesPieces)
        tokens = self._tokens(batch)
        n = batch.starts.shape[1] - 1
        complete, cut_short = tokens.split(n)
        hidden, state = self.model.read(complete, self._state(batch.fresh), lengths=batch.lengths)
        if bool(batch.partial.any()):
            after, _ = self.model.read(cut_short, state, lengths=batch.partial)
        else:
            after = hidden.new_zeros(len(hidden), 1, hidden.shape[2])
        self.carried = carry(state)
        place = torch.arange(n, device=hidden.device)
        counted = torch.cat([place < batch.lengths[:, None], batch.partial[:, None].bool()], 1)
        return tokens, torch.cat([hidden, after], 1), counted & tokens.mask

    def _state(self, fresh: Tensor) -> BackboneState:
        """State before the pieces."""
        backbone = self.model.backbone
        if self._loaded is not None:
            self.carried, self._loaded = unpacked_state(self._loaded, backbone.init_state(1)), None
        if self.carried is None or bool(fresh.all()):
            return backbone.init_state(len(fresh))
        return restart(self.carried, fresh, backbone.init_state(1)) if bool(fresh.any()) else self.carried
