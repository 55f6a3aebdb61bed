"""The best, the median and the worst forecasts; errors by steps ahead and over series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes._figure import forecast_panel
from titans_seq.recipes._ruler import FloatArray, train_scale
from titans_seq.recipes.html.markup import Html, count, heading, listed, number, paragraph, table, tag
from titans_seq.recipes.html.pictures import picture, titled

if TYPE_CHECKING:
    from titans_seq.estimators import BacktestResult

    Intervals = Mapping[float, tuple[int, int]]

_FEW_SERIES = 3
_RANKED_FROM = 8
PLACES = ("Best", "Median", "Worst")


@dataclass(frozen=True, eq=False)
class WindowErrors:
    """Mean absolute errors of a backtest, in standard deviations of each series' training rows.

    Attributes
    ----------
    windows : float array (n,)
        NaN where nothing was observed.
    series : float array (n_series,)
        Mean over the windows of each; NaN where it has none.
    scale : float array (n_series,)
    """

    windows: FloatArray
    series: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, result: BacktestResult, point: FloatArray, train_rows: int) -> WindowErrors:
        """Measure forecasts (n, horizon) made at the backtest's cut-offs."""
        _, scale = train_scale(result.panel.slice_rows(0, train_rows))
        errors = np.where(result.observed, np.abs(point - result.actual), 0.0).sum(1)
        seen = result.observed.sum(1)
        windows = np.where(seen > 0, errors / np.maximum(seen, 1), np.nan) / scale[result.series]
        known = ~np.isnan(windows)
        n = np.bincount(result.series[known], minlength=len(scale))
        total = np.bincount(result.series[known], windows[known], minlength=len(scale))
        return cls(windows, np.where(n > 0, total / np.maximum(n, 1), np.nan), scale)


@dataclass(frozen=True)
class Chosen:
    """A window that is shown: what it stands for, its place in the backtest, and its error."""

    stands_for: str
    window: int
    error: float


def choose(result: BacktestResult, errors: WindowErrors) -> list[Chosen]:
    """Choose the windows that are shown, each once.

    Of three series or more: the best, the median and the worst series, each with the window whose error is its median.
    Of fewer: the best, the median and the worst window of all.
    """
    if result.panel.n_series >= _FEW_SERIES:
        places = _three(errors.series)
        wanted = [(_middle(np.where(result.series == i, errors.windows, np.nan)), errors.series[i]) for i in places]
        word = "series"
    else:
        wanted = [(w, errors.windows[w]) for w in _three(errors.windows)]
        word = "window"
    found: dict[int, Chosen] = {}
    for place, (window, error) in zip(PLACES, wanted, strict=True):
        found.setdefault(window, Chosen(f"{place} {word}", window, float(error)))
    return list(found.values())


def _three(errors: FloatArray) -> list[int]:
    order = np.argsort(errors, kind="stable")[: int((~np.isnan(errors)).sum())]
    return [int(order[0]), int(order[(len(order) - 1) // 2]), int(order[-1])]


def _middle(errors: FloatArray) -> int:
    return _three(errors)[1]


def shown_forecasts(
    result: BacktestResult, intervals: Intervals, baselines: Mapping[str, FloatArray], errors: WindowErrors
) -> Iterable[Html]:
    """Yield the forecasts that are chosen, with what then happened."""
    from titans_seq.evaluation.plots import draw_forecast

    chosen = choose(result, errors)
    panels = [forecast_panel(result, one.window, intervals, baselines, _title(result, one)) for one in chosen]
    of_series = result.panel.n_series >= _FEW_SERIES
    yield paragraph(
        "The best, the median and the worst of the series by their mean absolute error, each with a typical forecast "
        "of its own (the one of median error)."
        if of_series
        else "The best, the median and the worst of all test forecasts by their mean absolute error."
    )
    drawn = picture(lambda: draw_forecast(panels, None), "forecasts", "Best, median and worst forecast")
    levels = listed([f"{level:g}" for level in sorted(intervals)])
    yield titled(
        drawn,
        f"Rows before the dotted line were read, rows after it were not. The band is the interval that should hold the "
        f"truth {levels} % of the time. σ is the standard deviation of the series' training rows.",
    )


def _title(result: BacktestResult, one: Chosen) -> str:
    name = str(result.panel.ids[int(result.series[one.window])])
    name = name if len(name) <= 60 else f"{name[:59]}…"
    return f"{one.stands_for}: {name} (mean absolute error {number(one.error)} σ)"


def errors_ahead(
    result: BacktestResult, point: FloatArray, baselines: Mapping[str, FloatArray], scale: FloatArray, unit: str
) -> Iterable[Html]:
    """Yield how errors grow with the steps ahead; nothing for a horizon of one."""
    from titans_seq.evaluation.forecast_checks import draw_errors_ahead

    if result.actual.shape[1] < 2:
        return
    yield heading("Error by steps ahead")
    made = {"Model": point, **{name.replace("_", " "): said for name, said in baselines.items()}}
    errors = {name: _by_step(result, said, scale) for name, said in made.items()}
    drawn = picture(lambda: draw_errors_ahead(errors, "Mean absolute error"), "ahead", "Error by steps ahead")
    yield titled(drawn, f"Mean absolute error of each step of the forecast, over all test windows. Unit: {unit}.")


def _by_step(result: BacktestResult, point: FloatArray, scale: FloatArray) -> FloatArray:
    distance = np.abs(point - result.actual) / scale
    seen = result.observed.sum(0)
    total = np.where(result.observed, distance, 0.0).sum(0)
    return np.where(seen > 0, total / np.maximum(seen, 1), np.nan)


def errors_by_series(
    result: BacktestResult, errors: WindowErrors, baseline: tuple[str, FloatArray] | None, train_rows: int
) -> Iterable[Html]:
    """Yield how errors differ between series; nothing where there is one."""
    n = int((~np.isnan(errors.series)).sum())
    if n < 2:
        return
    other = None if baseline is None else WindowErrors.of(result, baseline[1], train_rows).series
    name = "" if baseline is None else baseline[0].replace("_", " ")
    yield heading("Error by series")
    if other is not None:
        yield paragraph(_won(errors.series, other, name))
    if n >= _RANKED_FROM:
        yield _ranked(errors.series, other, name)
    yield _series_table(result, errors.series, other, name)


def _won(errors: FloatArray, other: FloatArray, name: str) -> str:
    known = ~np.isnan(errors)
    own, others = errors[known], other[known]
    same = np.isclose(own, others, rtol=1e-4, atol=0)
    won, lost = int(((own < others) & ~same).sum()), int(((own > others) & ~same).sum())
    n = count(int(known.sum()), "series", "series")
    return f"Of {n} the model is better than {name} on {won:,}, worse on {lost:,}, and the same on {int(same.sum()):,}."


def _ranked(errors: FloatArray, other: FloatArray | None, name: str) -> Html:
    from titans_seq.evaluation.forecast_checks import draw_ranked_errors

    known = ~np.isnan(errors)
    beside = None if other is None else other[known]
    drawn = picture(
        lambda: draw_ranked_errors(errors[known], beside, name, "Mean absolute error, σ"), "ranked", "Errors"
    )
    return titled(drawn, "Mean absolute error of every series, in standard deviations of its training rows.")


def _series_table(result: BacktestResult, errors: FloatArray, other: FloatArray | None, name: str) -> Html:
    order = np.argsort(errors, kind="stable")[: int((~np.isnan(errors)).sum())]
    shown = order if len(order) <= 12 else np.concatenate((order[:4], order[len(order) // 2 - 2 :][:4], order[-4:]))
    names: list[Any] = ["Series", "Rank", "Mean absolute error, σ", *([] if other is None else [f"{name}, σ"])]
    rank = {int(i): at for at, i in enumerate(order, start=1)}
    rows = [
        [
            tag("span", result.panel.ids[i], class_="name"),
            f"{rank[int(i)]:,}",
            number(errors[i]),
            *([] if other is None else [number(other[i])]),
        ]
        for i in shown
    ]
    return table(names, rows)
