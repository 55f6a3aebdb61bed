"""Scores as a table of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def score_table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each row and one of headings; columns are those of the first row."""
    names = list(next(iter(rows.values())))
    left = max(map(len, rows))
    width = max(10, *map(len, names))
    lines = [" " * left + "".join(f"  {name:>{width}}" for name in names)]
    for title, scores in rows.items():
        cells = (f"{scores[name]:.4g}" if name in scores else "" for name in names)
        lines.append(f"{title:<{left}}" + "".join(f"  {cell:>{width}}" for cell in cells))
    return [line.rstrip() for line in lines]
