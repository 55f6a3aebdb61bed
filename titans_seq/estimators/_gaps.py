"""What missing rows right before a cut-off do to forecasts: measured by hiding rows of validation windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.forecasts import Forecasts
from titans_seq.adapters.lags import LaggedMap
from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.estimators._combination import mean_of
from titans_seq.estimators._settings import Settings

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_WINDOWS = 256


def gap_sizes(context_length: int) -> list[int]:
    """Rows that are hidden: powers of two up to three quarters of a window."""
    return [1] + [2**i for i in range(1, 32) if 2**i <= 3 * context_length // 4]


def with_better_filling(linear: LinearMap, data: ScaledPanel, series: IntArray, cutoff: IntArray) -> LinearMap:
    """Return the map that fills missing rows as suits forecasts after hidden rows best: by its own, or not at all.

    Parameters
    ----------
    linear : LinearMap
    data : ScaledPanel
    series, cutoff : int array (n,)
        Validation windows; of more than 256 some are taken.
    """
    some = _spread(len(series))
    if not len(some) or linear.is_last_value:
        return linear
    windows = data, series[some], cutoff[some]
    actual, observed = (x.numpy() for x in data.gather(series[some], cutoff[some], linear.horizon))
    if not observed.any():
        return linear
    ways = [replace(linear, fill_steps=steps) for steps in sorted({0, 1, linear.horizon})]

    def loss(one: LinearMap) -> float:
        errors = [mean_of(np.square(_hidden(one, *windows, n) - actual), observed, None) for n in sizes]
        return float(np.log(np.maximum(errors, np.finfo(np.float64).tiny)).sum())

    sizes = gap_sizes(linear.context_length)
    return min(ways, key=loss)


def gap_factors(
    settings: Settings, data: ScaledPanel, linear: LinearMap, lags: LaggedMap, forecasts: Forecasts,
    actual: FloatArray, observed: BoolArray,
) -> FloatArray:  # fmt: skip
    """Return how many times as large errors are after so many hidden rows as after none, (n_sizes, horizon).

    Root of the mean squared error of the linear forecasts, each at least 1 and no smaller than after fewer rows.
    """
    sizes = gap_sizes(settings.context_length)
    some = _spread(len(forecasts.series))
    if not len(some) or not observed[some].any():
        return np.ones((len(sizes), settings.horizon))
    series, cutoff, there = forecasts.series[some], forecasts.cutoff[some], observed[some]
    target = actual[some] - lags.forecast(data, series, cutoff)

    def size(hidden: int) -> FloatArray:
        squares = np.where(there, np.square(_hidden(linear, data, series, cutoff, hidden) - target), 0.0)
        return np.asarray(squares.sum(0) / np.maximum(there.sum(0), 1))

    before = size(0)
    found = [np.divide(size(n), before, out=np.ones_like(before), where=before > 0) for n in sizes]
    return np.maximum.accumulate(np.sqrt(np.maximum(found, 1.0)), axis=0)


def _spread(n: int) -> IntArray:
    """Return some of the numbers 0 .. n - 1, evenly spread."""
    return np.linspace(0, n - 1, min(_WINDOWS, n)).astype(np.int64)


def _hidden(linear: LinearMap, data: ScaledPanel, series: IntArray, cutoff: IntArray, hidden: int) -> FloatArray:
    """Forecasts of windows whose last rows are hidden; a window that has no others keeps them."""
    length = linear.context_length
    values, seen = (x.numpy() for x in data.gather(series, cutoff - length, length))
    left = seen.copy()
    left[:, length - hidden :] = False
    left = np.where(left.any(1, keepdims=True), left, seen)
    return linear.predict(values, left, data.group[series])
