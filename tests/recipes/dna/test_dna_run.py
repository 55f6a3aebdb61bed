"""A whole run on DNA: what its folder holds, and that the numbers are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from planted_motifs import planted

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.data import leak_report
from titans_seq.evaluation import class_scores, kmer_logistic, value_scores
from titans_seq.recipes import Run, default_folder, find_recipe, format_report, load_recipe, run_recipe
from titans_seq.recipes.dna.data import read_examples

SMALL = "{channels: 8, d_model: 4, n_heads: 1, memory_expansion: 1, n_persistent: 1, n_members: 1}"
TRAIN = "{max_epochs: 1, learning_rate: 5e-3, random_state: 0}"
CLASSES = f"""
schema: 1
task: {{kind: classify}}
data: {{path: made.csv, sequence: dna, label: kind, split: {{column: part}}}}
model: {SMALL}
train: {TRAIN}
evaluate: {{positive: none, kmer_length: 3}}
"""
NUMBERS = f"""
schema: 1
task: {{kind: regress}}
data: {{path: made.csv, sequence: dna, target: level, split: {{by: random, test: 0.25, seed: 3}}}}
model: {SMALL}
train: {TRAIN}
evaluate: {{kmer_length: 2}}
"""
FILES = {"recipe.yaml", "metrics.json", "predictions.parquet", "scores.png", "model", "environment.json", "report.html"}


def write_data(folder: Path) -> None:
    strings, holds = planted(100)
    strings[90] = strings[10]  # a test sequence that is in training
    holds[90] = holds[10]
    table = {
        "id": [f"s{i}" for i in range(100)],
        "dna": strings,
        "kind": np.where(holds, "motif", "none"),
        "third": np.array(["a", "b", "c"])[np.arange(100) % 3],
        "level": [text.count("G") / 4 for text in strings],
        "part": ["train"] * 80 + ["test"] * 20,
    }
    pl.DataFrame(table).write_csv(folder / "made.csv")


def run_text(text: str, data: Path, out: Path, *overrides: str) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(data)
        Path("made.yaml").write_text(text)
        return run_recipe(load_recipe("made.yaml", overrides), out, overwrite=True, quiet=True, command="the command")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def run(made: Path) -> Run:
    return run_text(CLASSES, made, made / "out")


@pytest.fixture(scope="module")
def numbers(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_text(NUMBERS, made, tmp_path_factory.mktemp("numbers") / "out")


@pytest.fixture(scope="module")
def predictions(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.folder / "predictions.parquet")


def without_seconds(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key != "seconds"}


def test_the_folder_is_complete_and_nothing_else_is_left(run: Run, numbers: Run) -> None:
    for one in (run, numbers):
        assert {path.name for path in one.folder.iterdir()} == FILES
        assert {path.name for path in (one.folder / "model").iterdir()} == {"model.json", "model.safetensors"}
        assert (one.folder / "scores.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert json.loads((one.folder / "metrics.json").read_text()) == one.metrics
    assert {path.name for path in run.folder.parent.iterdir()} == {"made.csv", "made.yaml", "out"}


def test_the_predictions_are_those_of_the_saved_model(made: Path, run: Run, predictions: pl.DataFrame) -> None:
    rows = pl.read_csv(made / "made.csv")[80:]
    model = DNAClassifier.load(run.folder / "model")
    assert predictions["row"].to_list() == list(range(80, 100))
    assert predictions["id"].to_list() == rows["id"].to_list()
    assert predictions["label"].to_list() == rows["kind"].to_list()
    assert predictions["DNAClassifier"].to_list() == model.predict(rows["dna"].to_list()).tolist()
    p = predictions.select([f"p_{name}" for name in model.classes_]).to_numpy()
    np.testing.assert_array_equal(p, model.predict_proba(rows["dna"].to_list()))


def test_the_scores_can_be_had_again_from_the_predictions(run: Run, predictions: pl.DataFrame) -> None:
    p = predictions.select("p_motif", "p_none").to_numpy()
    assert run.metrics["model"] == class_scores(predictions["label"], p, ["motif", "none"], positive="none")
    for name in ("majority", "kmer_logistic", "position_logistic"):
        right = (predictions[name] == predictions["label"]).mean()
        assert run.metrics["baselines"][name]["accuracy"] == pytest.approx(right)


def test_baselines_read_what_the_recipe_says(made: Path, run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        examples = read_examples(load_recipe(run.folder / "recipe.yaml"))
    train, test = examples.train, examples.test
    said = kmer_logistic(train.sequences, train.answers, test.sequences, k=3)
    expected = class_scores(test.answers, said, ["motif", "none"], positive="none")
    assert run.metrics["baselines"]["kmer_logistic"] == expected


def test_what_was_trained_and_tested_on_is_counted(run: Run) -> None:
    assert (run.metrics["n_train"], run.metrics["n_test"], run.metrics["n_unused"]) == (80, 20, 0)
    counts = run.metrics["classes"]
    assert sum(counts["train"].values()) == 80
    assert set(counts["test"]) == {"motif", "none"}
    assert not run.metrics["simulated"]


def test_a_leak_is_found_stored_and_printed(made: Path, run: Run) -> None:
    strings = pl.read_csv(made / "made.csv")["dna"].to_list()
    expected = leak_report(strings[:80], strings[80:])
    found = run.metrics["leaks"]
    assert found["exact"] == len(expected.exact) == 1
    assert (found["n_leaks"], found["covered"]) == (expected.n_leaks, expected.covered)
    assert "test 10 's90' = train 10 's10'" in "\n".join(found["report"])
    report = format_report(run)
    assert all(line in report for line in found["report"])


def test_the_report_shows_every_score(run: Run) -> None:
    report = format_report(run)
    words = ("DNAClassifier", "baseline kmer_logistic", "auprc", "80 for training", "one network", str(run.folder))
    for word in (*words, f"{run.metrics['model']['log_loss']:.4g}"):
        assert word in report


def test_the_resolved_recipe_gives_the_same_numbers(made: Path, run: Run, tmp_path: Path) -> None:
    text = (run.folder / "recipe.yaml").read_text()
    filled = yaml.safe_load(text)
    assert filled["model"]["memory_depth"] == 2
    assert filled["data"]["split"] == {"by": "column", "column": "part", "train": ["train"], "test": ["test"]}
    assert (filled["data"]["label"], filled["evaluate"]["kmer_strands"]) == ("kind", "given")
    again = run_text(text, made, tmp_path / "again")
    assert without_seconds(again.metrics) == without_seconds(run.metrics)
    first, second = (pl.read_parquet(one.folder / "predictions.parquet") for one in (run, again))
    assert first.equals(second)


def test_the_environment_names_command_and_seed(run: Run) -> None:
    facts = json.loads((run.folder / "environment.json").read_text())
    assert (facts["command"], facts["random_state"]) == ("the command", 0)


def test_numbers_are_predicted_and_scored(made: Path, numbers: Run) -> None:
    table = pl.read_parquet(numbers.folder / "predictions.parquet")
    assert table.columns == ["row", "id", "target", "DNARegressor", "mean", "kmer_ridge", "position_ridge"]
    assert len(table) == 25
    rows = pl.read_csv(made / "made.csv")[table["row"].to_list()]
    model = DNARegressor.load(numbers.folder / "model")
    np.testing.assert_array_equal(table["DNARegressor"], model.predict(rows["dna"].to_list()))
    assert numbers.metrics["model"] == value_scores(rows["level"], table["DNARegressor"])
    assert set(numbers.metrics["baselines"]["mean"]) == {"mse"}
    assert numbers.metrics["baselines"]["kmer_ridge"]["pearson"] > 0.8  # the level is a count
    filled = yaml.safe_load((numbers.folder / "recipe.yaml").read_text())
    assert filled["data"]["split"] == {"by": "random", "test": 0.25, "seed": 3}
    assert "baseline mean" in format_report(numbers)


def test_several_classes_have_a_picture_and_scores(made: Path, tmp_path: Path) -> None:
    overrides = ("data.label=third", "evaluate.positive=", "train.max_epochs=0", "evaluate.baselines=[majority]")
    found = run_text(CLASSES, made, tmp_path / "out", *overrides)
    assert set(found.metrics["classes"]["train"]) == {"a", "b", "c"}
    assert set(found.metrics["baselines"]) == {"majority"}
    assert (found.folder / "scores.png").stat().st_size > 10_000


def make_ragged(folder: Path) -> None:
    table = pl.read_csv(folder / "made.csv")
    cut = pl.int_range(pl.len()) % 3 + 30
    table.with_columns(pl.col("dna").str.slice(0, cut)).write_csv(folder / "made.csv")


def test_baselines_on_places_are_left_out_where_lengths_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    make_ragged(tmp_path)
    found = run_text(CLASSES, tmp_path, tmp_path / "out", "train.max_epochs=0")
    assert found.metrics["left_out"] == {"position_logistic": "lengths differ, 30 to 32 bases"}
    assert "baseline position_logistic left out: lengths differ" in format_report(found)
    monkeypatch.setattr(DNAClassifier, "fit", lambda *a, **k: pytest.fail("training began"))
    with pytest.raises(ValueError, match="evaluate.baselines: position_logistic needs sequences of one length"):
        run_text(CLASSES, tmp_path, tmp_path / "out", "evaluate.baselines=[position_logistic]")


def test_a_run_that_fails_late_leaves_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: DNAClassifier, path: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(DNAClassifier, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        run_text(CLASSES, made, tmp_path / "out", "train.max_epochs=0")
    assert list(tmp_path.iterdir()) == []


def test_the_quickstart_needs_no_data_and_says_that_it_is_simulated(tmp_path: Path) -> None:
    small = ("data.simulated.n=60", "train.max_epochs=1", "model.channels=8", "model.d_model=8")
    recipe = load_recipe("dna_quickstart", small)
    assert default_folder(recipe, "dna_quickstart") == Path("runs/dna_quickstart")
    found = run_recipe(recipe, tmp_path / "out", quiet=True)
    assert found.metrics["simulated"]
    assert found.metrics["leaks"]["n_leaks"] == 0
    assert "SIMULATED" in format_report(found)
    assert "SIMULATED" in find_recipe("dna_quickstart").read_text().partition("schema:")[0]


@pytest.mark.slow
def test_the_quickstart_learns_the_grammar_that_linear_models_do_not(tmp_path: Path) -> None:
    found = run_recipe(load_recipe("dna_quickstart"), tmp_path / "out", quiet=True)
    assert found.metrics["model"]["accuracy"] > 0.9
    assert all(scores["accuracy"] < 0.7 for scores in found.metrics["baselines"].values())
