"""Training on carried streams: each step goes on from the state that the step before left."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from titans_seq.adapters.tokens import Tokens
from titans_seq.nn import BackboneState
from titans_seq.training.module import SeriesTraining
from titans_seq.training.pieces import SeriesPieces
from titans_seq.training.sampling import Stretch
from titans_seq.training.streams import carry, restart


class ContiguousTraining(SeriesTraining):
    """`SeriesTraining` on the batches of a `PieceSampler`, in their order; parameters as there.

    The state of the network is carried from step to step and detached: gradients reach back to the beginning of a
    piece, what was read reaches back to the beginning of the series.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.carried: BackboneState | None = None

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
        if self.carried is None or bool(fresh.all()):
            return backbone.init_state(len(fresh))
        return restart(self.carried, fresh, backbone.init_state(1)) if bool(fresh.any()) else self.carried
