"""Forecasts that cost nothing: what a model has to beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.data.panel import Panel

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def naive(panel: Panel, series: ArrayLike, cutoffs: ArrayLike, horizon: int) -> FloatArray:
    """Repeat the last observed value.

    Parameters
    ----------
    panel : Panel
    series, cutoffs : int arrays (n,)
        Which series, and the row of its first forecast step: only rows before it are read.
    horizon : int
        H, in rows.

    Returns
    -------
    float64 array (n, H)

    Raises
    ------
    ValueError
        Cut-offs outside their series, a horizon below 1, or nothing observed before a cut-off.
    """
    return seasonal_naive(panel, series, cutoffs, horizon, 1)


def seasonal_naive(panel: Panel, series: ArrayLike, cutoffs: ArrayLike, horizon: int, season_length: int) -> FloatArray:
    """Repeat the last observed value of the same position in the season.

    Parameters
    ----------
    panel : Panel
    series, cutoffs : int arrays (n,)
        Which series, and the row of its first forecast step: only rows before it are read.
    horizon : int
        H, in rows.
    season_length : int
        m, in rows. Where a position was never observed, one season, two seasons, ... back to the first row,
        the last observed value of any position stands in.

    Returns
    -------
    float64 array (n, H)

    Raises
    ------
    ValueError
        As for `naive`, or a season length below 1.
    """
    if season_length < 1:
        raise ValueError(f"season_length must be at least 1, got {season_length}")
    which, cut = checked_cutoffs(panel, series, cutoffs, horizon)
    forecast = np.empty((len(which), horizon))
    back = np.arange(horizon) % season_length - season_length
    for i in np.unique(which):
        rows = which == i
        values, observed = panel.series(int(i))
        last = _latest_observed(observed, 1)[cut[rows] - 1]
        _check_history(last, cut[rows], panel, int(i))
        same = cut[rows][:, None] + back
        seasonal = np.where(same >= 0, _latest_observed(observed, season_length)[np.maximum(same, 0)], -1)
        forecast[rows] = values[np.where(seasonal >= 0, seasonal, last[:, None])]
    return forecast


def drift(panel: Panel, series: ArrayLike, cutoffs: ArrayLike, horizon: int) -> FloatArray:
    """Continue the straight line from the first to the last observed value.

    Arguments, result and errors as for `naive`, which it equals where only one value was observed
    (Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 5.2).
    """
    which, cut = checked_cutoffs(panel, series, cutoffs, horizon)
    forecast = np.empty((len(which), horizon))
    for i in np.unique(which):
        rows = which == i
        values, observed = panel.series(int(i))
        last = _latest_observed(observed, 1)[cut[rows] - 1]
        _check_history(last, cut[rows], panel, int(i))
        first = int(observed.argmax())
        slope = (values[last] - values[first]) / np.maximum(last - first, 1)
        steps = cut[rows][:, None] + np.arange(horizon) - last[:, None]
        forecast[rows] = values[last][:, None] + slope[:, None] * steps
    return forecast


def _latest_observed(observed: BoolArray, season_length: int) -> IntArray:
    """Return for each row the last observed one among itself and the rows whole seasons before it, or -1."""
    n = len(observed)
    seasons = -(-n // season_length)
    rows = np.full(seasons * season_length, -1, dtype=np.int64)
    rows[:n] = np.where(observed, np.arange(n), -1)
    latest = np.maximum.accumulate(rows.reshape(seasons, season_length), axis=0)
    return latest.reshape(-1)[:n]


def checked_cutoffs(
    panel: Panel, series: ArrayLike, cutoffs: ArrayLike, horizon: int, least: ArrayLike = 1, why: str = ""
) -> tuple[IntArray, IntArray]:
    """Return series and cut-offs as arrays (n,); ``least`` (n_series,) is each series' first one, and ``why`` says why.

    Raises
    ------
    ValueError
        If they are not flat and equally long, or lie outside their series.
    """
    if horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    which, cut = np.asarray(series, dtype=np.int64), np.asarray(cutoffs, dtype=np.int64)
    if which.ndim != 1 or which.shape != cut.shape:
        raise ValueError(f"series and cutoffs must be flat and equally long, got {which.shape} and {cut.shape}")
    if len(which) and not 0 <= which.min() <= which.max() < panel.n_series:
        raise ValueError(f"series numbers must lie between 0 and {panel.n_series - 1}")
    first = np.broadcast_to(np.asarray(least, dtype=np.int64), (panel.n_series,))
    wrong = np.flatnonzero((cut < first[which]) | (cut > panel.lengths[which]))
    if len(wrong):
        i, at = int(which[wrong[0]]), int(cut[wrong[0]])
        bounds = f"between {first[i]}{why} and its length {panel.lengths[i]}"
        raise ValueError(f"series {panel.ids[i]!r}: cut-off {at} must lie {bounds}")
    return which, cut


def _check_history(last: IntArray, cut: IntArray, panel: Panel, i: int) -> None:
    if (last < 0).any():
        row = int(cut[last < 0][0])
        raise ValueError(f"series {panel.ids[i]!r} has no observed value before row {row}; begin later")
