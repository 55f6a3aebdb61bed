"""Run a recipe: fit, backtest, score, and write it all into one folder."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes._blame import of_the_data
from titans_seq.recipes._data import Series, read_series
from titans_seq.recipes._identity import identity_of, parts_of_series
from titans_seq.recipes._output import Run, work_folder, write_json, write_yaml
from titans_seq.recipes._ruler import UNITS, FloatArray
from titans_seq.recipes._score import Intervals, Scores, baseline_forecasts, interval_positions, score
from titans_seq.recipes._seeds import keeping_scores, spread_over_seeds
from titans_seq.recipes.dna.run import run_dna
from titans_seq.recipes.dna.schema import DNARecipe
from titans_seq.recipes.environment import describe_run
from titans_seq.recipes.html import REPORT
from titans_seq.recipes.html.forecast_report import ForecastRun, write_forecast_report
from titans_seq.recipes.load import AnyRecipe
from titans_seq.recipes.recall.run import run_recall
from titans_seq.recipes.recall.schema import RecallRecipe
from titans_seq.recipes.schema import Model, Recipe, Train
from titans_seq.training.launch import take_part

if TYPE_CHECKING:
    from titans_seq.estimators import BacktestResult, TitansForecaster
    from titans_seq.training.checkpoint import Checkpoint


def default_folder(recipe: AnyRecipe, name_or_path: str | Path) -> Path:
    """Return the folder a run of this recipe writes: its `output.dir`, else runs/<name>."""
    return Path(recipe.output.dir or Path("runs") / Path(name_or_path).stem)


def run_recipe(
    recipe: AnyRecipe,
    folder: Path,
    *,
    overwrite: bool = False,
    quiet: bool = False,
    command: str | None = None,
) -> Run:
    """Train, evaluate and write what a recipe describes.

    Parameters
    ----------
    recipe : Recipe, RecallRecipe, ClassifyRecipe or RegressRecipe
    folder : Path
        Appears complete when the run has ended, or not at all. Until then the run is in a hidden folder beside it,
        with a checkpoint from which the same call goes on if the process was killed; on a CPU it ends with the same
        bits as one that was not. It holds recipe.yaml (every key filled in), metrics.json, model/, environment.json and
        report.html; then predictions.parquet and forecast.png, of a recall recipe history.parquet and recall.png, or of
        one for DNA predictions.parquet and scores.png.
    overwrite : bool, default False
        Replace the folder of an earlier run.
    quiet : bool, default False
        No progress bar.
    command : str, optional
        Recorded in environment.json.

    Notes
    -----
    Of the processes of a recipe with `train.devices` or `train.num_nodes` the first one writes the folder, and the
    checkpoint of all, from which as many processes go on.

    Raises
    ------
    FileExistsError
        The folder exists and may not be replaced, or another process is writing it.
    ValueError, TypeError, FileNotFoundError
        A folder that cannot be made or written; data or settings that cannot be used.
    """
    take_part(getattr(recipe.train, "devices", None) or 1, getattr(recipe.train, "num_nodes", None) or 1)
    if isinstance(recipe, RecallRecipe):
        return run_recall(recipe, folder, overwrite=overwrite, quiet=quiet, command=command)
    if isinstance(recipe, DNARecipe):
        return run_dna(recipe, folder, overwrite=overwrite, quiet=quiet, command=command)
    return _run_forecast(recipe, folder, overwrite, quiet, command)


def _run_forecast(recipe: Recipe, folder: Path, overwrite: bool, quiet: bool, command: str | None) -> Run:
    started = time.perf_counter()
    with work_folder(folder, overwrite) as work:
        partial = work.path
        series = read_series(recipe.data, recipe.evaluate.season_length)
        check_test_rows(recipe, series)
        forecaster = _make_forecaster(recipe, series, quiet)
        intervals = interval_positions(recipe.evaluate.level, forecaster.quantile_levels)
        checkpoint = work.checkpoint(identity_of(recipe, parts_of_series(series)), quiet=quiet)
        _fit(forecaster, series, checkpoint)
        fit_seconds, fitted = checkpoint.elapsed(), time.perf_counter()
        stride = _stride(recipe, forecaster.patch_length_)
        n_windows = count_windows(recipe, series, stride)
        result = _backtest(forecaster, series, recipe, stride)
        _check_count(result.n_windows, n_windows * series.panel.n_series)
        baselines = baseline_forecasts(result, recipe.evaluate.baselines, series.season_length)
        scores = score(result, baselines, intervals, series, recipe.evaluate)
        seconds, began = {"fit": fit_seconds, "evaluate": time.perf_counter() - fitted}, time.perf_counter()
        again = keeping_scores(
            checkpoint, lambda seed, kept: _score_again(recipe, series, seed, intervals, quiet, kept)
        )
        spread = spread_over_seeds(recipe.evaluate.seeds, scores.model, again)
        if spread:
            seconds["other_seeds"] = time.perf_counter() - began
        metrics = {**_scores(scores, recipe), **spread, **_facts(forecaster, series, n_windows, seconds)}
        write_json(partial / "metrics.json", metrics)
        _write_forecasts(partial, result, intervals, baselines, f"{_name(recipe)}: last test forecasts")
        write_yaml(partial / "recipe.yaml", resolved(recipe, forecaster, series, folder))
        forecaster.save(partial / "model")
        environment = describe_run(command, forecaster.random_state, started - checkpoint.earlier)
        write_json(partial / "environment.json", environment)
        text = (partial / "recipe.yaml").read_text(encoding="utf-8")
        write_forecast_report(
            partial / REPORT,
            ForecastRun(
                _name(recipe),
                recipe,
                text,
                folder,
                series,
                forecaster,
                result,
                intervals,
                baselines,
                metrics,
                environment,
            ),
        )
    return Run(folder, metrics)


def _score_again(
    recipe: Recipe, series: Series, seed: int, intervals: Intervals, quiet: bool, checkpoint: Checkpoint
) -> dict[str, float]:
    """Return the scores of a forecaster with another seed."""
    forecaster = _make_forecaster(recipe, series, quiet).set_params(random_state=seed)
    _fit(forecaster, series, checkpoint)
    result = _backtest(forecaster, series, recipe, _stride(recipe, forecaster.patch_length_))
    return score(result, {}, intervals, series, recipe.evaluate).model


@of_the_data()
def check_test_rows(recipe: Recipe, series: Series) -> None:
    """Refuse test rows that cannot be scored, before any training.

    Raises
    ------
    ValueError
        Fewer rows than the horizon, or a series without any value in the rows that its forecasts reach.
    """
    test, horizon = series.split[2], recipe.task.horizon
    if test < horizon:
        raise ValueError(f"data.split: {test} test rows hold no forecast of task.horizon {horizon}")
    stride = _stride(recipe, recipe.model.patch_length or 1)
    starts = np.arange(count_windows(recipe, series, stride)) * stride
    reached = np.unique(series.first_test_row + starts[:, None] + np.arange(horizon))
    for i, name in enumerate(series.panel.ids):
        if not series.panel.series(i)[1][reached].any():
            raise ValueError(
                f"series {name!r}: all values in the test rows {reached[0]} to {reached[-1]} are missing; "
                "change data.split, or leave the series out with data.columns"
            )


def count_windows(recipe: Recipe, series: Series, stride: int) -> int:
    """Return the number of test windows of each series: (test rows - horizon) // stride + 1."""
    return (series.split[2] - recipe.task.horizon) // stride + 1


def _stride(recipe: Recipe, patch_length: int) -> int:
    return recipe.evaluate.stride or (patch_length if recipe.evaluate.mode == "streaming" else 1)


def resolved(recipe: Recipe, forecaster: TitansForecaster, series: Series, folder: Path) -> dict[str, Any]:
    """Return the recipe with every default filled in, ready for YAML."""
    filled = recipe.model_dump(by_alias=True, exclude_none=True)
    arguments = forecaster.get_params(deep=False)
    for section, model in (("model", Model), ("train", Train)):
        stated = {key: arguments[key] for key in model.model_fields if arguments[key] is not None}
        filled[section] = {k: list(v) if isinstance(v, tuple) else v for k, v in stated.items()}
    filled["model"] |= {
        "context_length": forecaster.context_length_,
        "patch_length": forecaster.patch_length_,
    }
    names = series.columns
    filled["data"] |= {"id": names.id_col, "time": names.time_col, "target": names.target_col}
    filled["data"] |= {"format": "wide" if series.wide else "long", "split": list(series.split)}
    filled["evaluate"]["season_length"] = series.season_length
    filled["evaluate"]["stride"] = _stride(recipe, forecaster.patch_length_)
    filled["output"] = {"dir": str(folder)}
    return filled


def _make_forecaster(recipe: Recipe, series: Series, quiet: bool) -> TitansForecaster:
    from titans_seq.estimators import TitansForecaster

    arguments = recipe.forecaster_arguments() | asdict(series.columns) | {"roles": recipe.data.roles}
    return TitansForecaster(**arguments, verbose=0 if quiet else 1)


def _fit(forecaster: TitansForecaster, series: Series, checkpoint: Checkpoint) -> None:
    train, end = series.split[0], series.first_test_row
    validation = series.frame(train, end) if end > train else None
    forecaster.fit(series.frame(0, train), validation=validation, _checkpoint=checkpoint)


def _backtest(forecaster: TitansForecaster, series: Series, recipe: Recipe, stride: int) -> BacktestResult:
    return forecaster.backtest(
        series.frame(0, sum(series.split)),
        first_cutoff=series.first_test_row,
        mode=recipe.evaluate.mode,
        stride=stride,
        components=True,
    )


def _check_count(found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"the backtest gave {found} forecasts where the protocol has {expected}")


def _scores(scores: Scores, recipe: Recipe) -> dict[str, Any]:
    return {
        "model": scores.model,
        "baselines": scores.baselines,
        "parts": scores.parts,
        "memory_zeroed_max_abs_change": scores.memory_change,
        "unit": UNITS[recipe.evaluate.scale],
    }


def _facts(forecaster: TitansForecaster, series: Series, n_windows: int, seconds: dict[str, float]) -> dict[str, Any]:
    return {
        "n_windows": n_windows,
        "n_series": series.panel.n_series,
        "n_parameters": forecaster.n_parameters_,
        "network_weight": float(forecaster.network_weight_),
        "epochs": max(len(forecaster.history_) - 1, 0),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def _write_forecasts(
    folder: Path,
    result: BacktestResult,
    intervals: Intervals,
    baselines: dict[str, FloatArray],
    title: str,
) -> None:
    from titans_seq.recipes._figure import draw_last_forecasts
    from titans_seq.recipes._predictions import prediction_table

    prediction_table(result, intervals, baselines).write_parquet(folder / "predictions.parquet")
    draw_last_forecasts(folder / "forecast.png", result, intervals, baselines, title)


def _name(recipe: Recipe) -> str:
    return recipe.data.name or Path(str(recipe.data.path)).name
