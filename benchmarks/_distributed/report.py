"""The tables; a cell that has not run is a gap."""

from __future__ import annotations

from typing import Any

from .cells import CELLS, MetricsCell, RowsCell

Parts = dict[str, dict[str, Any]]


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    lines = [
        "# More than one process", "",
        "Written by `python benchmarks/distributed.py`; one JSON per cell in `distributed/`. Processes of one thread "
        "each on one CPU, over gloo, started by torchrun.",
        f"Commits: {', '.join(commits) or 'none'}.", "",
        "## The same recipe in one process and in two", "",
        "Numbers of `metrics.json` (seconds left out), at the same batch.", "",
        "| cell | recipe | numbers | largest difference | of | largest relative difference | of |",
        "|---|---|--:|--:|---|--:|---|",
        *(_metrics(cell, parts.get(cell.name)) for cell in CELLS if isinstance(cell, MetricsCell)), "",
        "## Rows gathered by `predict`", "",
        "Missing, there twice, and out of order: of what each process returned. Difference: from one process.", "",
        "| cell | rows | processes | rows of each | gathered by each | missing | twice | out of order | difference |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_rows(cell, parts.get(cell.name)) for cell in CELLS if isinstance(cell, RowsCell)), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _metrics(cell: MetricsCell, part: dict[str, Any] | None) -> str:
    recipe = " ".join([f"`{cell.recipe}`", *(f"`{setting}`" for setting in cell.settings)])
    if part is None:
        return f"| {cell.name} | {recipe} | not run |" + " |" * 4
    r = part["results"]
    found = f"{r['largest_difference']:.1e} | {r['of']} | {r['largest_relative_difference']:.1e} | {r['relative_of']}"
    return f"| {cell.name} | {recipe} | {r['numbers']} | {found} |"


def _rows(cell: RowsCell, part: dict[str, Any] | None) -> str:
    if part is None:
        return f"| {cell.name} | {cell.rows} | {cell.processes} | not run |" + " |" * 5
    r = part["results"]
    names = ("rows_of_each_process", "gathered_by_each", "missing", "twice", "out_of_order")
    lists = " | ".join(", ".join(f"{x:,}" for x in r[name]) for name in names)
    return f"| {cell.name} | {r['rows']:,} | {cell.processes} | {lists} | {r['largest_difference']:.1e} |"
