"""How long DNA is read: trained at 32 kb, asked about 1 Mb and a whole genome; a scan along it. On a CPU.

A cell is one process of its own, one thread, and one JSON file in results/long_dna; finished cells are skipped, and the
tables render the cells there are and show the gaps. Needs the folder that TITANS_SEQ_DATA names, for E. coli and yeast.

Run: python benchmarks/long_dna.py [--only PATTERN] [--force] [--list] [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _long_dna.cells import CELLS, Cell
from _runner import Benchmark


def about(cell: Cell, quick: bool) -> dict[str, Any]:
    return {"kind": cell.name, "quick": quick}


def render(parts: Mapping[str, Any], folder: Path) -> str:
    from _long_dna.report import report

    return report(dict(parts))


BENCHMARK = Benchmark(Path(__file__), __doc__, CELLS, lambda cell, _, quick: cell.call(quick=quick), about, render)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
