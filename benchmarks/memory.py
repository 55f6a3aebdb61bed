"""What the memory costs: speed, memory held and latency on a CPU, beside titans-pytorch, attention and an LSTM.

A cell is one process of its own, one thread, fp32, and one JSON file in results/memory; finished cells are skipped.
The table and the figure render the cells there are and show the gaps. The peer needs `pip install '.[bench]'`, the
genome the folder that TITANS_SEQ_DATA names. About 20 minutes in all on a quiet machine.

Run: python benchmarks/memory.py [--only PATTERN] [--force] [--list] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _memory.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"seed": 0, "arguments": cell.arguments_of(quick)}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _memory.figure import draw
    from _memory.report import report

    draw(parts, folder.with_name(f"{folder.name}.png"))
    return report(parts)


def _limit_address_space(gigabytes: float) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = int(gigabytes * 1e9)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


BENCHMARK = Benchmark(
    Path(__file__), __doc__, CELLS, lambda cell, _, quick: cell.call(quick), about, render,
    prepare=lambda cell: _limit_address_space(cell.address_space_gb),
)  # fmt: skip


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
