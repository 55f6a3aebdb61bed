"""The benchmark of sessions."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_runs import BENCHMARKS, load, run


def test_sessions_lists_its_cells() -> None:
    done = run("sessions.py", "--list")
    assert done.returncode == 0, done.stderr
    assert {"pool_mag_1", "pool_lmm_2", "files_mag", "train", "asked", "probe"} <= set(done.stdout.split())
    done = run("sessions.py", "--only", "nothing_of_the_kind")
    assert (done.returncode, "no cell matches 'nothing_of_the_kind'" in done.stderr) == (2, True)


def test_a_cell_of_sessions_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    output = tmp_path / "sessions"
    done = run("sessions.py", "--quick", "--only", "files_lmm", "--output", str(output), "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record = json.loads((output / "files_lmm.json").read_text())
    assert {"command", "seed", "threads", "environment"} <= set(record)
    assert 0 < record["results"]["bytes_in_the_pool"] < record["results"]["bytes_in_the_file"]
    table = (tmp_path / "sessions.md").read_text()
    assert "| probe | not run |" in table
    assert "| lmm | evict | 2 |" in table


def test_the_other_cells_of_sessions_run_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    cells = {cell.name: cell for cell in importlib.import_module("_sessions.cells").CELLS}
    found = {name: cells[name].call(tmp_path, quick=True) for name in ("pool_mag_1", "asked", "probe")}
    assert found["pool_mag_1"]["steps"]["all"]["calls"] == 2
    assert found["asked"]["largest_difference_from_a_new_session"] == {"forgotten": 0.0, "reused row": 0.0}
    assert set(found["asked"]["asked"]["neighbour"]) >= {"accuracy", "interval", "chance_is_within"}
    assert len(found["probe"]["probes"]) == 5
    parts = {n: {"results": r, "arguments": cells[n].arguments, "threads": 1} for n, r in found.items()}
    common: dict[str, Any] = {"load_average": {"before": 0.0, "after": 0.0}}
    common["environment"] = {"processor": "p", "cores": 1, "packages": {"torch": "t"}, "commit": None}
    table = importlib.import_module("_sessions.report").report({n: part | common for n, part in parts.items()})
    assert "| train | not run |" in table
    assert "| neighbour | network of 64 |" in table


def test_a_probe_finds_what_is_there_and_nothing_where_nothing_is() -> None:
    classify = load(BENCHMARKS / "_sessions" / "classify.py")
    random = np.random.default_rng(0)
    labels, states = np.arange(240) % 4, random.normal(size=(240, 3000))
    train = np.arange(240) < 120
    told = states + 0.5 * random.normal(size=(4, 3000))[labels]
    assert min(classify.probed(told, labels, train).values()) >= 110
    assert max(classify.probed(states, labels, train).values()) < 50
    assert max(classify.probed(np.ones((240, 5)), labels, train).values()) <= 40
