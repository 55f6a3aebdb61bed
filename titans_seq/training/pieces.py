"""Training batches of series that are read as carried streams: pieces that follow each other, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from titans_seq.adapters.calendar import calendar_features
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.tokens import Patching
from titans_seq.training.sampling import Stretch
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

    Parameters
    ----------
    data : ScaledPanel
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
        self.series = np.flatnonzero(rows > 0)
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
        """Read one epoch."""
        for pieces in self.loader:
            yield self.read(pieces)

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
            torch.from_numpy(starts),
            torch.from_numpy(cutoffs),
            torch.from_numpy(calendar),
            self.data.groups(series),
            torch.from_numpy(self.train_end[series] - start + length),
            torch.from_numpy(counts),
            torch.from_numpy((partial > 0).astype(np.int64)),
            torch.from_numpy(pieces.fresh),
        )

    def _partial(self, pieces: Pieces, complete: IntArray) -> IntArray:
        """Rows seen of the patch after the complete ones: any number, as far as the series goes."""
        left = self.loader.lengths[pieces.stream] - pieces.start - complete
        drawn = self.random.integers(0, self.patching.patch_length, len(left))
        return np.minimum(drawn, left)
