"""Training batches of series that are read as carried streams: pieces that follow each other, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from titans_seq.adapters.calendar import calendar_features
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.tokens import Patching
from titans_seq.training._stream_checks import refuse_workers
from titans_seq.training.sampling import Stretch, row_weights
from titans_seq.training.streams import Pieces, StreamLoader


@dataclass(frozen=True)
class SeriesPieces(Stretch):
    """Pieces of series; the last token of every row is the patch after its piece, cut short.

    Attributes
    ----------
    lengths : Tensor of int64, shape (batch,)
        Complete patches of each row. Tokens between them and the last one are padding.
    partial : Tensor of int64, shape (batch,)
        1 if there is a patch cut short, else 0.
    fresh : Tensor of bool, shape (batch,)
        Whether the row begins a series here.
    """

    lengths: Tensor
    partial: Tensor
    fresh: Tensor


class PieceSampler(IterableDataset[SeriesPieces]):
    """Reads each series as one stream, from near its first row to the last that has a whole horizon after it.

    Scaling and linear forecast look back at all rows of the series, as they do for a stream that was read from
    its first row on.

    Iterating reads one epoch, or the rest of one that was broken off. Where it stands is in `state_dict`, so that a
    `lightning.pytorch.Trainer` that is given the sampler itself for its batches, in no `DataLoader`, has it in its
    checkpoints. It is read in one process: within the workers of a `DataLoader` it raises a RuntimeError.

    Parameters
    ----------
    data : ScaledPanel
        A series of which no row counts is not read.
    train_end : int array (n_series,)
        Rows from there on are neither read nor used as targets.
    patching : Patching
    horizon : int
    tokens : int
        Patches per piece.
    batch_size, n_batches : int
    seed : int
    """

    def __init__(
        self,
        data: ScaledPanel,
        train_end: IntArray,
        patching: Patching,
        horizon: int,
        *,
        tokens: int,
        batch_size: int,
        n_batches: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.data, self.train_end, self.patching, self.horizon = data, train_end, patching, horizon
        self.tokens = tokens
        # A series with hardly more rows than the horizon gives one patch, with what targets there are.
        rows = np.maximum(train_end - horizon, np.minimum(patching.patch_length, train_end - 1))
        weight = data.mean_weight(train_end)
        self.series = np.flatnonzero((rows > 0) & (weight > 0))
        self.unit = np.full(len(rows), np.average(weight, weights=np.maximum(rows, 0) * (weight > 0)))
        self.loader = StreamLoader(
            rows[self.series],
            batch_size=batch_size,
            piece_length=tokens * patching.patch_length,
            seed=seed,
            n_pieces=n_batches,
            stagger=True,
        )
        self.random = np.random.default_rng(seed)

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[SeriesPieces]:
        """Read the rest of the epoch."""
        refuse_workers(type(self).__name__)
        for pieces in self.loader:
            yield self.read(pieces)

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers from which a sampler made with the same arguments goes on, batch for batch."""
        return {
            "loader": self.loader.state_dict(),
            "random": self.random.bit_generator.state,
            "patch_length": self.patching.patch_length,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises
        ------
        ValueError
            If the state is of a sampler made with other arguments, or damaged. Nothing is changed then.
        """
        for name in ("loader", "random", "patch_length"):
            if name not in state:
                raise ValueError(f"this is not the state of a PieceSampler: {name!r} is missing")
        if (found := state["patch_length"]) != (here := self.patching.patch_length):
            raise ValueError(f"patch_length was {found} in the saved state and is {here} here")
        random = np.random.default_rng()
        try:
            random.bit_generator.state = state["random"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"in the saved state the generator is damaged: {error!r}") from None
        self.loader.load_state_dict(state["loader"])
        self.random = random

    def read(self, pieces: Pieces) -> SeriesPieces:
        """Gather the rows of pieces."""
        series, start = self.series[pieces.stream], pieces.start
        p, length = self.patching.patch_length, self.patching.context_length
        rows = length + (self.tokens + 1) * p + self.horizon
        values, observed = self.data.gather(series, start - length, rows)
        counts = pieces.lengths // p
        starts = length + p * np.column_stack([np.tile(np.arange(self.tokens), (len(series), 1)), counts])
        cutoffs = starts + p
        partial = self._partial(pieces, p * counts)
        cutoffs[:, -1] = starts[:, -1] + partial
        panel = self.data.panel
        calendar = calendar_features(
            panel.frequency, self.patching.periods, panel.origins[series], start[:, None] + cutoffs - length
        )
        return SeriesPieces(
            values,
            observed,
            self.data.gather_covariates(series, start - length, rows),
            torch.from_numpy(starts),
            torch.from_numpy(cutoffs),
            torch.from_numpy(calendar),
            self.data.groups(series),
            torch.from_numpy(self.train_end[series] - start + length),
            row_weights(self.data, series, start - length, rows, self.unit[series]),
            torch.from_numpy(counts),
            torch.from_numpy((partial > 0).astype(np.int64)),
            torch.from_numpy(pieces.fresh),
        )

    def _partial(self, pieces: Pieces, complete: IntArray) -> IntArray:
        """Rows seen of the patch after the complete ones: any number, as far as the series goes."""
        left = self.loader.lengths[pieces.stream] - pieces.start - complete
        drawn = self.random.integers(0, self.patching.patch_length, len(left))
        return np.minimum(drawn, left)
