"""`titans-seq compare`: runs of one kind side by side, grouped by what they were measured on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from titans_seq import cli
from titans_seq.recipes import load_recipe, run_recipe

RECIPE = """
schema: 1
task: {horizon: 3}
data: {path: made.csv, split: [80, 20, 20]}
model: {context_length: 12, patch_length: 4}
train: {max_epochs: 0, random_state: 0}
evaluate: {mode: streaming, metrics: [mse, mae, coverage]}
"""
RECALL = """
schema: 1
task: {kind: recall, name: pairs, n_pairs: 1}
model: {d_model: 8, n_layers: 1, n_heads: 1, chunk_size: 8}
train: {curriculum: [[16, 1]], tokens_per_step: 32}
evaluate: {lengths: [{length: 16, trials: 2}], controls: [swa]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        wave = np.sin(np.arange(120) / 3) + np.random.default_rng(0).normal(size=120) / 5
        Path("made.csv").write_text("\n".join(["ds,y", *(f"{i},{v:.4f}" for i, v in enumerate(wave))]))
        Path("r.yaml").write_text(RECIPE)
        Path("recall.yaml").write_text(RECALL)
        for name, options in (("a", []), ("b", ["model.context_length=24"]), ("far", ["task.horizon=5"])):
            run_recipe(load_recipe("r.yaml", options), Path(name), quiet=True)
        run_recipe(load_recipe("recall.yaml"), Path("recall"), quiet=True)
        run_recipe(load_recipe("recall.yaml", ["train.random_state=1"]), Path("recall_1"), quiet=True)
    return folder


@pytest.fixture(autouse=True)
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return tmp_path


def compare(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["compare", *map(str, arguments)])


def test_runs_of_one_kind_are_one_table_with_their_differences(here: Path) -> None:
    result = compare("a", "b", "--output", here / "out")
    assert result.exit_code == 0, result.stderr
    assert "model.context_length  12 | 24" in result.stdout
    assert "output.dir" not in result.stdout
    rows = {row["row"]: row for row in csv.DictReader((here / "out" / "comparison.csv").read_text().splitlines())}
    assert [(name, row["is_run"]) for name, row in rows.items()][:3] == [
        ("a", "true"), ("b", "true"), ("baseline seasonal_naive", "false"),
    ]  # fmt: skip
    for name in ("a", "b"):
        metrics = json.loads((Path(name) / "metrics.json").read_text())
        assert float(rows[name]["mse"]) == metrics["model"]["mse"]
        assert int(rows[name]["parameters"]) == metrics["n_parameters"]
        assert float(rows[f"baseline ridge of {name}"]["mse"]) == metrics["baselines"]["ridge"]["mse"]


def test_the_best_score_is_marked_where_there_is_one(here: Path) -> None:
    compare("a", "b", "--output", here / "out")
    text = (here / "out" / "comparison.md").read_text()
    best = min(json.loads((Path(name) / "metrics.json").read_text())["model"]["mse"] for name in "ab")
    assert f"**{best:.4g}**" in text
    assert "| `model.context_length` | 12 | 24 |" in text
    assert (here / "out" / "comparison.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_runs_of_other_windows_stand_in_a_table_of_their_own() -> None:
    result = compare("a", "far", "b")
    tables = [line for line in result.stdout.splitlines() if line.startswith("made.csv;")]
    assert ["horizon 3" in line for line in tables] == [True, False]
    assert "2 groups: scores of different data, windows or units do not compare" in result.stdout


def test_recall_runs_are_compared_by_length() -> None:
    result = compare("recall", "recall_1")
    assert result.exit_code == 0, result.stderr
    assert "accuracy at 16" in result.stdout
    assert "train.random_state  0 | 1" in result.stdout


def test_runs_of_different_kinds_are_refused() -> None:
    result = compare("a", "recall")
    assert result.exit_code == cli.USER_ERROR
    assert result.stderr == (
        "error: runs of different kinds have no scores in common: a is of kind forecast, recall is of kind recall; "
        "compare those of one kind\n"
    )


def test_what_is_no_run_is_named(here: Path) -> None:
    (here / "empty").mkdir()
    (here / "broken").mkdir()
    (here / "broken" / "metrics.json").write_text("{}")
    (here / "broken" / "recipe.yaml").write_text(yaml.safe_dump({"schema": 1}))
    for folder, words in (("gone", "is no folder"), ("empty", "has no metrics.json"), ("broken", "is damaged")):
        result = compare("a", here / folder)
        assert result.exit_code == cli.USER_ERROR
        (line,) = result.stderr.splitlines()
        assert words in line
    assert "two runs or more" in compare("a").stderr
    assert "a is named twice" in compare("a", "b", "a").stderr


def test_two_folders_of_one_name_are_told_apart(here: Path) -> None:
    (here / "a").mkdir()
    for name in ("metrics.json", "recipe.yaml"):
        (here / "a" / name).write_bytes((Path("a") / name).read_bytes())
    result = compare("a", here / "a")
    assert str(here / "a") in result.stdout
    assert "The recipes do not differ." in result.stdout


def test_a_folder_is_replaced_on_request_only(here: Path) -> None:
    assert compare("a", "b", "--output", here / "out").exit_code == 0
    assert "add --overwrite" in compare("a", "b", "--output", here / "out").stderr
    assert compare("a", "b", "--output", here / "out", "--overwrite").exit_code == 0
    assert "is not the folder of an earlier comparison" in compare("a", "b", "--output", "a", "--overwrite").stderr
