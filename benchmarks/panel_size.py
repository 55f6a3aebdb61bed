"""How long a fit and a forecast take, and how much memory, for many short series and for few very long ones.

A cell is one process of its own, one thread, and one JSON file in results/panel_size; finished cells are skipped, and
the table renders the cells there are and shows the gaps. The series are made up. A cell takes some CPU minutes.

Run: python benchmarks/panel_size.py [--only PATTERN] [--force] [--list] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _panel_size.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"series": cell.n_series, "rows": cell.rows, "seed": cell.seed, "quick": quick}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _panel_size.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(Path(__file__), __doc__, CELLS, lambda cell, _, quick: cell.call(quick=quick), about, render)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
