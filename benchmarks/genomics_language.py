"""How well is the next base of a genome predicted? Bits per base against Markov models, and what the memory is worth.

A cell is one process of its own, one thread, fp32, and one JSON file in results/genomics_language; finished cells are
skipped, and the tables render the cells there are and show the gaps. Needs the folder that TITANS_SEQ_DATA names.
A cell takes up to 5 CPU minutes.

Run: python benchmarks/genomics_language.py [--only PATTERN] [--force] [--list] [--quick] [--jobs 2]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _genomics_language.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"seed": cell.seed, "arguments": cell.arguments}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _genomics_language.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(
    Path(__file__), __doc__, CELLS, lambda cell, cache, quick: cell.call(quick=quick), about, render,
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
