"""The lower bound of forecasts in the units of the data: the very value of a row, not what scaling makes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.forecasts import Forecasts, batches
from titans_seq.adapters.scaled import FloatArray, IntArray, ScaledPanel
from titans_seq.data import Panel

_CUTOFFS_AT_ONCE = 4096
_ROUNDING = float(np.finfo(np.float32).eps)
"""Scaled values no further above their bound are at it: forecasts are made in single precision."""


def lowest_before(panel: Panel, series: IntArray, cutoff: IntArray, rows: int, first: int = 0) -> FloatArray:
    """Return the lowest value observed in the ``rows`` rows before each cut-off, (n,); -inf where there is none.

    Rows before row ``first`` of a series do not count.
    """
    found = np.empty(len(series))
    for some in batches(np.arange(len(series)), _CUTOFFS_AT_ONCE):
        begin = cutoff[some] - rows
        values, seen = panel.gather(series[some], begin, rows)
        found[some] = _lowest(values, seen & (begin[:, None] + np.arange(rows) >= first))
    return found


def to_units(data: ScaledPanel, forecasts: Forecasts, values: NDArray[np.float64], lowest: FloatArray) -> FloatArray:
    """Undo the scaling of values (n, …) of forecasts that kept to their bound.

    Those at the bound become ``lowest`` (n,) to the bit, and none is below it; -inf: there is no such bound.
    """
    shape = (-1, *[1] * (values.ndim - 1))
    scaled, bound = forecasts.lowest.reshape(shape), lowest.reshape(shape)
    found = np.maximum(data.to_original(values, forecasts.series), bound)
    near = scaled + _ROUNDING * np.where(np.isfinite(scaled), 1 + np.abs(scaled), 0.0)
    at = (values <= near) & np.isfinite(bound)
    return np.where(at, bound, found)


@dataclass(frozen=True)
class LastRows:
    """The last rows of every series as they came, which a stream keeps only scaled.

    Attributes
    ----------
    values : float array (n_series, kept)
        The last row behind; NaN where nothing was observed.
    """

    values: FloatArray

    @classmethod
    def of(cls, panel: Panel, kept: int) -> LastRows:
        """Return the last rows of a panel."""
        return cls(np.full((panel.n_series, kept), np.nan)).read(panel)

    def read(self, panel: Panel) -> LastRows:
        """Return the last rows once new ones of every series (none for some) have come."""
        n, kept = self.values.shape
        values, seen = panel.gather(np.arange(n), panel.lengths - kept, kept)
        place = np.arange(kept) + panel.lengths[:, None]
        earlier = np.take_along_axis(self.values, np.minimum(place, kept - 1), 1)
        return LastRows(np.where(place < kept, earlier, np.where(seen, values, np.nan)))

    def select(self, series: IntArray) -> LastRows:
        """Return the rows of some series, in this order."""
        return LastRows(self.values[series])

    def lowest(self, rows: int) -> FloatArray:
        """Return the lowest value of the last ``rows`` rows, (n_series,); -inf where nothing was observed."""
        last = self.values[:, -rows:]
        return _lowest(last, ~np.isnan(last))


def _lowest(values: FloatArray, seen: NDArray[np.bool_]) -> FloatArray:
    """Lowest of each row of values that were seen; -inf where none was."""
    lowest = np.where(seen, values, np.inf).min(1)
    return np.where(lowest == np.inf, -np.inf, lowest)
