"""Scores of a backtest: the model, its parts and the baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from titans_seq.recipes._data import Series
from titans_seq.recipes._ruler import FloatArray, Ruler
from titans_seq.recipes.schema import Evaluate

if TYPE_CHECKING:
    from titans_seq.estimators import BacktestResult

ScoreTable = dict[str, float]
Intervals = dict[float, tuple[int, int]]


@dataclass(frozen=True)
class Scores:
    """Scores of one run.

    Attributes
    ----------
    model : dict
        Metric to value.
    baselines, parts : dict of dict
        The same for every baseline and for every part of the model; point metrics only.
    memory_change : float
        Largest change of a forecast, in the data's units, when the memory's output is set to zero.
    """

    model: ScoreTable
    baselines: dict[str, ScoreTable]
    parts: dict[str, ScoreTable]
    memory_change: float


def interval_positions(levels: Sequence[float], quantile_levels: Sequence[float]) -> Intervals:
    """Return, for each interval level in percent, where its two quantiles stand among the forecaster's.

    Raises
    ------
    ValueError
        The forecaster has no such quantiles.
    """
    fault = level_fault(levels, quantile_levels)
    if fault:
        raise ValueError(f"evaluate.level: {fault}")
    found = {}
    for level in levels:
        low, high = (int(np.argmin(np.abs(np.subtract(quantile_levels, q)))) for q in _ends(level))
        found[level] = (low, high)
    return found


def level_fault(levels: Sequence[float], quantile_levels: Sequence[float]) -> str | None:
    """Describe the first interval level whose quantiles are not among `quantile_levels`."""
    for level in levels:
        low, high = _ends(level)
        if not all(np.isclose(quantile_levels, q).any() for q in (low, high)):
            known = ", ".join(f"{q:g}" for q in quantile_levels)
            return f"{level:g} needs the quantiles {low:g} and {high:g}; model.quantile_levels are {known}"
    return None


def _ends(level: float) -> tuple[float, float]:
    return 0.5 - level / 200, 0.5 + level / 200


def baseline_forecasts(result: BacktestResult, names: Sequence[str], season_length: int) -> dict[str, FloatArray]:
    """Return the forecasts (n, horizon) of baselines at the backtest's cut-offs, in the data's units."""
    from titans_seq.evaluation import drift, naive, seasonal_naive

    where = (result.panel, result.series, result.cutoff, result.actual.shape[1])
    make: Mapping[str, Callable[[], FloatArray]] = {
        "seasonal_naive": lambda: seasonal_naive(*where, season_length),
        "naive": lambda: naive(*where),
        "drift": lambda: drift(*where),
        "ridge": lambda: result.components["ridge"],
    }
    return {name: make[name]() for name in names}


def score(
    result: BacktestResult,
    baselines: Mapping[str, FloatArray],
    intervals: Intervals,
    series: Series,
    evaluate: Evaluate,
) -> Scores:
    """Measure model, baselines and parts on the same windows and observed values."""
    ruler = Ruler.of(result, evaluate.metrics, evaluate.scale, series.split[0], series.season_length)
    model = ruler.point_scores(result.point) | ruler.quantile_scores(result.quantiles, result.quantile_levels)
    for level, (low, high) in intervals.items():
        model |= ruler.interval_scores(result.quantiles[..., low], result.quantiles[..., high], level)
    parts = result.components
    return Scores(
        model=model,
        baselines={name: ruler.point_scores(point) for name, point in baselines.items()},
        parts={name: ruler.point_scores(point) for name, point in parts.items()},
        memory_change=float(np.abs(parts["combined"] - parts["memory_zeroed"]).max()),
    )
