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
        "Numbers of `metrics.json` (seconds left out), at the same batch. control: one process both times, the "
        "second with a learning rate that is larger by 1e-7 of itself. double: networks in double precision.", "",
        "| cell | recipe | numbers | largest difference | of | largest relative difference | of |",
        "|---|---|--:|--:|---|--:|---|",
        *(_metrics(cell, parts.get(cell.name)) for cell in CELLS if isinstance(cell, MetricsCell)), "",
        "## Rows gathered by `predict`", "",
        "What each process returned beside what the same model says alone: rows that are missing, there twice, or "
        "elsewhere (nearest to another row; distinct: rows that can be told apart), and the largest difference.", "",
        "| cell | rows | distinct | processes | rows of each | gathered by each | missing | twice | elsewhere | "
        "difference |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_rows(cell, parts.get(cell.name)) for cell in CELLS if isinstance(cell, RowsCell)), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _metrics(cell: MetricsCell, part: dict[str, Any] | None) -> str:
    words = [cell.recipe, *cell.settings, *([] if cell.control is None else [cell.control])]
    recipe = " ".join(f"`{word}`" for word in words)
    if part is None:
        return f"| {cell.name} | {recipe} | not run |" + " |" * 4
    r = part["results"]
    found = f"{r['largest_difference']:.1e} | {r['of']} | {r['largest_relative_difference']:.1e} | {r['relative_of']}"
    return f"| {cell.name} | {recipe} | {r['numbers']} | {found} |"


def _rows(cell: RowsCell, part: dict[str, Any] | None) -> str:
    if part is None:
        return f"| {cell.name} | {cell.rows} | | {cell.processes} | not run |" + " |" * 5
    r = part["results"]
    names = ("rows_of_each_process", "gathered_by_each", "missing", "twice", "out_of_order")
    lists = " | ".join(", ".join(f"{x:,}" for x in r[name]) for name in names)
    sizes = f"{r['rows']:,} | {r['distinct']:,} | {cell.processes}"
    return f"| {cell.name} | {sizes} | {lists} | {r['largest_difference']:.1e} |"
