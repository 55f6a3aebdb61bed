"""A whole run: what its folder holds, and that the numbers are what they say."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from titans_seq import TitansForecaster
from titans_seq.nn.variants import VARIANTS
from titans_seq.recipes import Run, default_folder, format_report, load_recipe, run_recipe
from titans_seq.recipes.schema import Model, Train

HORIZON, ROWS, SPLIT = 5, 240, [160, 40, 40]
TEXT = f"""
schema: 1
task: {{horizon: {HORIZON}}}
data: {{path: made.csv, split: {SPLIT}}}
model:
  {{context_length: 24, patch_length: 4, carry_state: false, d_model: 8, n_layers: 1, window_size: 4}}
train: {{max_epochs: 1, learning_rate: 1e-2, random_state: 3}}
evaluate:
  metrics: [mse, mae, rmse, smape, mase, weighted_quantile_loss, msis, coverage]
  baselines: [seasonal_naive, naive, drift, ridge]
  scale: train_zscore
  season_length: 12
  level: [60, 80]
"""
FILES = {
    "recipe.yaml",
    "metrics.json",
    "predictions.parquet",
    "forecast.png",
    "model",
    "environment.json",
    "report.html",
}


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    t = np.arange(ROWS)
    wave = np.sin(2 * np.pi * t / 12)
    columns = {"a": 100 + 10 * wave + rng.normal(size=ROWS), "b": 0.01 * (wave**3 + rng.normal(size=ROWS))}
    columns["a"][[30, 215]] = np.nan
    table = pl.DataFrame({"ds": t, **columns}).with_columns(pl.col("a").fill_nan(None))
    table.write_csv(folder / "made.csv")


def run_text(text: str, data: Path, out: Path, *overrides: str) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(data)
        Path("made.yaml").write_text(text)
        recipe = load_recipe("made.yaml", overrides)
        return run_recipe(recipe, out, overwrite=True, quiet=True, command="the command")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def run(made: Path) -> Run:
    return run_text(TEXT, made, made / "out")


@pytest.fixture(scope="module")
def metrics(run: Run) -> dict[str, Any]:
    return json.loads((run.folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def predictions(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.folder / "predictions.parquet")


def test_recipe_keys_are_the_forecasters_arguments() -> None:
    arguments = set(inspect.signature(TitansForecaster).parameters)
    elsewhere = {"horizon", "on_gap", "id_col", "time_col", "target_col", "verbose"}
    elsewhere |= {"roles"}  # recipes read no covariates yet
    keys = list(Model.model_fields) + list(Train.model_fields)
    assert len(keys) == len(set(keys))
    assert set(keys) == arguments - elsewhere


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_can_be_named(variant: str) -> None:
    assert Model.model_validate({"variant": variant}).variant == variant


def test_the_folder_is_complete_and_nothing_else_is_left(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == FILES
    assert {path.name for path in run.folder.parent.iterdir()} == {"made.csv", "made.yaml", "out"}


def test_the_picture_is_a_png(run: Run) -> None:
    assert (run.folder / "forecast.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_metrics_have_the_promised_sections(run: Run, metrics: dict[str, Any]) -> None:
    assert metrics == run.metrics
    assert set(metrics["baselines"]) == {"seasonal_naive", "naive", "drift", "ridge"}
    assert set(metrics["parts"]) == {"ridge", "network", "combined", "memory_zeroed"}
    intervals = {"weighted_quantile_loss", "coverage_60", "coverage_80", "msis_60", "msis_80"}
    assert set(metrics["model"]) == {"mse", "mae", "rmse", "smape", "mase"} | intervals
    assert all(0 <= metrics["model"][name] <= 1 for name in ("coverage_60", "coverage_80"))


def test_every_test_window_counts(metrics: dict[str, Any], predictions: pl.DataFrame) -> None:
    assert metrics["n_windows"] == SPLIT[2] - HORIZON + 1
    assert len(predictions) == 2 * metrics["n_windows"] * HORIZON
    cutoffs = predictions.filter(unique_id="a")["cutoff"].unique().sort()
    assert cutoffs.to_list() == list(range(sum(SPLIT[:2]) - 1, ROWS - HORIZON))


def test_the_network_was_trained(metrics: dict[str, Any]) -> None:
    assert metrics["epochs"] == 1
    assert metrics["n_parameters"] > 500


def test_model_and_ridge_are_parts_of_the_model(metrics: dict[str, Any]) -> None:
    assert metrics["parts"]["combined"].items() <= metrics["model"].items()
    assert metrics["parts"]["ridge"] == metrics["baselines"]["ridge"]


@pytest.mark.parametrize(
    ("column", "section"),
    [("TitansForecaster", "model"), ("seasonal_naive", "baselines"), ("ridge", "baselines")],
)
def test_scores_can_be_had_again_from_the_predictions(
    made: Path, metrics: dict[str, Any], predictions: pl.DataFrame, column: str, section: str
) -> None:
    data = pl.read_csv(made / "made.csv")[: SPLIT[0]]
    scale = {name: data[name].std(ddof=0) for name in ("a", "b")}
    divided = predictions.with_columns(error=(pl.col(column) - pl.col("y")) / pl.col("unique_id").replace_strict(scale))
    errors = divided["error"].drop_nulls()
    assert len(errors) == len(predictions) - HORIZON  # one value is missing, in five windows
    found = metrics[section] if section == "model" else metrics[section][column]
    assert found["mse"] == pytest.approx((errors**2).mean(), rel=1e-4)
    assert found["mae"] == pytest.approx(errors.abs().mean(), rel=1e-4)


def test_the_seasonal_naive_repeats_the_last_season(made: Path, predictions: pl.DataFrame) -> None:
    y = pl.read_csv(made / "made.csv")["b"].to_numpy()
    rows = predictions.filter(unique_id="b")
    np.testing.assert_allclose(rows["seasonal_naive"], y[rows["ds"].to_numpy() - 12], rtol=1e-5)


def test_intervals_of_higher_level_are_wider(predictions: pl.DataFrame) -> None:
    def width(level: int) -> pl.Series:
        return predictions[f"TitansForecaster-hi-{level}"] - predictions[f"TitansForecaster-lo-{level}"]

    assert (width(60) >= 0).all()
    assert (width(80) >= width(60)).all()


def test_the_saved_model_reads_data_in_their_own_units(made: Path, run: Run, predictions: pl.DataFrame) -> None:
    data = pl.read_csv(made / "made.csv")
    forecast = TitansForecaster.load(run.folder / "model").predict(data[: ROWS - HORIZON])
    last = predictions.filter(pl.col("cutoff") == ROWS - HORIZON - 1)
    for name in ("a", "b"):
        np.testing.assert_allclose(forecast[name], last.filter(unique_id=name)["TitansForecaster"], rtol=1e-4)


def test_the_resolved_recipe_gives_the_same_numbers(
    made: Path, run: Run, metrics: dict[str, Any], tmp_path: Path
) -> None:
    text = (run.folder / "recipe.yaml").read_text()
    filled = yaml.safe_load(text)
    assert filled["model"]["memory_depth"] == inspect.signature(TitansForecaster).parameters["memory_depth"].default
    again = run_text(text, made, tmp_path / "again").metrics
    assert again | {"seconds": None} == metrics | {"seconds": None}


def test_the_environment_names_command_seed_and_costs(run: Run) -> None:
    facts = json.loads((run.folder / "environment.json").read_text())
    assert facts["command"] == "the command"
    assert facts["random_state"] == 3
    assert facts["seconds"] > 0
    assert facts["peak_memory_mb"] is None or facts["peak_memory_mb"] > 50


def test_the_report_shows_every_score(run: Run) -> None:
    report = format_report(run)
    for word in (
        "model",
        "baseline ridge",
        "part memory_zeroed",
        "mase",
        f"{run.metrics['model']['mse']:.4g}",
    ):
        assert word in report


def test_streaming_counts_windows_by_stride(made: Path, tmp_path: Path) -> None:
    streaming = ("evaluate.mode=streaming", "evaluate.stride=8", "evaluate.scale=none", "train.max_epochs=0")
    found = run_text(TEXT, made, tmp_path / "out", *streaming).metrics
    assert found["n_windows"] == (SPLIT[2] - HORIZON) // 8 + 1
    assert found["unit"] == "the data's own"


def test_the_stride_of_a_stream_is_the_patch_length_unless_given(made: Path, tmp_path: Path) -> None:
    overrides = ("evaluate.mode=streaming", "train.max_epochs=0", "model.patch_length=")
    run = run_text(TEXT, made, tmp_path / "out", *overrides)
    filled = yaml.safe_load((run.folder / "recipe.yaml").read_text())
    patch_length = filled["model"]["patch_length"]
    assert patch_length > 1
    assert filled["evaluate"]["stride"] == patch_length
    assert run.metrics["n_windows"] == (SPLIT[2] - HORIZON) // patch_length + 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "evaluate.level=[33]",
            "evaluate.level: 33 needs the quantiles 0.335 and 0.665; model.quantile_levels are 0.1",
        ),
        ("data.split=[200, 36, 4]", "data.split: 4 test rows hold no forecast of task.horizon 5"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_before_training(
    made: Path, override: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TitansForecaster, "fit", lambda *a, **k: pytest.fail("training began"))
    with pytest.raises(ValueError, match=message):
        run_text(TEXT, made, tmp_path / "out", override)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("stride", "first_with_value", "message"),
    [(1, ROWS, "series 'b': all values in the test rows 200 to 239 are missing"), (30, 205, "test rows 200 to 234")],
)
def test_test_rows_without_any_value_are_refused_before_training(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stride: int,
    first_with_value: int,
    message: str,
) -> None:
    row = pl.int_range(pl.len())
    reached = (row >= 200) & ((row < first_with_value) | (row >= 230))
    table = pl.read_csv(made / "made.csv").with_columns(pl.when(~reached).then("b").alias("b"))
    table.write_csv(tmp_path / "made.csv")
    monkeypatch.setattr(TitansForecaster, "fit", lambda *a, **k: pytest.fail("training began"))
    with pytest.raises(ValueError, match=message):
        run_text(TEXT, tmp_path, tmp_path / "out", f"evaluate.stride={stride}")


def test_a_run_that_fails_late_leaves_the_earlier_one(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: TitansForecaster, path: Path) -> None:
        raise OSError("disk full")

    out = tmp_path / "out"
    run_text(TEXT, made, out, "train.max_epochs=0")
    before = (out / "metrics.json").read_bytes()
    monkeypatch.setattr(TitansForecaster, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        run_text(TEXT, made, out, "train.max_epochs=0", "task.horizon=4")
    assert (out / "metrics.json").read_bytes() == before
    assert list(tmp_path.iterdir()) == [out]


def test_the_default_folder_is_named_after_the_recipe(made: Path, run: Run) -> None:
    recipe = load_recipe(made / "made.yaml", [f"data.path={made / 'made.csv'}"])
    assert default_folder(recipe, "some/where.yaml") == Path("runs/where")
    assert default_folder(load_recipe("quickstart"), "quickstart") == Path("runs/quickstart")
