"""Keeping the books of one stream: sums, maxima and counts over equal bins, and totals, in fixed space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from titans_seq.evaluation._readings import DRIFT, QUANTITIES, Readings

FloatArray = NDArray[np.float64]

_SURPRISE, _THETA = QUANTITIES.index("surprise"), QUANTITIES.index("theta")
_EDGES = np.logspace(-6, 4, 2001)  # 1.2 % from one to the next


class Ledger:
    """Books of one stream.

    Parameters
    ----------
    first, n_tokens : int
        The tokens that are entered: ``first`` and the ``n_tokens - 1`` after it. Others are left out.
    max_points : int or None
        Most bins; None: one per token.
    n_layers, n_heads : int

    Attributes
    ----------
    thinned : bool
        Whether ``max_points`` was given.
    width : int
        Tokens per bin; the last one may hold fewer.
    total, count : array (bins, layers, heads, quantities)
        Sum over the entries of a bin that are not NaN, and how many they are.
    peak : array (bins, layers, heads, quantities)
        The largest of them, NaN if there is none.
    closed : int array (layers, heads)
        Tokens whose step is exactly 0.
    last_drift : array (layers, heads)
    histogram : int array (layers, heads, 2002)
        Of surprise.
    """

    def __init__(self, first: int, n_tokens: int, max_points: int | None, n_layers: int, n_heads: int) -> None:
        self.first, self.n_tokens, self.thinned = first, n_tokens, max_points is not None
        self.width = 1 if max_points is None else max(1, -(-n_tokens // max_points))
        shape = (-(-n_tokens // self.width), n_layers, n_heads, len(QUANTITIES))
        self.total, self.count = np.zeros(shape), np.zeros(shape, dtype=np.int32)
        self.peak = np.full(shape, np.nan, dtype=np.float32)
        self.closed = np.zeros(shape[1:3], dtype=np.int64)
        self.last_drift = np.full(shape[1:3], np.nan)
        self.histogram = np.zeros((*shape[1:3], len(_EDGES) + 1), dtype=np.int64)

    def enter(self, position: int, values: Readings) -> None:
        """Enter the readings of the tokens from ``position`` on."""
        skipped = max(0, self.first - position)
        values = values[skipped : max(0, self.first + self.n_tokens - position)]
        if not len(values):
            return
        self._enter_bins((position + skipped - self.first + np.arange(len(values))) // self.width, values)
        self.closed += (values[..., _THETA] == 0).sum(0)
        self._enter_surprise(values[..., _SURPRISE])
        drift = values[..., DRIFT]
        known = ~np.isnan(drift[:, 0, 0])
        if known.any():
            self.last_drift = drift[known][-1].astype(np.float64)

    def _enter_bins(self, bins: NDArray[np.int64], values: Readings) -> None:
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        at, known = bins[starts], ~np.isnan(values)
        self.total[at] += np.add.reduceat(np.where(known, values, 0.0), starts, axis=0)
        self.count[at] += np.add.reduceat(known, starts, axis=0, dtype=np.int32)
        self.peak[at] = np.fmax(self.peak[at], np.fmax.reduceat(values, starts, axis=0))

    def _enter_surprise(self, surprise: Readings) -> None:
        layers, heads, n = self.histogram.shape
        known = ~np.isnan(surprise)
        place = np.arange(layers * heads).reshape(layers, heads)
        slot = np.searchsorted(_EDGES, np.where(known, surprise, 0.0)) + n * place
        self.histogram += np.bincount(slot[known], minlength=self.histogram.size).reshape(self.histogram.shape)

    def means(self) -> FloatArray:
        """Mean of every bin, NaN where nothing was entered."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.nan)


def quantile(histogram: NDArray[np.int64], level: float) -> FloatArray:
    """Quantile of the surprise in histograms (…, 2002), to about 1 %; NaN of nothing."""
    share = histogram.cumsum(-1) / np.maximum(histogram.sum(-1, keepdims=True), 1)
    slot = (share < level).sum(-1).clip(0, len(_EDGES) - 1)
    middle = np.concatenate(([0.0], np.sqrt(_EDGES[:-1] * _EDGES[1:])))
    return np.where(histogram.sum(-1) > 0, middle[slot], np.nan)
