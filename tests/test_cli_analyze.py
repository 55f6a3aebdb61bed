"""`titans-seq analyze`: what it reads, writes and prints, and errors of one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from titans_seq import TitansForecaster, cli
from titans_seq.recipes import load_recipe
from titans_seq.recipes.recall.build import make_model
from titans_seq.recipes.recall.model import save_recall_model

ROWS, PATCH = 100, 4
FORECAST = """
schema: 1
task: {horizon: 4}
data: {path: made.csv, split: [60, 20, 20]}
"""
RECALL = """
schema: 1
task: {kind: recall, name: needles, n_needles: 2}
model: {variant: mag, d_model: 8, n_layers: 1, n_heads: 1, chunk_size: 8, window_size: 8, gate: hard}
evaluate: {lengths: [{length: 60, trials: 2}, {length: 90, trials: 2}], controls: []}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the analysis needs of a run of a forecast, and of one of recall."""
    folder = tmp_path_factory.mktemp("made")
    t = np.arange(ROWS)
    wave = np.sin(2 * np.pi * t / 12)
    table = pl.DataFrame({"ds": t, "a": wave, "b/1": 10 + wave**3})
    table.write_csv(folder / "made.csv")
    for name, text in (("forecast", FORECAST), ("recall", RECALL)):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        (run / "recipe.yaml").write_text(text)
        (run / "metrics.json").write_text("{}")
    sizes = {"context_length": 16, "patch_length": PATCH, "d_model": 8, "n_layers": 1, "chunk_size": 4}
    forecaster = TitansForecaster(horizon=4, max_epochs=0, random_state=0, verbose=0, **sizes)
    forecaster.fit(table[:60]).save(folder / "runs/forecast/model")
    recall = load_recipe(folder / "runs/recall/recipe.yaml")
    save_recall_model(make_model(recall, None), folder / "runs/recall/model")  # type: ignore[arg-type]
    for name, run in (("mine", "forecast"), ("damaged", "forecast"), ("tokens_only", "recall")):
        shutil.copytree(folder / "runs" / run / "model", folder / name)
    (folder / "damaged/model.json").write_text("{")
    np.save(folder / "big.npy", np.arange(100))
    np.save(folder / "cube.npy", np.zeros((2, 3, 4)))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def real_figures() -> None:
    """Let figures be drawn, which takes a second for each."""


@pytest.fixture(autouse=True)
def _figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_figures" not in request.fixturenames:
        monkeypatch.setattr("titans_seq.evaluation.memory_plots.plot_memory", lambda path, *a, **k: path.touch())


pytestmark = pytest.mark.usefixtures("folder")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["analyze", *arguments])


def done(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def error_line(*arguments: str) -> str:
    before = sorted(Path().rglob("*"))
    result = call(*arguments)
    assert result.exit_code == cli.USER_ERROR, result.output
    (line,) = result.stderr.splitlines()
    assert result.stdout == "" and line.startswith("error: ")
    assert sorted(Path().rglob("*")) == before
    return line.removeprefix("error: ")


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.mark.usefixtures("real_figures")
def test_a_run_is_analysed_on_its_own_data_beside_its_folder() -> None:
    text = done("runs/forecast")
    assert names("runs/forecast-analysis") == ["analysis.parquet", "memory_a.png", "memory_b_1.png", "summary.json"]
    table = pl.read_parquet("runs/forecast-analysis/analysis.parquet")
    assert table["stream"].unique(maintain_order=True).to_list() == ["a", "b/1"]
    assert len(table) == 2 * (ROWS // PATCH) * 2
    assert table["ds"].to_list() == table["row"].to_list()  # times of these data are counts
    lines = text.splitlines()
    assert [line.split("  ")[0] for line in lines[1:3]] == ["layer 0, head 0", "layer 0, head 1"]
    assert lines[3:] == [
        "made.csv: 50 patches of 4 rows, 2 series",
        "note: the network has no weight in the forecasts (validation saw no gain): they do not depend on it",
        "written to runs/forecast-analysis",
    ]


def test_the_summary_is_that_of_the_table() -> None:
    done("runs/forecast", "-q")
    table = pl.read_parquet("runs/forecast-analysis/analysis.parquet")
    summary = json.loads(Path("runs/forecast-analysis/summary.json").read_text())
    assert (summary["variant"], summary["data"], summary["n_streams"]) == ("mag", "made.csv", 2)
    for row in (*summary["memories"], *summary["streams"]["a"]):
        assert {"closed", "theta", "eta", "alpha", "surprise", "surprise_q99", "drift"} <= set(row)
    head = (pl.col("stream") == "b/1") & (pl.col("head") == 1)
    mine, found = table.filter(head), summary["streams"]["b/1"][1]
    assert found["theta"] == pytest.approx(mine["theta"].mean(), rel=1e-5)
    assert found["drift"] == pytest.approx(mine["drift"].drop_nulls()[-1], rel=1e-5)


@pytest.mark.parametrize("missing", ["a", "all"])
def test_of_values_that_are_all_missing_no_share_is_told(missing: str) -> None:
    table = pl.read_csv("made.csv")
    names = ["a"] if missing == "a" else ["a", "b/1"]
    table.with_columns(pl.lit(None, pl.Float64).alias(name) for name in names).write_csv("gaps.csv")
    text = done("mine", "--data", "gaps.csv")
    summary = json.loads(Path("mine-analysis/summary.json").read_text())
    told = {name: {row["closed"] for row in rows} for name, rows in summary["streams"].items()}
    assert told == {name: {None} if name in names else {0.0} for name in ("a", "b/1")}
    assert {row["closed"] for row in summary["memories"]} == ({None} if missing == "all" else {0.0})
    assert ("note: no tokens to learn from, all values are missing" in text) == (missing == "all")
    assert ("θ = 0" in text) == (missing != "all")


def test_series_rows_and_points_can_be_chosen() -> None:
    done("runs/forecast", "--series", "b/1", "--last", "40", "--max-points", "5", "--output-dir", "out", "-q")
    table = pl.read_parquet("out/analysis.parquet")
    assert table["stream"].unique().to_list() == ["b/1"]
    assert table["row"].unique(maintain_order=True).to_list() == [60, 68, 76, 84, 92]
    assert names("out") == ["analysis.parquet", "memory_b_1.png", "summary.json"]


def test_a_saved_forecaster_is_analysed_on_data_that_are_named() -> None:
    done("mine", "--data", "made.csv", "-q")
    done("runs/forecast/model", "-q", "--output-dir", "out")  # of a run, hence on its data
    found, expected = (pl.read_parquet(f"{name}/analysis.parquet") for name in ("mine-analysis", "out"))
    assert found.equals(expected)


def test_an_earlier_analysis_is_replaced_on_request_only() -> None:
    done("runs/forecast", "-q")
    line = error_line("runs/forecast", "--last", "40")
    assert line == "runs/forecast-analysis holds an earlier analysis; add --overwrite or choose another folder"
    done("runs/forecast", "-q", "--last", "40", "--series", "a", "--overwrite")
    assert names("runs/forecast-analysis") == ["analysis.parquet", "memory_a.png", "summary.json"]
    Path("runs/forecast-analysis/notes.txt").write_text("mine")
    assert "holds 'notes.txt', which no analysis writes" in error_line("runs/forecast", "--overwrite")


def test_a_folder_that_is_no_analysis_is_left_alone() -> None:
    line = error_line("runs/forecast", "--output-dir", "runs/recall", "--overwrite")
    assert line == "runs/recall exists and is not the folder of an earlier analysis; choose another one"


def test_a_recall_run_is_analysed_on_a_stream_of_its_task() -> None:
    text = done("runs/recall", "--length", "75", "--seed", "3")
    assert text.splitlines()[-2:] == ["needles_2_random: 75 tokens, 1 stream", "written to runs/recall-analysis"]
    summary = json.loads(Path("runs/recall-analysis/summary.json").read_text())
    assert (summary["task"], summary["length"], summary["seed"]) == ("needles_2_random", 75, 3)
    assert names("runs/recall-analysis") == ["analysis.parquet", "memory_0.png", "summary.json"]
    done("runs/recall", "--output-dir", "out", "-q")
    assert pl.read_parquet("out/analysis.parquet")["position"].max() == 59  # the shortest length of the recipe


def test_tokens_of_ones_own_are_read() -> None:
    tokens = np.random.default_rng(0).integers(0, 64, (2, 40))
    np.save("both.npy", tokens)
    done("runs/recall/model", "--tokens", "both.npy", "--output-dir", "both", "-q")
    np.save("first.npy", tokens[0])
    done("runs/recall", "--tokens", "first.npy", "--output-dir", "one", "-q", "--last", "15")
    both, one = (pl.read_parquet(f"{name}/analysis.parquet") for name in ("both", "one"))
    same = both.filter((pl.col("stream") == 0) & (pl.col("position") >= 25))
    np.testing.assert_allclose(one["surprise"], same["surprise"], rtol=1e-5)
    assert names("both") == ["analysis.parquet", "memory_0.png", "memory_1.png", "summary.json"]


def test_what_is_planted_and_asked_for_is_marked() -> None:
    from titans_seq.evaluation.recall import Needles
    from titans_seq.recipes.analysis.tokens import event_marks

    trials = Needles(2).draw(1, 400, np.random.default_rng(5))
    tokens = trials.read(0, 400)[0].numpy()
    assert event_marks(trials) == {"Planted": np.flatnonzero(tokens == 64).tolist(), "Asked for": [396]}


BAD_CALLS = {
    "no folder": (["runs/nothing"], "runs/nothing: there is no such folder"),
    "no model": (["runs"], "runs holds no model: neither model/model.json of a run nor model.json"),
    "a file": (["made.csv"], "made.csv: is a file; name the folder"),
    "no data": (["mine"], "mine names no data: it is no run's; add --data"),
    "unknown data": (["mine", "--data", "co3"], "unknown dataset 'co3'; did you mean 'co2'?"),
    "missing file": (["mine", "--data", "x.csv"], "x.csv: there is no such data file"),
    "other data": (["mine", "--data", "co2"], "ds holds dates, but the earlier rows had integers"),
    "unknown series": (["runs/forecast", "--series", "c"], "--series: the data have no 'c'; there are a, b/1"),
    "no rows": (["runs/forecast", "--last", "0"], "--last must be at least 1, found 0"),
    "few rows": (["runs/forecast", "--last", "3"], "no series has a complete patch of 4 rows within the last 3 rows"),
    "no points": (["runs/forecast", "--max-points", "0"], "--max-points must be at least 1, found 0"),
    "tokens of a forecaster": (["mine", "--tokens", "t.npy"], "--tokens: mine holds a forecaster model"),
    "series of a recall model": (["runs/recall", "--series", "a"], "--series: runs/recall holds a recall model"),
    "short stream": (["runs/recall", "--length", "3"], "--length must be at least 10 for this task, found 3"),
    "no task": (["tokens_only"], "tokens_only names no task: it is no run's; add --tokens"),
    "no tokens": (["runs/recall", "--tokens", "t.npy"], "--tokens: t.npy: there is no such file"),
    "text": (["runs/recall", "--tokens", "made.csv"], "made.csv is not a .npy file of numbers"),
    "unknown symbols": (["runs/recall", "--tokens", "big.npy"], "the model knows symbols 0 to 71, found 0 to 99"),
    "vectors": (["runs/recall", "--tokens", "cube.npy"], "must hold integers of shape (streams, time), found float64"),
    "both": (["runs/recall", "--tokens", "big.npy", "--length", "9"], "--length and --seed are for streams"),
    "damaged": (["damaged"], "damaged"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_is_one_line_that_names_the_fault_and_nothing_is_written(
    case: str, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)  # no copy: error_line finds whatever would be written
    arguments, place = BAD_CALLS[case]
    assert place in error_line(*arguments)


def test_a_model_without_memory_is_refused() -> None:
    wave = np.sin(np.arange(90) / 3)
    sizes = {"patch_length": 4, "context_length": 16, "d_model": 8, "n_layers": 1, "max_epochs": 0, "verbose": 0}
    TitansForecaster(horizon=4, variant="swa", **sizes).fit(wave).save("swa")
    pl.DataFrame({"ds": np.arange(90), "0": wave}).write_csv("wave.csv")
    line = error_line("swa", "--data", "wave.csv")
    assert line == "variant 'swa' has no memory: there is nothing to analyse"


def test_files_of_series_are_named_alike_on_every_system() -> None:
    from titans_seq.recipes.analysis.output import figure_names

    found = figure_names(["a/b", "a b", "A_B", "..", "", 7, "ü" * 200])
    assert found[:3] == ["memory_a_b.png", "memory_a_b_2.png", "memory_A_B_3.png"]
    assert len({name.lower() for name in found}) == 7
    assert all(len(name) < 100 and "/" not in name for name in found)
