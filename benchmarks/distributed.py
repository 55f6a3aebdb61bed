"""Whether two processes find what one process finds, and gather every row once.

A cell is one process that starts others, one thread each, and one JSON file in results/distributed; finished cells are
skipped, and the tables render the cells there are and show the gaps. Processes speak over gloo, on one CPU. A cell
takes some CPU minutes at most.

Run: python benchmarks/distributed.py [--only PATTERN] [--force] [--list] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _distributed.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"processes": cell.processes, "seed": 0, "quick": quick}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _distributed.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(Path(__file__), __doc__, CELLS, lambda cell, _, quick: cell.call(quick=quick), about, render)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
