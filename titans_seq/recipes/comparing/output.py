"""A comparison as text, and as a folder: complete, or not there at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from titans_seq.recipes._output import run_folder
from titans_seq.recipes.comparing.runs import Comparison, Group

TABLE, TEXT, FIGURE = "comparison.csv", "comparison.md", "comparison.png"
_FILES = {TABLE, TEXT, FIGURE}
_HIGHER = ("accuracy", "mcc", "auroc", "auprc", "pearson", "spearman")
_NEITHER = ("coverage", "parameters", "fit, s")


def check_comparison(folder: Path, overwrite: bool) -> None:
    """Refuse to write where something else stands, or an earlier comparison that may not be replaced.

    Raises
    ------
    FileExistsError
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} != _FILES:
        raise FileExistsError(f"{folder} exists and is not the folder of an earlier comparison; choose another one")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier comparison; add --overwrite or choose another folder")


def write_comparison(folder: Path, found: Comparison, overwrite: bool) -> None:
    """Write table, text and figure."""
    from titans_seq.recipes.comparing.figure import draw_comparison

    with run_folder(folder, overwrite, check_comparison) as partial:
        _write_csv(partial / TABLE, found)
        (partial / TEXT).write_text(markdown(found), encoding="utf-8")
        draw_comparison(partial / FIGURE, found)


def format_comparison(found: Comparison) -> str:
    """Return the tables and what the recipes differ in, for a terminal."""
    lines: list[str] = []
    for group in found.groups:
        rows = [
            [name, *(_number(row[m]) if m in row else "" for m in group.metrics)] for name, row in group.rows.items()
        ]
        lines += [group.title, *_columns([["", *group.metrics], *rows]), ""]
    names = " | ".join(found.names)
    lines += [f"The recipes differ in ({names}):" if found.differences else "The recipes do not differ."]
    width = max(map(len, found.differences), default=0)
    for key, values in found.differences.items():
        lines.append(f"  {key:<{width}}  {' | '.join(map(_shown, values))}")
    if len(found.groups) > 1:
        lines += ["", f"{len(found.groups)} groups: scores of different data, windows or units do not compare"]
    return "\n".join(lines)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with the first column at the left and the others at the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    return ["  ".join(row).rstrip() for row in cells]


def markdown(found: Comparison) -> str:
    """Return the same as Markdown; the best score of each column is bold."""
    parts = ["# Comparison", ""]
    for group in found.groups:
        parts += [f"## {group.title}", "", *_markdown_table(group), ""]
    if found.differences:
        rows = [[f"`{key}`", *map(_shown, values)] for key, values in found.differences.items()]
        parts += ["## What the recipes differ in", "", *_pipes(["", *found.names], rows), ""]
    return "\n".join(parts)


def _markdown_table(group: Group) -> list[str]:
    best = {metric: best_of(group, metric) for metric in group.metrics}
    rows = []
    for name, row in group.rows.items():
        cells = (
            "" if m not in row else f"**{row[m]:.4g}**" if row[m] == best[m] else _number(row[m]) for m in group.metrics
        )
        rows.append([name, *cells])
    return _pipes(["", *group.metrics], rows)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _pipes(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---", *("--:" for _ in head[1:])]
    return ["| " + " | ".join(row) + " |" for row in [list(head), rule, *cells]]


def best_of(group: Group, metric: str) -> float | None:
    """Return the best score of a column; None where neither more nor less is better."""
    found = [row[metric] for row in group.rows.values() if metric in row]
    if metric.startswith(_NEITHER) or not found:
        return None
    return max(found) if metric.startswith(_HIGHER) else min(found)


def _write_csv(path: Path, found: Comparison) -> None:
    metrics = list(dict.fromkeys(metric for group in found.groups for metric in group.metrics))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["group", "row", "is_run", *metrics])
        for i, group in enumerate(found.groups):
            for place, (name, row) in enumerate(group.rows.items()):
                values = [row.get(metric, "") for metric in metrics]
                writer.writerow([i, name, str(place < group.n_runs).lower(), *values])


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
