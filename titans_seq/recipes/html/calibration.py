"""Whether intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from titans_seq.recipes.html.markup import Html, note, number, paragraph, percent, table
from titans_seq.recipes.html.pictures import picture, titled

if TYPE_CHECKING:
    from titans_seq.estimators import BacktestResult

_FEW = 30


def calibration(result: BacktestResult, intervals: Mapping[float, tuple[int, int]]) -> Iterable[Html]:
    """Yield the coverage of quantiles and intervals of a backtest."""
    from titans_seq.evaluation.forecast_checks import draw_quantile_coverage, quantile_coverage

    levels = np.asarray(result.quantile_levels)
    shares = quantile_coverage(result.actual, result.observed, result.quantiles)
    yield paragraph(_words(levels, shares))
    drawn = picture(lambda: draw_quantile_coverage(levels, shares), "calibration", "Coverage of the quantiles")
    yield titled(
        drawn,
        "Each point is a quantile: the share of truths at or below it, against the share that was promised. On the "
        "dashed line the forecast distribution is right; above it, forecasts are too high at that level; below it, "
        "too low.",
        small=True,
    )
    yield table(["Interval", "Promised", "Observed", "Mean width"], _interval_rows(result, intervals))
    apart = _windows_apart(result)
    if apart < _FEW:
        yield note(
            f"The test windows overlap: only {apart:,} of them do not share a row with another, so these shares are "
            "rough estimates."
        )


def _words(levels: NDArray[np.float64], shares: NDArray[np.float64]) -> str:
    gaps = shares - levels
    worst = int(np.argmax(np.abs(gaps)))
    side = "more" if gaps[worst] > 0 else "fewer"
    said = f"{percent(float(shares[worst]))} of the truths are at or below the {levels[worst]:g} quantile"
    if abs(gaps[worst]) <= 0.03:
        return f"Quantiles hold what they promise, to within {percent(float(np.abs(gaps[worst])))} at every level."
    return f"The largest departure: {said}, {percent(float(np.abs(gaps[worst])))} {side} than it promises."


def _interval_rows(result: BacktestResult, intervals: Mapping[float, tuple[int, int]]) -> Iterable[list[str]]:
    seen = result.observed
    for level, (low, high) in sorted(intervals.items()):
        lower, upper = result.quantiles[..., low], result.quantiles[..., high]
        inside = ((result.actual >= lower) & (result.actual <= upper))[seen]
        width = number(float((upper - lower)[seen].mean()))
        yield [f"{level:g} % interval", percent(level / 100, 0), percent(float(inside.mean())), width]


def _windows_apart(result: BacktestResult) -> int:
    """Return how many forecasts there are, at most, of which no two forecast the same row."""
    horizon, total = result.actual.shape[1], 0
    for i in np.unique(result.series):
        last = -horizon
        for cutoff in np.sort(result.cutoff[result.series == i]):
            if cutoff >= last + horizon:
                total, last = total + 1, int(cutoff)
    return total
