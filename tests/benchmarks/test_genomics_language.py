"""The benchmarks of unlabelled, of few labelled and of long DNA."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmark_runs import needs_data, run


@needs_data
@pytest.mark.parametrize("cell", ["orders_yeast", "mixture_ecoli", "model_yeast_mag_s0", "length_yeast_mag_s0"])
@pytest.mark.slow
def test_a_cell_of_bits_per_base_runs_small_and_renders_with_gaps(cell: str, tmp_path: Path) -> None:
    output = tmp_path / "genomics_language"
    done = run("genomics_language.py", "--quick", "--only", cell, "--output", str(output))
    assert done.returncode == 0, done.stderr
    results = json.loads((output / f"{cell}.json").read_text())["results"]
    if cell == "orders_yeast":
        assert results["orders"]["0"]["adaptive_best"] == pytest.approx(2, abs=0.05)
    elif cell.startswith("length"):
        assert results["4000"]["peak_megabytes"] >= results["2000"]["peak_megabytes"]
    else:
        assert (results["train_bases"], results["test_bases"]) == (3000, 3000)
        assert 0 < results["learning" if "learning" in results else "adaptive"] < 2.2
    table = (tmp_path / "genomics_language.md").read_text()
    assert "not run" in table
    assert "| 4,000 |" in table if cell.startswith("length") else "| 4,897,452 | not run | |" in table


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("task", ["ecoli", "yeast"])
def test_cells_of_few_labels_run_small_and_render_with_gaps(task: str, tmp_path: Path) -> None:
    output = tmp_path / "genomics_transfer"
    names = [f"{task}_pretrain", f"{task}_scratch_s0", f"{task}_language_s0"]
    done = run("genomics_transfer.py", "--quick", "--only", *names, "--output", str(output), "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = [json.loads((output / f"{name}.json").read_text())["results"] for name in names]
    assert found[0]["bases"] == 3000
    assert found[1]["labels"] == found[2]["labels"] == 30
    assert found[2]["n_parameters"] > found[1]["n_parameters"]
    table = (tmp_path / "genomics_transfer.md").read_text()
    assert table.count("not run") == 4
    assert "seed by seed:" in table


@needs_data
@pytest.mark.slow
def test_long_dna_is_read_small_and_rendered(tmp_path: Path) -> None:
    done = run("long_dna.py", "--quick", "--output", str(tmp_path / "long_dna"))
    assert done.returncode == 0, done.stderr
    whole = json.loads((tmp_path / "long_dna" / "whole.json").read_text())["results"]
    assert [x["bases"] for x in whole["lengths"]] == [4_096, 140_000]
    assert all(x["answer"] > 0 and x["pooled"] > 0 for x in whole["changes"])
    scan = json.loads((tmp_path / "long_dna" / "scan.json").read_text())["results"]
    assert [x["windows"] for x in scan["lengths"]] == [497, 1_997]
    assert "| 40,000 | 1,997 |" in (tmp_path / "long_dna.md").read_text()
