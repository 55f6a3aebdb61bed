"""Forecasts of a pass over series by a linear map that goes on learning on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from titans_seq.adapters.forecasts import Float32Array, Forecasts, batches
from titans_seq.adapters.online import OnlineLinear, with_mean_map
from titans_seq.adapters.scaled import IntArray, ScaledPanel

_WINDOWS_AT_ONCE = 4096


def with_map_of_the_moment(
    forecasts: Forecasts,
    online: OnlineLinear,
    data: ScaledPanel,
    *,
    position: IntArray,
    learned: IntArray,
    patch_length: int,
) -> Forecasts:
    """Return the forecasts with the linear part that they have if the map learns while the series are read.

    It is solved again whenever a series completes a patch, as it is when the rows are read one by one: a forecast
    depends on no later row, nor on where reading began.

    Parameters
    ----------
    forecasts : Forecasts
        Cut-offs in rows of the data.
    online : OnlineLinear
        With the windows that count from the start; it is left as it is.
    data : ScaledPanel
        With the context of the windows that are to be learned.
    position : int array (n_series,)
        Rows of each stream before the first of the data.
    learned : int array (n_series,)
        Row of the data before which the last targets of windows lie that count already.
    patch_length : int
    """
    panel, online = data.panel, online.copy()
    ahead = panel.frequency.steps_at_most(panel.origins.min(), panel.origins)
    time = forecasts.cutoff + ahead[forecasts.series]
    linear: Float32Array = np.empty(forecasts.linear.shape, dtype=np.float32)
    order, waiting = np.argsort(time, kind="stable"), 0
    with threadpool_limits(limits=1, user_api="blas"):  # once: finding the libraries takes longer than a solution
        for begin in np.unique(time[order], return_index=True)[1]:
            read = np.clip(time[order[begin]] - ahead, 0, panel.lengths)
            whole = np.maximum(learned, (position + read) // patch_length * patch_length - position)
            if (whole > learned).any():
                _forecast(linear, forecasts, online, data, order[waiting:begin])
                waiting = begin
                _learn(online, data, learned, whole)
                learned = whole
        _forecast(linear, forecasts, online, data, order[waiting:])
    return replace(forecasts, linear=linear)


def _learn(online: OnlineLinear, data: ScaledPanel, learned: IntArray, known: IntArray) -> None:
    before = online.n_windows
    online.add(data, learned, known)
    if online.n_windows > before:
        online.solve()


def _forecast(
    linear: Float32Array, forecasts: Forecasts, online: OnlineLinear, data: ScaledPanel, rows: IntArray
) -> None:
    """Fill in the named rows of ``linear`` with what the map says now."""
    now, length = with_mean_map(online.linear), online.linear.context_length
    for some in batches(rows, _WINDOWS_AT_ONCE):
        series, cutoff = forecasts.series[some], forecasts.cutoff[some]
        values, observed = data.gather(series, cutoff - length, length)
        found = now.predict(values.numpy(), observed.numpy(), data.group[series])
        linear[some] = found[:, : linear.shape[1]]
