"""Benchmarks that are run small as a whole, and their lists of cells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmark_runs import run


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", ["recall.py", "sessions.py", "forecasting.py", "memory.py", "genomics_language.py", "genomics.py"]
)
def test_every_benchmark_names_its_cells_once(script: str) -> None:
    done = run(script, "--list")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names)) > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell", ["train_shapes_swa_s0", "shapes_swa_s0_one_2500", "scale_mag_1k", "ablation_depth_1_s0"]
)
def test_a_recall_cell_of_each_kind_runs_small_and_renders_with_gaps(cell: str, tmp_path: Path) -> None:
    done = run("recall.py", "--quick", "--only", cell, "--output", str(tmp_path / "recall"))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "recall" / f"{cell}.json").read_text())
    assert record["command"] == f"python benchmarks/recall.py --only {cell} --quick"
    assert {"setup", "seed", "arguments", "results", "environment"} <= set(record)
    assert "| needles_s0_one_2m | not run |" in (tmp_path / "recall.md").read_text()
    assert (tmp_path / "recall.png").stat().st_size > 5_000


@pytest.mark.slow
def test_a_study_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("studies.py", "--quick", "--only", "dna_quickstart", "--output", str(tmp_path / "studies"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "studies" / "dna_quickstart.json").read_text())["results"]
    assert results["trials"]["complete"] == len(results["rows"]) == 2
    assert results["by_hand"]["score"] == "log_loss" and len(results["best_on_test"]["values"]) == 2
    table = (tmp_path / "studies.md").read_text()
    assert "| `quickstart` | not run |" in table and "## dna_quickstart" in table


@pytest.mark.slow
def test_a_cell_of_kills_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("kills.py", "--quick", "--only", "recall", "--output", str(tmp_path / "kills"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "kills" / "recall.json").read_text())["results"]
    assert [(r["equal"], r["left"]) for r in results["runs"]] == [(True, False)]
    assert "| forecast | not run |" in (tmp_path / "kills.md").read_text()


def test_a_cell_of_panel_sizes_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("panel_size.py", "--quick", "--only", "5000x200", "--output", str(tmp_path / "panel_size"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "panel_size" / "5000x200.json").read_text())["results"]
    assert results["mse"] < results["naive_mse"]
    assert results["update"]["peak_megabytes"] >= results["megabytes_before"] > 0
    assert "| 50x20000 | not run |" in (tmp_path / "panel_size.md").read_text()


@pytest.mark.slow
def test_rows_gathered_by_two_processes_are_counted_and_gaps_shown(tmp_path: Path) -> None:
    done = run("distributed.py", "--quick", "--only", "rows_arrays", "--output", str(tmp_path / "distributed"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "distributed" / "rows_arrays.json").read_text())["results"]
    assert (results["rows_of_each_process"], results["gathered_by_each"]) == ([50, 51], [101, 101])
    assert results["missing"] == results["twice"] == results["out_of_order"] == [0, 0]
    table = (tmp_path / "distributed.md").read_text()
    assert "| metrics_dna_ddp | `dna_quickstart` `model.dropout=0.0` | not run |" in table
