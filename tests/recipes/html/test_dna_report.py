"""The report of a run on DNA tells what the run found, whatever the sequences and classes are like."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from report_pages import Page, check_page, read_report

from titans_seq.recipes import Run, load_recipe, run_recipe
from titans_seq.recipes.html.dna_answers import expected_calibration_error
from titans_seq.recipes.html.scores import metric_value, with_spread

COMMON = ["motifs", "data", "training", "memory", "run", "use"]
CLASSES = ["scores", "classes", "curves", "calibration", "mistakes", *COMMON]
NUMBERS = ["scores", "values", "calibration", *COMMON]
HOSTILE = "<script>alert('x')</script>"
TEXT = """
schema: 1
task: {kind: classify}
data: {path: made.csv, split: {by: random, test: 0.3, seed: 3}}
model: {channels: 8, d_model: 4, n_heads: 1, memory_expansion: 1, n_persistent: 1, n_members: 1}
train: {max_epochs: 1, learning_rate: 5e-3, random_state: 0}
evaluate: {kmer_length: 2}
"""


def sequences(n: int, length: int = 40, seed: int = 0, longer: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    lengths = length + random.integers(0, longer + 1, n)
    return ["".join(random.choice(list("ACGT"), size)) for size in lengths]


def run_on(table: dict[str, Any], folder: Path, *overrides: str) -> Run:
    pl.DataFrame(table).write_csv(folder / "made.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("made.yaml").write_text(TEXT)
        return run_recipe(load_recipe("made.yaml", overrides), folder / "out", overwrite=True, quiet=True, command="it")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    texts = sequences(90, longer=10)
    texts[4] = "N" * 6 + "RYKM" + texts[4][10:].lower()
    texts[80] = texts[3]
    labels = [HOSTILE if i % 3 else "_$x$ & y" for i in range(90)]
    labels[80] = labels[3]
    table = {"id": [f"<b>{i}</b>" for i in range(90)], "sequence": texts, "label": labels}
    return run_on(table, tmp_path_factory.mktemp("made"), "evaluate.seeds=[0, 4]", "model.n_members=2")


@pytest.fixture(scope="module")
def page(run: Run) -> Page:
    return read_report(run.folder)


def test_the_page_is_whole_and_has_every_section(page: Page) -> None:
    check_page(page)
    assert list(page.sections) == CLASSES


def test_every_score_of_the_metrics_is_in_it(run: Run, page: Page) -> None:
    scores = page.sections["scores"]
    for found in run.metrics["baselines"].values():
        assert all(metric_value(key, value) in scores for key, value in found.items())
    for key, spread in run.metrics["seeds"]["model"].items():
        assert with_spread(key, spread["mean"], spread["std"]) in scores
    assert "n = 2" in scores and "mean of 2 networks" in scores
    assert run.metrics["seeds"]["model"]["log_loss"]["values"][0] == run.metrics["model"]["log_loss"]
    assert len(set(run.metrics["seeds"]["model"]["log_loss"]["values"])) == 2
    assert "position logistic was left out: lengths differ" in scores


def test_names_are_text(page: Page) -> None:
    for key in ("classes", "data", "mistakes"):
        assert HOSTILE in page.sections[key]
    assert "_$x$ & y" in page.sections["classes"]
    assert "<b>" in page.sections["mistakes"]


def test_the_matrix_counts_every_test_sequence(run: Run, page: Page) -> None:
    found = pl.read_parquet(run.folder / "predictions.parquet")
    right = int((found["label"] == found["DNAClassifier"]).sum())
    assert f"{right} of {len(found)} test sequences" in page.sections["classes"]


def test_the_sequences_are_profiled(run: Run, page: Page) -> None:
    data = page.sections["data"]
    assert "Length 4" in data and "Classes" in data
    leaks = run.metrics["leaks"]
    assert f"exact copies {leaks['exact']}" in data
    for row in (r"N (0 )?6 \(", r"Other IUPAC codes (0 )?4 \(", r"Soft-masked \(lower case\) (0 )?[34]\d \("):
        assert re.search(row, data)


def test_numbers_get_a_page_of_their_own(tmp_path: Path) -> None:
    texts = sequences(80)
    table = {"id": [HOSTILE] * 80, "sequence": texts, "target": [text.count("G") / 4 for text in texts]}
    with_numbers = TEXT.replace("classify", "regress")
    pl.DataFrame(table).write_csv(tmp_path / "made.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        Path("made.yaml").write_text(with_numbers)
        run = run_recipe(load_recipe("made.yaml"), tmp_path / "out", quiet=True)
    page = read_report(run.folder)
    check_page(page)
    assert list(page.sections) == NUMBERS
    for key, value in run.metrics["model"].items():
        assert metric_value(key, value) in page.sections["scores"]
    assert HOSTILE in page.sections["values"]
    assert "n = 1" in page.sections["scores"]


def test_twenty_classes_and_a_rare_one_get_a_whole_page(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = [f"class {i % 20}" for i in range(240)]
    texts = sequences(240, length=30)
    run = run_on({"sequence": texts, "label": random.permutation(labels).tolist()}, tmp_path)
    page = read_report(run.folder)
    check_page(page)
    assert "class 19" in page.sections["classes"] and "shown are the 8 commonest" in page.sections["curves"]


def test_a_rare_class_is_pointed_out(tmp_path: Path) -> None:
    labels = ["rare" if i % 25 == 0 else "common" for i in range(200)]
    run = run_on({"sequence": sequences(200, length=30), "label": labels}, tmp_path)
    page = read_report(run.folder)
    check_page(page)
    assert "Rare, with less than 10\xa0% of training: rare." in page.sections["data"]


def test_sequences_that_are_too_long_for_attributions_are_told(tmp_path: Path) -> None:
    labels = ["a" if i % 2 else "b" for i in range(24)]
    overrides = ("model.stride=16", "evaluate.baselines=[majority]")
    run = run_on({"sequence": sequences(24, length=2400), "label": labels}, tmp_path, *overrides)
    page = read_report(run.folder)
    check_page(page)
    assert "2,400 bases are too long for attributions within a report" in page.sections["motifs"]


def test_calibration_error_is_the_mean_gap() -> None:
    probability = np.repeat([0.6, 0.9], 50)
    right = np.r_[np.arange(50) < 30, np.arange(50) < 35]
    assert expected_calibration_error(probability, right) >= 0.1
    assert expected_calibration_error(np.ones(10), np.ones(10, dtype=bool)) == 0
    shuffled = np.random.default_rng(0).permutation(100)
    sure, hit = np.full(100, 0.7), np.isin(np.arange(100), shuffled[:50])
    assert expected_calibration_error(sure, hit) >= 0.2 - 1e-9
