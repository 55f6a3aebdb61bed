"""Which windows the linear map is fitted and chosen on, and reading them block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters._linear_fill import BoolArray, FloatArray, IntArray, fill_window
from titans_seq.data.panel import Panel

BLOCK_ENTRIES = 1 << 21
"""Entries of a block of windows: 16 MiB as float64, whatever the length of the series."""

ENOUGH_OBSERVED = 0.5
"""A window takes part when at least this share of its inputs and of its targets was observed."""


@dataclass(frozen=True)
class Windows:
    """Cut-offs: the inputs of window i are the rows before ``cutoff[i]`` of series ``series[i]``.

    Sorted by series; both of shape (n,).
    """

    series: IntArray
    cutoff: IntArray

    def __len__(self) -> int:
        return len(self.series)

    def take(self, index: IntArray | BoolArray | slice) -> Windows:
        """Return the windows at `index`."""
        return Windows(self.series[index], self.cutoff[index])

    def thin(self, most: int) -> Windows:
        """Return at most `most` of the windows, spread evenly over all of them."""
        return self.take(_spread(len(self), most))

    def of_series(self, i: int) -> Windows:
        """Return the windows of one series."""
        low, high = np.searchsorted(self.series, [i, i + 1])
        return self.take(slice(int(low), int(high)))


@dataclass(frozen=True)
class Block:
    """Some windows in scaled units: filled inputs (n, L); targets (n, H), zero where none is used.

    Attributes
    ----------
    targets_observed : bool array (n, H)
        False where a target is missing or counts nothing.
    weight : float array (n,), or None where all count alike
        Of each window: the largest of its targets' weights.
    share : float array (n, H), or None where every target used has the weight of its window
        Weight of each target over that of its window.
    """

    inputs: FloatArray
    inputs_observed: BoolArray
    targets: FloatArray
    targets_observed: BoolArray
    windows: Windows
    weight: FloatArray | None = None
    share: FloatArray | None = None

    @property
    def target_weights(self) -> FloatArray:
        """Weight of each target, (n, H); 0 where none is used."""
        share = self.targets_observed.astype(np.float64) if self.share is None else self.share
        return share if self.weight is None else share * self.weight[:, None]


@dataclass(frozen=True)
class WindowReader:
    """Reads windows of a panel in scaled units, ``(value - center) / scale`` of their series.

    Attributes
    ----------
    weight : float array (total,), optional
        What each row counts as a target; a row of weight 0 is an input and never a target. Default: all alike.
    """

    panel: Panel
    center: FloatArray
    scale: FloatArray
    context_length: int
    horizon: int
    weight: FloatArray | None = None

    @cached_property
    def usable(self) -> BoolArray:
        """Rows that may be targets, (total,)."""
        return self.panel.observed if self.weight is None else self.panel.observed & (self.weight > 0)

    def between(self, first: IntArray, last: IntArray, most: int, *, strict: bool = False) -> Windows:
        """Return the cut-offs first..last (inclusive) of each series, at most `most`, with enough observed.

        Where no window has `ENOUGH_OBSERVED`, any window with an observed input and target will do, unless `strict`.
        """
        first = np.maximum(first, self.context_length)
        last = np.minimum(last, self.panel.lengths - self.horizon)
        windows = _ranges(first, np.maximum(last - first + 1, 0), most)
        if self.usable.all() or not len(windows):
            return windows
        share = np.minimum(self.observed_share(windows, -self.context_length, 0), self._target_share(windows))
        enough = share >= ENOUGH_OBSERVED
        return windows.take(enough if strict or enough.any() else share > 0)

    def observed_share(self, windows: Windows, begin: int, end: int) -> FloatArray:
        """Return the share of rows cutoff+begin..cutoff+end that were observed, without reading windows."""
        return self._sums(self.panel.observed, windows, begin, end) / (end - begin)

    def count_targets(self, windows: Windows) -> IntArray:
        """Return how many targets of each window are used, (n,)."""
        return self._sums(self.usable, windows, 0, self.horizon)

    def target_weight(self, windows: Windows) -> float:
        """Return the sum of the weights of the windows' targets; without weights their number."""
        if self.weight is None:
            return float(self.count_targets(windows).sum())
        return float(self._sums(np.where(self.usable, self.weight, 0.0), windows, 0, self.horizon).sum())

    def complete(self, windows: Windows) -> BoolArray:
        """Return which windows have every target used, and all of one weight, (n,)."""
        if self.usable.all() and self.weight is None:
            return np.ones(len(windows), dtype=bool)
        whole = self.count_targets(windows) == self.horizon
        if self.weight is not None:
            changes = np.diff(self.weight, prepend=self.weight[:1]) != 0
            whole &= self._sums(changes, windows, 1, self.horizon) == 0
        return whole

    def _target_share(self, windows: Windows) -> FloatArray:
        """Share of the targets that were observed, of those that would count."""
        if self.weight is None:
            return self.observed_share(windows, 0, self.horizon)
        wanted = self._sums(self.weight > 0, windows, 0, self.horizon)
        return self.count_targets(windows) / np.maximum(wanted, 1)

    def _sums(self, rows: NDArray[Any], windows: Windows, begin: int, end: int) -> NDArray[Any]:
        """Sums of an array (total,) over rows cutoff+begin..cutoff+end, without reading windows."""
        sums = np.concatenate([np.zeros(1, dtype=rows.dtype if rows.dtype.kind == "f" else np.int64), np.cumsum(rows)])
        row = self.panel.offsets[windows.series] + windows.cutoff
        return sums[row + end] - sums[row + begin]

    def blocks(self, windows: Windows) -> Iterator[Block]:
        """Yield the windows in blocks of at most `BLOCK_ENTRIES` entries."""
        length = self.context_length + self.horizon
        size = max(1, BLOCK_ENTRIES // length)
        for begin in range(0, len(windows), size):
            part = windows.take(slice(begin, begin + size))
            values, observed = self.panel.gather(part.series, part.cutoff - self.context_length, length)
            values -= self.center[part.series, None]
            values /= self.scale[part.series, None]
            yield self._block(values, observed, part)

    def _block(self, values: FloatArray, observed: BoolArray, windows: Windows) -> Block:
        cut = self.context_length
        seen, weight, share = observed[:, cut:], None, None
        if self.weight is not None:
            rows = (self.panel.offsets[windows.series] + windows.cutoff)[:, None] + np.arange(self.horizon)
            each = np.where(seen, self.weight[rows], 0.0)
            seen, weight = each > 0, each.max(axis=1)
            share = each / np.where(weight > 0, weight, 1.0)[:, None]
        targets = values[:, cut:] if seen.all() else np.where(seen, values[:, cut:], 0.0)
        inputs = fill_window(values[:, :cut], observed[:, :cut])
        return Block(inputs, observed[:, :cut], targets, seen, windows, weight, share)


def windows_to_judge(reader: WindowReader, train_end: IntArray, most: int) -> tuple[Windows, Windows]:
    """Return windows that fit and windows that choose: without validation rows the last fifth of the training rows."""
    lengths = reader.panel.lengths
    if not ((lengths > train_end) & (lengths >= reader.horizon)).any():
        lengths, train_end = train_end, np.maximum(train_end - np.maximum(train_end // 5, reader.horizon), 0)
    train = reader.between(np.zeros_like(train_end), train_end - reader.horizon, most)
    return train, reader.between(train_end, lengths, most)


def _ranges(first: IntArray, counts: IntArray, most: int) -> Windows:
    """Return `counts[i]` consecutive cut-offs from `first[i]`, thinned before they are written out."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    index = _spread(total, most)
    series = np.searchsorted(ends, index, side="right")
    return Windows(series, first[series] + index - (ends - counts)[series])


def _spread(total: int, most: int) -> IntArray:
    """Return at most `most` of the numbers 0 .. total - 1, evenly spread, the first and last among them."""
    if total <= most:
        return np.arange(total)
    return np.linspace(0, total - 1, most).round().astype(np.int64)
