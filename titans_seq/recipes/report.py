"""A run's scores as a table of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titans_seq.recipes._output import Run
from titans_seq.recipes.recall.report import format_recall_report


def format_report(run: Run) -> str:
    """Return the scores as a table, one row each, and what they were measured on."""
    metrics = run.metrics
    if metrics.get("kind") == "recall":
        return format_recall_report(run)
    rows = {"model": metrics["model"]}
    rows |= {f"baseline {name}": scores for name, scores in metrics["baselines"].items()}
    rows |= {f"part {name}": scores for name, scores in metrics["parts"].items()}
    seconds, change = metrics["seconds"], metrics["memory_zeroed_max_abs_change"]
    lines = [
        *_table(rows),
        f"{metrics['n_windows']:,} test windows x {metrics['n_series']} series, unit: {metrics['unit']}",
        f"{metrics['n_parameters']:,} parameters; fit {seconds['fit']:.0f} s, evaluation {seconds['evaluate']:.0f} s",
        f"zeroing the memory's output changed forecasts by up to {change:.3g}",
        f"written to {run.folder}",
    ]
    return "\n".join(lines)


def _table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    names = list(rows["model"])
    left = max(map(len, rows))
    width = max(10, *map(len, names))
    lines = [" " * left + "".join(f"  {name:>{width}}" for name in names)]
    for title, scores in rows.items():
        cells = (f"{scores[name]:.4g}" if name in scores else "" for name in names)
        lines.append(f"{title:<{left}}" + "".join(f"  {cell:>{width}}" for cell in cells))
    return [line.rstrip() for line in lines]
