"""Closed-form linear baselines, with the history that a model has: fitted once, or going on learning."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.adapters.linear import LinearMap, fit_linear
from titans_seq.adapters.online import OnlineLinear, online_forecasts
from titans_seq.adapters.scaled import ScaledPanel, fit_scaling
from titans_seq.data.panel import Panel
from titans_seq.evaluation.baselines import checked_cutoffs

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def ridge(
    panel: Panel,
    series: ArrayLike,
    cutoffs: ArrayLike,
    horizon: int,
    *,
    context_length: int,
    train_end: ArrayLike,
    fit_end: ArrayLike,
) -> FloatArray:
    """Forecast with a ridge from the last rows to the horizon, fitted once.

    Penalty, centring, and whether series share a map are chosen on the rows from ``train_end`` to ``fit_end``
    (`titans_seq.adapters.linear.fit_linear`).

    Parameters
    ----------
    panel : Panel
    series, cutoffs : int arrays (n,)
        Which series, and the row of its first forecast step: only rows before it are read.
    horizon : int
        H, in rows.
    context_length : int
        Rows of a series that a forecast looks back on.
    train_end, fit_end : int, or int arrays (n_series,)
        Rows of each series before ``train_end`` fit, and those from there to ``fit_end`` choose.

    Returns
    -------
    float64 array (n, H)

    Raises
    ------
    ValueError
        For cut-offs before ``fit_end`` or outside their series, or a cut-off with fewer rows before it than
        ``context_length``.
    """
    linear, data, which, cut = _fitted(panel, series, cutoffs, horizon, context_length, train_end, fit_end)
    values, observed = data.gather(which, cut - context_length, context_length)
    return data.to_original(linear.predict(values.numpy(), observed.numpy(), data.group[which]), which)


def online_ridge(
    panel: Panel,
    series: ArrayLike,
    cutoffs: ArrayLike,
    horizon: int,
    *,
    context_length: int,
    train_end: ArrayLike,
    fit_end: ArrayLike,
    refresh: int = 1,
) -> FloatArray:
    """Forecast with a ridge that goes on learning: it is the ridge of all windows known at each cut-off.

    The streaming baseline: what a model that carries its state has to beat, with the same history. Chosen as
    `ridge` is; arguments, result and errors as there.

    Parameters
    ----------
    refresh : int, default 1
        Steps of time between solutions; a map serves the cut-offs of as many steps.
    """
    if refresh < 1:
        raise ValueError(f"refresh must be at least 1, found {refresh}")
    linear, data, which, cut = _fitted(panel, series, cutoffs, horizon, context_length, train_end, fit_end)
    online = OnlineLinear.empty(linear)
    return data.to_original(online_forecasts(online, data, which, cut, refresh=refresh), which)


def _fitted(
    panel: Panel,
    series: ArrayLike,
    cutoffs: ArrayLike,
    horizon: int,
    context_length: int,
    train_end: ArrayLike,
    fit_end: ArrayLike,
) -> tuple[LinearMap, ScaledPanel, IntArray, IntArray]:
    train, last = (np.broadcast_to(np.asarray(x, dtype=np.int64), (panel.n_series,)) for x in (train_end, fit_end))
    if (train > last).any():
        i = int(np.argmax(train > last))
        raise ValueError(f"series {panel.ids[i]!r}: train_end {train[i]} lies after fit_end {last[i]}")
    least = np.maximum(last, context_length)
    which, cut = checked_cutoffs(panel, series, cutoffs, horizon, least, " (fit_end, context_length)")
    history = _first_rows(panel, last)
    center, scale = fit_scaling(history, train)
    linear = fit_linear(history, scale, center, train, context_length, horizon)
    group = np.zeros(panel.n_series, dtype=np.int64) if linear.shared else np.arange(panel.n_series)
    return linear, ScaledPanel(panel, center, scale, group), which, cut


def _first_rows(panel: Panel, ends: IntArray) -> Panel:
    """Return the panel with each series cut off at its row ``ends[i]``."""
    keep = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], panel.lengths) < np.repeat(ends, panel.lengths)
    offsets = np.concatenate([[0], np.cumsum(np.minimum(ends, panel.lengths))])
    return Panel(panel.values[keep], panel.observed[keep], offsets, panel.ids, panel.origins, panel.frequency)
