"""Forecasts under the protocol of published benchmarks: every test window, choices on validation rows alone.

A cell is one process of its own, one thread, and one JSON file in results/forecasting; finished cells are skipped,
and the tables render the cells there are and show the gaps. Needs the folder that TITANS_SEQ_DATA names. A cell
takes up to 5 CPU minutes.

Run: python benchmarks/forecasting.py [--only PATTERN] [--force] [--list] [--quick] [--jobs 2]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _forecasting.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in ("data", "horizon", "model", "mode", "seed", "options")}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _forecasting.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(Path(__file__), __doc__, CELLS, lambda cell, cache, quick: cell.call(cache, quick=quick), about, render)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
