"""The report of a forecasting run tells what the run found, whatever the series are like."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import yaml
from report_pages import Page, check_page, read_report

from titans_seq import TitansForecaster
from titans_seq.data import Panel, read_panel
from titans_seq.estimators import BacktestResult
from titans_seq.recipes import Run, load_recipe, run_recipe
from titans_seq.recipes.html.calibration import _windows_apart
from titans_seq.recipes.html.forecasts import WindowErrors, choose
from titans_seq.recipes.html.markup import number
from titans_seq.recipes.html.scores import compare, metric_value, with_spread
from titans_seq.recipes.html.series_profile import SeriesFacts

SECTIONS = ["scores", "forecasts", "calibration", "data", "training", "surprise", "memory", "run", "use"]
HOSTILE, MATHS = "<script>alert('x')</script>", "$\\frac$ & co"
TEXT = """
schema: 1
task: {horizon: 4}
data: {path: made.csv, split: [140, 30, 40]}
model: {context_length: 24, patch_length: 4, d_model: 8, n_layers: 1, n_heads: 1, window_size: 4}
train: {max_epochs: 1, random_state: 3}
evaluate: {metrics: [mse, mae, coverage], baselines: [seasonal_naive, ridge], season_length: 12, level: [60, 80]}
"""


def waves(n_series: int, rows: int = 210, seed: int = 0) -> dict[str, Any]:
    random, t = np.random.default_rng(seed), np.arange(rows)
    return {f"s{i}": np.sin(2 * np.pi * t / 12 + i) + 0.2 * random.normal(size=rows) for i in range(n_series)}


def run_on(columns: dict[str, Any], folder: Path, *overrides: str) -> Run:
    table = pl.DataFrame({"ds": np.arange(len(next(iter(columns.values())))), **columns})
    table.with_columns(pl.col(name).fill_nan(None) for name in columns).write_csv(folder / "made.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("made.yaml").write_text(TEXT)
        return run_recipe(
            load_recipe("made.yaml", overrides), folder / "out", overwrite=True, quiet=True, command="<it>"
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    a, b = waves(2).values()
    a[[3, 4, 5, 180]] = np.nan
    b[170:] += 5
    seeds = ("evaluate.seeds=[3, 5, 8]",)
    return run_on({HOSTILE: a, MATHS: b}, tmp_path_factory.mktemp("made"), *seeds)


@pytest.fixture(scope="module")
def page(run: Run) -> Page:
    return read_report(run.folder)


def test_the_page_is_whole_and_has_every_section(page: Page) -> None:
    check_page(page)
    assert list(page.sections) == SECTIONS
    assert page.tags.count("svg") == 7


def test_every_score_of_the_metrics_is_in_it(run: Run, page: Page) -> None:
    scores = page.sections["scores"]
    for table in (run.metrics["baselines"].values(), run.metrics["parts"].values()):
        for found in table:
            assert all(metric_value(key, value) in scores for key, value in found.items())
    for key, spread in run.metrics["seeds"]["model"].items():
        assert with_spread(key, spread["mean"], spread["std"]) in scores
        assert all(metric_value(key, value) in scores for value in spread["values"])
    assert "n = 3" in scores and "3, 5, 8" in scores


def test_seeds_are_runs_of_their_own_and_the_first_is_saved(run: Run, tmp_path: Path) -> None:
    seeds = run.metrics["seeds"]
    assert seeds["random_states"] == [3, 5, 8]
    values = seeds["model"]["mse"]["values"]
    assert values[0] == run.metrics["model"]["mse"]
    assert len(set(values)) == 3
    assert seeds["model"]["mse"]["mean"] == pytest.approx(np.mean(values))
    assert seeds["model"]["mse"]["std"] == pytest.approx(np.std(values, ddof=1))
    assert TitansForecaster.load(run.folder / "model").random_state == 3
    filled = yaml.safe_load((run.folder / "recipe.yaml").read_text())
    assert (filled["evaluate"]["seeds"], filled["train"]["random_state"]) == ([3, 5, 8], 3)
    data = pl.read_csv(run.folder.parent / "made.csv").to_dict(as_series=False)
    names = {name: np.array(data[name], dtype=float) for name in data if name != "ds"}
    alone = run_on(names, tmp_path, "train.random_state=5")
    assert alone.metrics["model"]["mse"] == values[1]


def test_names_of_series_are_text(page: Page) -> None:
    for key in ("forecasts", "data", "surprise"):
        assert HOSTILE in page.sections[key] or MATHS in page.sections[key]
    assert HOSTILE in page.sections["data"] and MATHS in page.sections["data"]
    assert "<it>" in page.sections["run"]


def test_the_data_are_profiled(page: Page) -> None:
    data = page.sections["data"]
    assert "Series 2" in data and "Rows 420 in all, 210 per series" in data
    assert "Missing values 4 (1.0\xa0%)" in data and "Longest gap 3 rows" in data
    assert "1 of 2 series moves by more than half a standard deviation" in data


def test_coverage_is_that_of_the_predictions(run: Run, page: Page) -> None:
    found = pl.read_parquet(run.folder / "predictions.parquet").drop_nulls("y")
    for level in (60, 80):
        low, high = found[f"TitansForecaster-lo-{level}"], found[f"TitansForecaster-hi-{level}"]
        share = float(((found["y"] >= low) & (found["y"] <= high)).mean())
        assert share == pytest.approx(run.metrics["model"][f"coverage_{level}"], abs=1e-3)
        row = re.search(rf"{level} % interval {level}\s% ([\d.]+)\s%", page.sections["calibration"])
        assert row is not None and float(row[1]) == pytest.approx(100 * share, abs=0.11)


def test_recipe_versions_and_seed_are_told(run: Run, page: Page) -> None:
    about = page.sections["run"]
    for word in ("torch", "Python", "Random seed 3", "context_length: 24", "parameters"):
        assert word in about
    assert str(run.folder / "model") in page.sections["use"]


def test_the_report_has_no_trace_of_chance(run: Run, tmp_path: Path) -> None:
    data = pl.read_csv(run.folder.parent / "made.csv").to_dict(as_series=False)
    names = {name: np.array(data[name], dtype=float) for name in data if name != "ds"}
    one, two = (read_report(run_on(names, tmp_path, "train.random_state=3").folder) for _ in range(2))
    steady = [key for key in SECTIONS if key not in ("run", "training")]  # those tell seconds
    assert {key: one.sections[key] for key in steady} == {key: two.sections[key] for key in steady}


EDGES = {
    "horizon one": (waves(1), ["task.horizon=1"]),
    "no epochs": (waves(3), ["train.max_epochs=0"]),
    "no memory": (waves(1), ["model.variant=swa"]),
    "windowed, alone": (waves(1), ["model.carry_state=false", "evaluate.baselines=[]", "evaluate.metrics=[coverage]"]),
    "streaming, z-scores": (waves(2), ["evaluate.mode=streaming", "evaluate.scale=train_zscore"]),
    "constant": (waves(1) | {"flat": np.full(210, 7.0)}, ["train.max_epochs=0"]),
    "constant alone": ({"flat": np.full(210, 7.0)}, ["train.max_epochs=0"]),
    "no validation": (waves(1), ["data.split=[170, 0, 40]"]),
}


@pytest.mark.parametrize("case", EDGES)
def test_every_kind_of_series_gets_a_whole_page(case: str, tmp_path: Path) -> None:
    columns, overrides = EDGES[case]
    page = read_report(run_on(columns, tmp_path, *overrides).folder)
    check_page(page)
    assert list(page.sections) == SECTIONS
    assert "nan" not in " ".join(page.sections.values()).lower().replace("nanosecond", "")


@pytest.mark.slow
def test_five_hundred_series_stay_readable(tmp_path: Path) -> None:
    columns = waves(500, rows=90)
    columns["s7"][40:70] = np.nan
    overrides = ("train.max_epochs=0", "data.split=[60, 12, 18]", "model.context_length=12")
    run = run_on(columns, tmp_path, *overrides)
    page = read_report(run.folder)
    check_page(page)
    assert "500 series" in page.head
    assert "12 of 500 series that drift most" in page.sections["data"]
    assert (run.folder / "report.html").stat().st_size < 1_500_000


def made_result(errors: list[list[float]]) -> tuple[BacktestResult, Panel]:
    """Forecasts of zeros, one step ahead, whose errors are those given for each series and window."""
    n_series, n_windows = len(errors), len(errors[0])
    rows = 10 + n_windows
    table = {f"s{i}": np.r_[np.tile([1.0, -1.0], 5), found] for i, found in enumerate(errors)}
    panel, _ = read_panel(pd.DataFrame({"ds": np.arange(rows), **table}))
    series = np.repeat(np.arange(n_series), n_windows)
    actual = np.array(errors).reshape(-1, 1)
    zeros = np.zeros_like(actual)
    cutoff = np.tile(np.arange(10, rows), n_series)
    return BacktestResult(panel, series, cutoff, actual, actual < 90, zeros, zeros[..., None], (0.5,)), panel


def test_best_median_and_worst_series_are_shown_with_a_typical_window() -> None:
    result, _ = made_result([[3, 9, 6], [1, 2, 3], [20, 40, 30], [4, 4, 90], [7, 7, 7]])
    errors = WindowErrors.of(result, result.point, 10)
    np.testing.assert_allclose(errors.series, [6, 2, 30, 4, 7])
    shown = choose(result, errors)
    assert [(one.stands_for, one.window, one.error) for one in shown] == [
        ("Best series", 4, 2.0), ("Median series", 2, 6.0), ("Worst series", 8, 30.0)
    ]  # fmt: skip


def test_of_one_series_windows_are_shown_and_unobserved_ones_are_not() -> None:
    result, _ = made_result([[3, 99, 1, 2, 5]])
    shown = choose(result, WindowErrors.of(result, result.point, 10))
    assert [(one.stands_for, one.window) for one in shown] == [
        ("Best window", 2), ("Median window", 3), ("Worst window", 4)
    ]  # fmt: skip
    only, _ = made_result([[3]])
    assert [one.stands_for for one in choose(only, WindowErrors.of(only, only.point, 10))] == ["Best window"]


def test_drift_is_measured_in_deviations_of_the_training_rows() -> None:
    values = np.r_[np.tile([1.0, 3.0], 5), [np.nan] * 4, np.tile([4.0, 8.0], 3)]
    panel, _ = read_panel(pd.DataFrame({"ds": np.arange(20), "a": values, "b": 5.0}))
    one = SeriesFacts.of(panel, 0, (10, 4, 6))
    assert (one.missing, one.longest_gap, one.low, one.high) == (4, 4, 1.0, 8.0)
    assert (one.shift, one.spread) == (4.0, 2.0)
    flat = SeriesFacts.of(panel, 1, (10, 4, 6))
    assert flat.constant and np.isnan(flat.shift)
    assert number(flat.shift) == "–"


def test_windows_that_share_rows_count_once() -> None:
    result, _ = made_result([[1, 2, 3, 4], [1, 2, 3, 4]])
    wide = BacktestResult(
        result.panel, result.series, result.cutoff, *(np.zeros((8, 3)),) * 3, np.zeros((8, 3, 1)), (0.5,)
    )
    assert _windows_apart(result) == 8
    assert _windows_apart(wide) == 4


@pytest.mark.parametrize(
    ("key", "mean", "std", "shown"),
    [
        ("mse", 2.97612, 0.00291, "2.9761 ± 0.0029"),
        ("mse", 148992.4, 310.2, "148,992 ± 310"),
        ("accuracy", 0.8512, 0.0123, "85.1 ± 1.2\xa0%"),
        ("mae", 0.5, 0.0, "0.500 ± 0"),
    ],
)
def test_a_mean_has_the_digits_that_its_spread_leaves(key: str, mean: float, std: float, shown: str) -> None:
    assert with_spread(key, mean, std) == shown


def test_a_tie_is_no_defeat() -> None:
    tie = compare("mse", {"mse": 1.0}, {"ridge": {"mse": 1.0}, "naive": {"mse": 2.0}})
    assert tie is not None and tie.equal and tie.words == "the same as ridge (1.00)"
    won = compare("auroc", {"auroc": 0.9}, {"kmer_logistic": {"auroc": 0.8}})
    assert won is not None and won.better and won.words == "above kmer logistic (0.800)"
    lost = compare("mse", {"mse": 3.0}, {"naive": {"mse": 2.0}})
    assert lost is not None and not lost.better and lost.words == "50.0\xa0% higher than naive (2.00)"
    assert compare("coverage_80", {"coverage_80": 0.8}, {"naive": {"mse": 2.0}}) is None
