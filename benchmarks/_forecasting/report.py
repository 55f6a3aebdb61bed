"""The tables; a cell that has not run is a gap."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

from .cells import CELLS, ETT, SETS, Cell

Parts = dict[str, dict[str, Any]]


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    lines = [
        "# Forecasting", "",
        "Written by `python benchmarks/forecasting.py`; one JSON per cell in `forecasting/`. Test MSE in z-scores of "
        "the train rows, every test window at stride 1. Look-back chosen on validation rows; `ridge_96` looks back on "
        "96 rows. Seeds: mean ± standard deviation.",
        f"Commits: {', '.join(commits) or 'none'}.", "",
    ]  # fmt: skip
    for mode in ("windowed", "streaming"):
        lines += [f"## {mode.capitalize()}", "", *_table(parts, mode), ""]
    return "\n".join(lines)


def _table(parts: Parts, mode: str) -> list[str]:
    models = list(dict.fromkeys(c.model for c in CELLS if c.mode == mode))
    lines = [f"| data | horizon | {' | '.join(models)} |", "|---|--:|" + "--:|" * len(models)]
    for data in SETS if mode == "windowed" else ETT:
        for horizon in dict.fromkeys(c.horizon for c in CELLS if c.mode == mode and c.data == data):
            cells = [_cell(parts, mode, data, horizon, model) for model in models]
            lines.append(f"| {data} | {horizon} | {' | '.join(cells)} |")
    return lines


def _cell(parts: Parts, mode: str, data: str, horizon: int, model: str) -> str:
    def fits(cell: Cell) -> bool:
        return (cell.mode, cell.data, cell.horizon, cell.model) == (mode, data, horizon, model)

    named = [c for c in CELLS if fits(c)]
    scores = [parts[c.name]["results"]["mse"] for c in named if c.name in parts]
    if not named:
        return ""
    if not scores:
        return "not run"
    spread = f" ± {stdev(scores):.4f}" if len(scores) > 1 else ""
    return f"{mean(scores):.4f}{spread}" + (
        f" ({len(scores)} of {len(named)} seeds)" if len(scores) < len(named) else ""
    )
