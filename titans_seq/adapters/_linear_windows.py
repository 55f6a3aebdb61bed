"""Which windows the linear map is fitted and chosen on, and reading them block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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
    """Some windows in scaled units: filled inputs (n, L); targets (n, H), zero where not observed."""

    inputs: FloatArray
    inputs_observed: BoolArray
    targets: FloatArray
    targets_observed: BoolArray
    windows: Windows


@dataclass(frozen=True)
class WindowReader:
    """Reads windows of a panel in scaled units, ``(value - center) / scale`` of their series."""

    panel: Panel
    center: FloatArray
    scale: FloatArray
    context_length: int
    horizon: int

    def between(self, first: IntArray, last: IntArray, most: int, *, strict: bool = False) -> Windows:
        """Return the cut-offs first..last (inclusive) of each series, at most `most`, with enough observed.

        Where no window has `ENOUGH_OBSERVED`, any window with an observed input and target will do, unless `strict`.
        """
        first = np.maximum(first, self.context_length)
        last = np.minimum(last, self.panel.lengths - self.horizon)
        windows = _ranges(first, np.maximum(last - first + 1, 0), most)
        if self.panel.observed.all() or not len(windows):
            return windows
        share = np.minimum(
            self.observed_share(windows, -self.context_length, 0),
            self.observed_share(windows, 0, self.horizon),
        )
        enough = share >= ENOUGH_OBSERVED
        return windows.take(enough if strict or enough.any() else share > 0)

    def observed_share(self, windows: Windows, begin: int, end: int) -> FloatArray:
        """Return the share of rows cutoff+begin..cutoff+end that were observed, without reading windows."""
        counts = np.concatenate([[0], np.cumsum(self.panel.observed)])
        row = self.panel.offsets[windows.series] + windows.cutoff
        share: FloatArray = (counts[row + end] - counts[row + begin]) / (end - begin)
        return share

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
        seen = observed[:, cut:]
        targets = values[:, cut:] if seen.all() else np.where(seen, values[:, cut:], 0.0)
        inputs = fill_window(values[:, :cut], observed[:, :cut])
        return Block(inputs, observed[:, :cut], targets, seen, windows)


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
