"""The table; a cell that has not run is a gap."""

from __future__ import annotations

from typing import Any

from .cells import CELLS

Parts = dict[str, dict[str, Any]]


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    lines = [
        "# Size of panels", "",
        "Written by `python benchmarks/panel_size.py`; one JSON per cell in `panel_size/`. "
        "`TitansForecaster(horizon=24)` with its defaults, network included, one thread; seconds are wall / CPU, "
        "memory is the peak of the process (PyTorch and the data included). Load: average before and after.",
        f"Commits: {', '.join(commits) or 'none'}.", "",
        "| series × rows | fit, s | predict, s | update by 24 rows, s | peak, MB | epochs | MSE (naive) | load |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    return "\n".join([*lines, *(_row(cell.name, parts.get(cell.name)) for cell in CELLS), ""])


def _row(name: str, part: dict[str, Any] | None) -> str:
    if part is None:
        return f"| {name} | not run |" + " |" * 6
    r, load = part["results"], part["load_average"]
    seconds = [f"{r[step]['seconds']:.3g} / {r[step]['cpu_seconds']:.3g}" for step in ("fit", "predict", "update")]
    peak = f"{r['update']['peak_megabytes']:,.0f} (before {r['megabytes_before']:,.0f})"
    error = f"{r['mse']:.3f} ({r['naive_mse']:.3f})"
    around = f"{load['before']:.1f}, {load['after']:.1f}"
    return f"| {name} | {' | '.join(seconds)} | {peak} | {r['epochs']} | {error} | {around} |"
