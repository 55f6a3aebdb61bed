"""The benchmark of the memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmark_runs import BENCHMARKS, load, run


def test_memory_lists_its_cells() -> None:
    done = run("memory.py", "--list")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names))
    assert {"rate_forward", "share", "genome"} <= set(names)


def test_a_pattern_that_matches_no_cell_is_refused() -> None:
    done = run("memory.py", "--only", "nothing_of_the_kind")
    assert done.returncode == 2
    assert "no cell matches 'nothing_of_the_kind'" in done.stderr


def test_a_cell_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("memory.py", "--quick", "--only", "share", "--output", str(tmp_path / "memory"))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "memory" / "share.json").read_text())
    assert {"command", "seed", "environment", "results"} <= set(record)
    assert record["environment"]["threads"] == 1
    share = record["results"]["share_of_block"]["memory layer"]
    assert 0 < share < 2
    table = (tmp_path / "memory.md").read_text()
    assert "| genome | not run |" in table
    assert "| memory layer |" in table
    assert (tmp_path / "memory.png").stat().st_size > 10_000


def test_a_finished_cell_is_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    part = {"results": {"parts": {}, "share_of_block": {}}, "environment": {"processor": "p", "cores": 1}}
    part["environment"] |= {"packages": {"torch": "t"}, "commit": None}
    (tmp_path / "memory" / "share.json").write_text(json.dumps(part))
    done = run("memory.py", "--quick", "--only", "share", "--output", str(tmp_path / "memory"))
    assert done.returncode == 0, done.stderr
    assert "share: there already" in done.stdout


@pytest.mark.parametrize(("rule", "de", "be", "bd"), [("bounded", 34, 8, 7), ("titans", 22, 4, 4)])
def test_counted_operations_add_up_to_the_stated_sums(rule: str, de: int, be: int, bd: int) -> None:
    flops = load(BENCHMARKS / "_memory" / "flops.py")
    d, e, b = 128, 512, 64
    assert flops.flops_per_token(d, e, b, rule) == de * d * e + be * b * e + bd * b * d + 2 * b * b
    assert flops.needed_per_token(d, e, b, rule) < flops.flops_per_token(d, e, b, rule)
