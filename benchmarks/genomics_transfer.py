"""Is a classifier or regressor of DNA better with few labels if it starts from a language model of a genome?

A cell is one process of its own, one thread, and one JSON file in results/genomics_transfer; finished cells are
skipped, and the table renders the cells there are and shows the gaps. Needs the folder that TITANS_SEQ_DATA names.
A cell takes up to 3 CPU minutes.

Run: python benchmarks/genomics_transfer.py [--only PATTERN] [--force] [--list] [--quick] [--jobs 2]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _genomics_transfer.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"seed": cell.seed, "arguments": cell.arguments}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _genomics_transfer.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(
    Path(__file__), __doc__, CELLS, lambda cell, cache, quick: cell.call(cache, quick=quick), about, render,
    first=lambda cell: cell.start == "pretrain",
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
