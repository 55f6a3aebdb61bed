"""Searches of shipped recipes by their own `tune` sections, and what the winners score on the test rows.

A cell is a recipe: `titans-seq tune`, then `titans-seq run` with the values it began with and with the winner's, three
seeds each. One JSON file each in results/studies; finished cells are skipped, and the tables show the gaps. A cell
takes 5 to 30 minutes on two cores.

Run: python benchmarks/studies.py [--only PATTERN] [--force] [--list] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _runner import Benchmark
from _studies.cells import CELLS, Cell


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"recipe": cell.recipe, "score": cell.score, "quick": quick}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _studies.report import report

    return report(parts)


BENCHMARK = Benchmark(Path(__file__), __doc__, CELLS, lambda cell, _, quick: cell.call(quick=quick), about, render)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
