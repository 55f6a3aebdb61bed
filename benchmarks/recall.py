"""Does it remember? What trained models recall of streams up to thousands of times longer than those they learned on.

A cell is one process of its own, one thread, fp32, and one JSON file in results/recall; finished cells are skipped.
Training cells come first and keep their weights in a cache (`--cache`). The table and the figure render the cells
there are and show the gaps. DNA needs the folder that TITANS_SEQ_DATA names. A cell takes up to 5 CPU minutes
(those of memories of depth 3 and 4 up to 10); all of them about six hours of one core.

Run: python benchmarks/recall.py [--only PATTERN] [--force] [--list] [--quick] [--jobs 2]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _recall.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"setup": cell.setup, "seed": cell.seed, "arguments": cell.arguments}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _recall.figure import draw
    from _recall.report import report

    draw(dict(parts), folder.with_name(f"{folder.name}.png"))
    return report(dict(parts))


BENCHMARK = Benchmark(
    Path(__file__), __doc__, CELLS, lambda cell, cache, quick: cell.call(cache, quick=quick), about, render,
    first=lambda cell: cell.kind == "train",
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
