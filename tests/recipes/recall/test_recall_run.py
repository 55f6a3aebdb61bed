"""A whole recall run: what its folder holds, and that the numbers are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from titans_seq.adapters.symbols import SymbolModel, VectorModel
from titans_seq.evaluation.recall import wilson_interval
from titans_seq.recipes import (
    RecallRecipe,
    Run,
    default_folder,
    format_report,
    load_recall_model,
    load_recipe,
    run_recipe,
)
from titans_seq.recipes.recall.build import make_tasks
from titans_seq.recipes.recall.score import score_lengths

TEXT = """
schema: 1
task: {kind: recall, name: needles, n_needles: 2}
model: {d_model: 16, n_layers: 1, n_heads: 1, chunk_size: 8, window_size: 4, gate: hard, stem_width: 2}
train: {n_needles: 3, curriculum: [[32, 3], [64, 2]], tokens_per_step: 128, random_state: 5}
evaluate:
  lengths: [{length: 40, trials: 5}, {length: 150, trials: 2}]
  controls: [swa, attention]
  control_max_length: 100
  batch_size: 3
  piece_length: 64
"""
SHAPES = """
schema: 1
task: {kind: recall, name: shapes}
model: {d_model: 8, n_layers: 1, n_heads: 1, variant: lmm, chunk_size: 8}
train: {curriculum: [[16, 2]], tokens_per_step: 64}
evaluate: {lengths: [{length: 20, trials: 3}, {length: 40, trials: 2}]}
"""
FILES = {"recipe.yaml", "metrics.json", "history.parquet", "recall.png", "model", "environment.json", "report.html"}


def run_text(text: str, out: Path, *overrides: str, overwrite: bool = False) -> Run:
    path = out.parent / "made.yaml"
    path.write_text(text)
    recipe = load_recipe(path, overrides)
    return run_recipe(recipe, out, overwrite=overwrite, quiet=True, command="the command")


def without_costs(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key != "costs"}


def scores_again(run: Run) -> list[dict[str, Any]]:
    recipe = load_recipe(run.folder / "recipe.yaml")
    assert isinstance(recipe, RecallRecipe)
    model = load_recall_model(run.folder / "model")
    return score_lengths(model, recipe, make_tasks(recipe).test, recipe.evaluate.lengths, lambda n: None)[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_text(TEXT, tmp_path_factory.mktemp("needles") / "out")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_text(SHAPES, tmp_path_factory.mktemp("shapes") / "out")


def test_the_folder_is_complete_and_nothing_else_is_left(run: Run) -> None:
    assert {path.name for path in run.folder.iterdir()} == FILES
    assert {path.name for path in run.folder.parent.iterdir()} == {"made.yaml", "out"}
    assert json.loads((run.folder / "metrics.json").read_text()) == run.metrics


def test_every_length_is_scored_with_its_interval(run: Run) -> None:
    rows = run.metrics["model"]["scores"]
    assert [(row["length"], row["trials"], row["asked"]) for row in rows] == [(40, 5, 10), (150, 2, 4)]
    for row in rows:
        assert row["accuracy"] == row["right"] / row["asked"]
        assert row["interval"] == list(wilson_interval(row["right"], row["asked"]))


def test_controls_are_scored_up_to_their_limit(run: Run) -> None:
    assert list(run.metrics["controls"]) == ["swa", "attention"]
    for name, control in run.metrics["controls"].items():
        assert control["variant"] == name
        assert [row["length"] for row in control["scores"]] == [40]
        assert control["n_parameters"] < run.metrics["model"]["n_parameters"]
        assert control["state_bytes"]["layers"][0]["memory_weights"] == 0


def test_what_the_model_is_and_what_guessing_gives_is_told(run: Run) -> None:
    assert (run.metrics["task"], run.metrics["measure"]) == ("needles_2_random", "accuracy")
    assert run.metrics["chance"] == 1 / 64
    assert run.metrics["trained_lengths"] == [32, 64]
    layer = run.metrics["model"]["state_bytes"]["layers"][0]
    assert layer["memory_weights"] == layer["momentum"] == 4 * 2 * 16 * 32
    assert layer["all"] > layer["memory_weights"] + layer["momentum"]


def test_time_is_told_for_training_and_every_length(run: Run) -> None:
    costs = run.metrics["costs"]
    assert set(costs) == {"mag", "swa", "attention"}
    assert [row["length"] for row in costs["mag"]["scores"]] == [40, 150]
    for cost in costs.values():
        for row in (cost["training"], *cost["scores"]):
            assert row["cpu_seconds"] > 0
            assert row["wall_seconds"] > 0
        assert all(row["tokens_per_cpu_second"] > 0 for row in cost["scores"])


def test_the_history_has_every_step_of_every_model(run: Run) -> None:
    history = pl.read_parquet(run.folder / "history.parquet")
    assert history.columns == ["variant", "step", "length", "loss", "openness", "cpu_seconds"]
    assert history["variant"].unique(maintain_order=True).to_list() == ["mag", "swa", "attention"]
    own = history.filter(variant="mag")
    assert own["length"].to_list() == [32, 32, 32, 64, 64]
    assert own["loss"][-1] == run.metrics["model"]["last_loss"]
    assert (own["openness"] > 0).all()


def test_the_picture_is_a_png(run: Run, shapes: Run) -> None:
    for folder in (run.folder, shapes.folder):
        assert (folder / "recall.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_environment_names_command_seed_and_costs(run: Run) -> None:
    facts = json.loads((run.folder / "environment.json").read_text())
    assert (facts["command"], facts["random_state"]) == ("the command", 5)
    assert facts["seconds"] > 0
    assert facts["threads"] >= 1


def test_the_resolved_recipe_gives_the_same_numbers_to_the_bit(run: Run, tmp_path: Path) -> None:
    text = (run.folder / "recipe.yaml").read_text()
    filled = yaml.safe_load(text)
    assert filled["model"]["memory_depth"] == 2
    assert filled["model"]["stem_width"] == 2
    assert filled["train"]["learning_rate"] == 4e-3
    again = run_text(text, tmp_path / "again")
    assert without_costs(again.metrics) == without_costs(run.metrics)
    ours, theirs = (folder / "model" / "model.safetensors" for folder in (run.folder, again.folder))
    assert ours.read_bytes() == theirs.read_bytes()


def test_another_seed_gives_other_numbers(run: Run, tmp_path: Path) -> None:
    other = run_text(TEXT, tmp_path / "other", "train.random_state=6", "evaluate.controls=[]")
    assert other.metrics["model"]["last_loss"] != run.metrics["model"]["last_loss"]


def test_a_run_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    run = run_text(TEXT, tmp_path / "out", "evaluate.controls=[]", "model.dropout=0.1")
    load_recall_model(run.folder / "model")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_saved_model_has_the_same_scores(run: Run, shapes: Run) -> None:
    assert scores_again(run) == run.metrics["model"]["scores"]
    rows = [{k: v for k, v in row.items() if k != "ratio_to"} for row in shapes.metrics["model"]["scores"]]
    assert scores_again(shapes) == rows


def test_the_saved_model_is_of_its_kind(run: Run, shapes: Run) -> None:
    symbols, vectors = load_recall_model(run.folder / "model"), load_recall_model(shapes.folder / "model")
    assert isinstance(symbols, SymbolModel)
    assert isinstance(vectors, VectorModel)
    assert not symbols.training
    assert vectors.backbone.variant == "lmm"


def test_a_damaged_model_is_refused(run: Run, tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((run.folder / "model" / name).read_bytes())
    description = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(description | {"recall_model": None, "estimator": "Other"}))
    with pytest.raises(ValueError, match="holds a saved Other, not one of SymbolModel, VectorModel"):
        load_recall_model(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps(description | {"backbone": {"d_model": 8}}))
    with pytest.raises(ValueError, match="is damaged"):
        load_recall_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match="its checksum is not the one"):
        load_recall_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no saved model"):
        load_recall_model(tmp_path / "nowhere")


def test_shapes_have_an_error_and_its_ratio_to_the_control(shapes: Run) -> None:
    assert (shapes.metrics["measure"], shapes.metrics["chance"]) == ("mse", 1.0)
    rows, others = shapes.metrics["model"]["scores"], shapes.metrics["controls"]["swa"]["scores"]
    for row, other in zip(rows, others, strict=True):
        assert row["standard_error"] > 0
        assert row["ratio_to"] == {"swa": row["mse"] / other["mse"]}


def test_the_report_shows_every_score(run: Run, shapes: Run) -> None:
    report = format_report(run)
    for word in ("needles_2_random", "32 to 64 tokens", "attention", "95 % interval", "guessing: 1.6 %", "of 10", "kB"):
        assert word in report
    report, row = format_report(shapes), shapes.metrics["model"]["scores"][0]
    assert f"{row['mse']:.4g}" in report
    assert f"error over that of swa: {row['ratio_to']['swa']:.3g} at 20" in report


def test_an_earlier_run_is_kept_unless_told_otherwise(run: Run) -> None:
    before = (run.folder / "metrics.json").read_bytes()
    with pytest.raises(FileExistsError, match="holds an earlier run; add --overwrite"):
        run_text(TEXT, run.folder)
    assert (run.folder / "metrics.json").read_bytes() == before


def test_a_run_can_be_replaced(tmp_path: Path) -> None:
    run_text(SHAPES, tmp_path / "out")
    replaced = run_text(SHAPES, tmp_path / "out", "train.random_state=1", "evaluate.controls=[]", overwrite=True)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == replaced.metrics


def test_a_training_that_diverges_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titans_seq.training.recall._loss", lambda found, answers: found.sum() * float("nan"))
    with pytest.raises(
        ValueError, match=r"training of 'mag' diverged: its loss was nan in step 1; lower train.learning"
    ):
        run_text(TEXT, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["made.yaml"]


def test_the_default_folder_is_named_after_the_recipe() -> None:
    assert default_folder(load_recipe("recall_needle"), "recall_needle") == Path("runs/recall_needle")
