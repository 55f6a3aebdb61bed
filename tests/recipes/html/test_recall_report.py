"""The report of a recall run tells what the run found."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_pages import check_page, read_report

from titans_seq.recipes import Run, load_recipe, run_recipe
from titans_seq.recipes.html.markup import number, percent

SECTIONS = ["scores", "training", "memory", "costs", "run", "use"]
NEEDLES = """
schema: 1
task: {kind: recall, name: needles, n_needles: 2}
model: {d_model: 8, n_layers: 1, n_heads: 1, chunk_size: 8, window_size: 4}
train: {n_needles: 3, curriculum: [[32, 3], [64, 2]], tokens_per_step: 128, random_state: 5}
evaluate:
  lengths: [{length: 40, trials: 5}, {length: 150, trials: 2}]
  controls: [swa]
  control_max_length: 100
"""
SHAPES = """
schema: 1
task: {kind: recall, name: shapes}
model: {d_model: 8, n_layers: 1, n_heads: 1, variant: lmm, chunk_size: 8}
train: {curriculum: [[16, 2]], tokens_per_step: 64}
evaluate: {lengths: [{length: 20, trials: 3}, {length: 40, trials: 2}]}
"""


def run_text(text: str, folder: Path, *overrides: str) -> Run:
    (folder / "made.yaml").write_text(text)
    return run_recipe(load_recipe(folder / "made.yaml", overrides), folder / "out", quiet=True)


def test_accuracy_by_length_is_that_of_the_metrics(tmp_path: Path) -> None:
    run = run_text(NEEDLES, tmp_path)
    page = read_report(run.folder)
    check_page(page)
    assert list(page.sections) == SECTIONS
    assert page.tags.count("svg") == 4  # scores, two trainings, memory
    for model in (run.metrics["model"], *run.metrics["controls"].values()):
        for row in model["scores"]:
            low, high = row["interval"]
            told = f"{row['right']} of {row['asked']} {percent(row['accuracy'])} {percent(low)} to {percent(high)}"
            assert told in page.sections["scores"]
    assert "Planted" in page.sections["memory"] and "Asked for" in page.sections["memory"]
    assert "a stream of 40 tokens" in page.sections["memory"]


def test_errors_of_shapes_are_told_with_their_standard_errors(tmp_path: Path) -> None:
    run = run_text(SHAPES, tmp_path)
    page = read_report(run.folder)
    check_page(page)
    for row in run.metrics["model"]["scores"]:
        assert f"{number(row['mse'])} {number(row['standard_error'])}" in page.sections["scores"]
    assert "Series" in page.sections["memory"]


@pytest.mark.parametrize("variant", ["swa", "attention"])
def test_a_model_without_memory_says_so(variant: str, tmp_path: Path) -> None:
    lengths = "evaluate.lengths=[{length: 40, trials: 2}]"
    run = run_text(NEEDLES, tmp_path, f"model.variant={variant}", "evaluate.controls=[]", lengths)
    page = read_report(run.folder)
    check_page(page)
    assert f"The variant {variant} has no memory" in page.sections["memory"]
