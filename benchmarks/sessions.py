"""Many sessions in one pool: throughput, latency, bytes; saving, evicting, restoring; and whether secrets stay secret.

A cell is one process of its own and one JSON file in results/sessions; finished cells are skipped. The cell `train`
comes before `asked` and `probe` and keeps its weights in a cache (`--cache`). The table renders the cells there are
and shows the gaps. About ten CPU minutes in all.

Run: python benchmarks/sessions.py [--only PATTERN ...] [--force] [--list] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _runner import Benchmark
from _sessions.cells import BACKBONE, CELLS, Cell


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"seed": 0, "backbone": BACKBONE, "threads": cell.threads, "arguments": cell.arguments_of(quick)}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _sessions.report import report

    return report(parts)


BENCHMARK = Benchmark(
    Path(__file__), __doc__, CELLS, lambda cell, cache, quick: cell.call(cache, quick=quick), about, render,
    threads=lambda cell: cell.threads, first=lambda cell: cell.name == "train",
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
