"""The report of a forecasting run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes._ruler import UNITS, FloatArray, train_scale
from titans_seq.recipes.html.about import data_source, run_facts, seeds_words, usage
from titans_seq.recipes.html.calibration import calibration
from titans_seq.recipes.html.forecasts import WindowErrors, errors_ahead, errors_by_series, shown_forecasts
from titans_seq.recipes.html.losses import training
from titans_seq.recipes.html.markup import (
    Html,
    count,
    duration,
    fold,
    heading,
    join,
    note,
    number,
    paragraph,
    percent,
    tiles,
)
from titans_seq.recipes.html.page import Head, Section, write_page
from titans_seq.recipes.html.scores import (
    Comparison,
    compare,
    meanings,
    metric_name,
    metric_value,
    score_table,
    seed_table,
)
from titans_seq.recipes.html.series_profile import profile, steps_ahead
from titans_seq.recipes.html.traces import MOST_SERIES, memories, surprises

if TYPE_CHECKING:
    from titans_seq.estimators import BacktestResult, TitansForecaster
    from titans_seq.recipes._data import Series
    from titans_seq.recipes.schema import Recipe

_PARTS = {
    "ridge": "the linear map alone",
    "network": "the network's correction alone, in full, on the last value",
    "combined": "the model: linear map and network, weighted on validation",
    "memory_zeroed": "the model with its memory's output set to zero",
}


@dataclass(frozen=True, eq=False)
class ForecastRun:
    """All that a report tells of a run.

    Attributes
    ----------
    name : str
        Of the data.
    recipe : Recipe
    recipe_text : str
        The resolved recipe as YAML.
    folder : Path
        Where the run will stand.
    series : Series
    forecaster : TitansForecaster
        Fitted.
    result : BacktestResult
        With components.
    intervals : mapping of level in percent to positions of its quantiles
    baselines : mapping of name to float array (n, horizon)
    metrics, environment : mapping
        The content of both files.
    """

    name: str
    recipe: Recipe
    recipe_text: str
    folder: Path
    series: Series
    forecaster: TitansForecaster
    result: BacktestResult
    intervals: Mapping[float, tuple[int, int]]
    baselines: Mapping[str, FloatArray]
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]

    @cached_property
    def errors(self) -> WindowErrors:
        """How far each forecast was off."""
        return WindowErrors.of(self.result, self.result.point, self.series.split[0])

    @cached_property
    def comparison(self) -> Comparison | None:
        """The first metric that baselines have, beside the best of them."""
        found = (compare(key, self.metrics["model"], self.metrics["baselines"]) for key in self.metrics["model"])
        return next((one for one in found if one is not None), None)

    @property
    def scale(self) -> FloatArray:
        """What distances are divided by to be in the recipe's unit, (n, 1)."""
        _, scale = train_scale(self.result.panel.slice_rows(0, self.series.split[0]))
        scale = np.ones_like(scale) if self.recipe.evaluate.scale == "none" else scale
        return scale[self.result.series][:, None]


def write_forecast_report(path: Path, run: ForecastRun) -> None:
    """Write the page."""
    write_page(path, lambda: _head(run), _sections(run))


def _sections(run: ForecastRun) -> list[Section]:
    return [
        Section("scores", "Scores", lambda: _scores(run)),
        Section("forecasts", "Forecasts", lambda: _forecasts(run)),
        Section("calibration", "Calibration of the intervals", lambda: calibration(run.result, run.intervals)),
        Section("data", "The data", lambda: profile(run.series, _source(run))),
        Section("training", "Training", lambda: _training(run)),
        Section("surprise", "Surprise", lambda: surprises(run.forecaster, run.series, _looked_at(run))),
        Section("memory", "What the memory did", lambda: memories(run.forecaster, run.series, _looked_at(run)[0])),
        Section("run", "What was run", lambda: _about(run)),
        Section("use", "Use this model", lambda: _use(run)),
    ]


def _source(run: ForecastRun) -> list[tuple[str, Any]]:
    return data_source(run.recipe.data.name, run.recipe.data.path)


def _head(run: ForecastRun) -> Head:
    metrics, horizon = run.metrics, run.recipe.task.horizon
    steps = steps_ahead(horizon, run.series.panel.frequency)
    title = f"{run.name}: {steps} ahead"
    of = "one series" if metrics["n_series"] == 1 else f"each of {metrics['n_series']:,} series"
    what = f"{count(metrics['n_windows'], 'test forecast')} of {of}, {steps} ahead."
    return Head("Forecasting report", title, join([what, " ", _outcome(run)]), _tiles(run))


def _outcome(run: ForecastRun) -> str:
    if run.comparison is None:
        return "No baseline was run beside the model."
    metric, own = run.comparison.metric, run.comparison.own
    name = metric_name(metric)
    name = name if name[1].isupper() else name[0].lower() + name[1:]
    worse = not (run.comparison.better or run.comparison.equal)
    verdict = " The baseline is the better forecast here." if worse else ""
    return f"The {name} is {metric_value(metric, own)}, {run.comparison.words}, the best of the baselines.{verdict}"


def _tiles(run: ForecastRun) -> Html:
    metrics, found = run.metrics, []
    for key, value in list(metrics["model"].items())[:2]:
        other = compare(key, metrics["model"], metrics["baselines"])
        found.append((metric_value(key, value), metric_name(key), "" if other is None else other.words))
    for level, (low, high) in sorted(run.intervals.items())[-1:]:
        result = run.result
        inside = (result.actual >= result.quantiles[..., low]) & (result.actual <= result.quantiles[..., high])
        share = percent(float(inside[result.observed].mean()))
        found.append((share, f"of truths in the {level:g}\N{NO-BREAK SPACE}% interval", f"{level:g} % were promised"))
    weight = percent(metrics["network_weight"], 0)
    found.append((weight, "weight of the network", "the rest is the linear map; chosen on validation"))
    found.append((duration(metrics["seconds"]["fit"]), "to fit", f"{metrics['n_parameters']:,} parameters"))
    return tiles(found)


def _scores(run: ForecastRun) -> Iterable[Html]:
    metrics = run.metrics
    keys, seeds = list(metrics["model"]), metrics.get("seeds")
    baselines = {f"Baseline {name.replace('_', ' ')}": scores for name, scores in metrics["baselines"].items()}
    of = "one series" if metrics["n_series"] == 1 else f"each of {metrics['n_series']:,} series"
    yield paragraph(
        f"Model and baselines forecast the same {count(metrics['n_windows'], 'test window')} of {of}; values that "
        f"are missing do not count. Unit of the errors: {UNITS[run.recipe.evaluate.scale]}."
    )
    yield score_table(keys, {"Model": metrics["model"], **baselines}, seeds)
    yield seeds_words(seeds)
    if seeds is not None:
        yield fold("The scores of every seed", seed_table(keys, seeds))
    yield fold("What the scores mean", meanings(keys))
    yield heading("What the model is made of")
    point = [key for key in keys if key in metrics["parts"]["combined"]]
    if point:
        yield score_table(point, {_part(name): scores for name, scores in _parts_in_order(metrics["parts"])}, None)
    change = number(metrics["memory_zeroed_max_abs_change"])
    yield paragraph(
        f"Setting the memory's output to zero changes forecasts by up to {change}, in the data's own units."
    )
    yield from errors_ahead(run.result, run.result.point, run.baselines, run.scale, UNITS[run.recipe.evaluate.scale])


def _parts_in_order(parts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(parts.items(), key=lambda part: part[0] != "combined")


def _part(name: str) -> str:
    words = _PARTS.get(name, name)
    return words[0].upper() + words[1:]


def _forecasts(run: ForecastRun) -> Iterable[Html]:
    yield from shown_forecasts(run.result, run.intervals, run.baselines, run.errors)
    best = run.comparison.baseline if run.comparison else None
    beside = None if best is None else (best, run.baselines[best])
    yield from errors_by_series(run.result, run.errors, beside, run.series.split[0])


def _training(run: ForecastRun) -> Iterable[Html]:
    yield from training([run.forecaster.history_], ["The network"])
    weight = run.metrics["network_weight"]
    if run.forecaster.history_:
        yield paragraph(
            f"Validation then gave the network {percent(weight, 0)} of its correction of the linear map."
            if weight
            else "Validation then gave the network no weight: the linear map alone forecasts as well."
        )


def _looked_at(run: ForecastRun) -> list[int]:
    """Return the series of which traces are drawn: the worst first, then the others in the order of their errors."""
    order = np.argsort(-np.nan_to_num(run.errors.series, nan=-1.0), kind="stable")
    return [int(i) for i in order[:MOST_SERIES]]


def _about(run: ForecastRun) -> Iterable[Html]:
    recipe, forecaster = run.recipe, run.forecaster
    mode = recipe.evaluate.mode
    carried = "the state carried from window to window" if mode == "streaming" else "a fresh state for every window"
    more = [
        ("Task", f"forecast {count(recipe.task.horizon, 'step')} ahead"),
        ("Protocol", f"{mode}: {carried}"),
        ("Model", f"TitansForecaster, variant {forecaster.variant}, {run.metrics['n_parameters']:,} parameters"),
        ("Look-back", f"{forecaster.context_length_} rows, read in patches of {forecaster.patch_length_}"),
    ]
    yield from run_facts(run.environment, run.metrics["seconds"], run.recipe_text, more)


def _use(run: ForecastRun) -> Iterable[Html]:
    levels = ", ".join(f"{level:g}" for level in sorted(run.intervals))
    code = (
        "from titans_seq import TitansForecaster\n\n"
        f"forecaster = TitansForecaster.load({str(run.folder / 'model')!r})\n"
        f"forecaster.predict(level=[{levels}])  # after the last row it has read\n"
        "forecaster.update(new_rows)  # reads more rows; no refit"
    )
    yield from usage(
        code,
        [
            f"titans-seq predict {run.folder} --data new_rows.csv  # reads the rows that came since, then forecasts",
            f"titans-seq analyze {run.folder}  # more on the memory, of every series",
        ],
    )
    yield note(
        "The saved model has read the training and validation rows, not the test rows: hand it those with update "
        "before you forecast beyond them."
    )
