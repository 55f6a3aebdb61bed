"""Runs of recipes that are killed with SIGKILL at times drawn uniformly, and started again: what they end with.

A cell is one kind of recipe: it is run once to the end, and then again and again, each time killed one to three times
in a row and started again with the same command: first at a time drawn uniformly, then while it does what a time drawn
uniformly seldom hits (reading data, evaluating, writing a checkpoint or results). A run counts as equal if metrics.json
(apart from seconds), the bytes of the weights and every row of the tables are those of the run that was not killed.
Checkpoints are written twice a second here, and each of them slowly, so that many kills fall in the writing of one. A
cell takes some 10 to 30 minutes.

Run: python benchmarks/kills.py [--only PATTERN] [--force] [--list] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _kills.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"recipe": cell.recipe, "changes": cell.changes, "runs": cell.runs, "seed": cell.seed, "quick": quick}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _kills.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(Path(__file__), __doc__, CELLS, lambda cell, _, quick: cell.call(quick=quick), about, render)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
