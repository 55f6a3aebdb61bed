"""Every test forecast as one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

    from titans_seq.estimators import BacktestResult

POINT = "TitansForecaster"


def prediction_table(
    result: BacktestResult,
    intervals: Mapping[float, tuple[int, int]],
    baselines: Mapping[str, NDArray[np.float64]],
) -> pl.DataFrame:
    """Return forecasts beside the truth, one row per series, cut-off and step, in the data's units.

    Parameters
    ----------
    result : BacktestResult
    intervals : mapping
        Interval level in percent to the positions of its quantiles in `result.quantiles`.
    baselines : mapping
        Name to forecasts (n, horizon).

    Returns
    -------
    polars.DataFrame
        unique_id; cutoff (time of the last row read); ds; y (null where missing); TitansForecaster;
        TitansForecaster-lo-80, TitansForecaster-hi-80, …; one column per baseline. Values are float32.
    """
    import polars as pl

    columns: dict[str, Any] = dict(_labels(result))
    columns["y"] = pl.Series(_flat(result.actual)).set(pl.Series(~result.observed.ravel()), None)
    columns[POINT] = _flat(result.point)
    for level, (low, high) in intervals.items():
        columns[f"{POINT}-lo-{level:g}"] = _flat(result.quantiles[..., low])
        columns[f"{POINT}-hi-{level:g}"] = _flat(result.quantiles[..., high])
    columns |= {name: _flat(point) for name, point in baselines.items()}
    return pl.DataFrame(columns)


def _labels(result: BacktestResult) -> dict[str, Any]:
    panel, horizon = result.panel, result.actual.shape[1]
    origin, first = panel.origins[result.series], np.asarray(result.cutoff)
    steps = first[:, None] + np.arange(horizon)
    times = panel.frequency.advance(np.repeat(origin, horizon), steps.ravel())
    last_read = panel.frequency.advance(origin, first - 1)
    return {
        "unique_id": np.repeat(np.asarray(panel.ids)[result.series], horizon),
        "cutoff": np.repeat(last_read, horizon),
        "ds": times,
    }


def _flat(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32).ravel()
