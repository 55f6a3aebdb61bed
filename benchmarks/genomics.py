"""How well are DNA sequences told apart and measured? Ours, its controls without a memory, a CNN, linear models, trees.

A cell is one process of its own, one thread, fp32, on the CPU, and one JSON file in results/genomics; finished cells
are skipped, and the tables render the cells there are and show the gaps. Needs the folder that TITANS_SEQ_DATA names.
Every set comes with its split: models learn and choose on its train rows, and test rows are read once, for the score.

Run: python benchmarks/genomics.py [--only PATTERN] [--force] [--list] [--quick] [--jobs 2]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _genomics.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in ("data", "kind", "model", "seed", "arguments")}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _genomics.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(
    Path(__file__), __doc__, CELLS, lambda cell, cache, quick: cell.call(quick=quick), about, render,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
