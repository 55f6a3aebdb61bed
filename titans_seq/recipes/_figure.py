"""The picture of a run: the last forecast of each series."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from titans_seq.recipes._ruler import FloatArray
from titans_seq.recipes._score import Intervals

if TYPE_CHECKING:
    from titans_seq.estimators import BacktestResult
    from titans_seq.evaluation import ForecastPanel

_LEAST_HISTORY = 60


def draw_last_forecasts(
    path: Path,
    result: BacktestResult,
    intervals: Intervals,
    baselines: Mapping[str, FloatArray],
    title: str,
) -> None:
    """Draw the last forecast of each series with the rows before it, what then happened, and one baseline."""
    from titans_seq.evaluation import plot_forecast

    last = [np.flatnonzero(result.series == i)[-1] for i in np.unique(result.series)]
    plot_forecast(path, [forecast_panel(result, int(w), intervals, baselines) for w in last], title=title)


def forecast_panel(
    result: BacktestResult,
    window: int,
    intervals: Mapping[float, tuple[int, int]],
    baselines: Mapping[str, FloatArray],
    name: str | None = None,
) -> ForecastPanel:
    """Return a forecast of a backtest for a figure; its name is that of the series unless given."""
    from titans_seq.evaluation import ForecastPanel

    i, cutoff = int(result.series[window]), int(result.cutoff[window])
    horizon = result.actual.shape[1]
    values, observed = result.panel.series(i)
    before = slice(max(0, cutoff - max(_LEAST_HISTORY, 3 * horizon)), cutoff)
    times = result.panel.ds_of(i)
    naive = {"Seasonal naive": baselines["seasonal_naive"][window]} if "seasonal_naive" in baselines else {}
    quantiles = result.quantiles[window]
    return ForecastPanel(
        name=str(result.panel.ids[i]) if name is None else name,
        history_ds=times[before],
        history=np.where(observed, values, np.nan)[before],
        forecast_ds=times[cutoff : cutoff + horizon],
        point=result.point[window],
        actual=np.where(result.observed[window], result.actual[window], np.nan),
        intervals={level: (quantiles[:, low], quantiles[:, high]) for level, (low, high) in intervals.items()},
        others=naive,
    )
