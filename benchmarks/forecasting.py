"""Forecasts under the protocol of published benchmarks: every test window, choices on validation rows alone.

A cell is one process of its own, one thread, and one JSON file in results/forecasting; finished cells are skipped,
and the tables render the cells there are and show the gaps. Needs the folder that TITANS_SEQ_DATA names, and the extra
`bench` for the models of neuralforecast and statsforecast. A cell takes up to 5 CPU minutes.

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
    from _forecasting.figure import draw
    from _forecasting.report import report

    draw(dict(parts), folder.with_name(f"{folder.name}.png"))
    return report(dict(parts))


def call(cell: Cell, cache: Path, quick: bool) -> dict[str, Any]:
    return cell.call(cache, quick=quick)


def first(cell: Cell) -> bool:
    """Look-backs: the other cells need them."""
    return cell.mode == "choose" or cell.model == "choose"


BENCHMARK = Benchmark(Path(__file__), __doc__, CELLS, call, about, render, first=first)


if __name__ == "__main__":
    sys.exit(BENCHMARK.main())
