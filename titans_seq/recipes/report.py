"""A run's scores as a table of text."""

from __future__ import annotations

from titans_seq.recipes._output import Run
from titans_seq.recipes._table import score_table
from titans_seq.recipes.dna.report import format_dna_report
from titans_seq.recipes.html import REPORT
from titans_seq.recipes.recall.report import format_recall_report


def format_report(run: Run) -> str:
    """Return the scores as a table, one row each, and what they were measured on."""
    metrics = run.metrics
    if metrics.get("kind") == "recall":
        return format_recall_report(run)
    if metrics.get("kind") in ("classify", "regress"):
        return format_dna_report(run)
    rows = {"model": metrics["model"]}
    rows |= {f"baseline {name}": scores for name, scores in metrics["baselines"].items()}
    rows |= {f"part {name}": scores for name, scores in metrics["parts"].items()}
    seconds, change = metrics["seconds"], metrics["memory_zeroed_max_abs_change"]
    lines = [
        *score_table(rows),
        f"{metrics['n_windows']:,} test windows x {metrics['n_series']} series, unit: {metrics['unit']}",
        f"{metrics['n_parameters']:,} parameters; fit {seconds['fit']:.0f} s, evaluation {seconds['evaluate']:.0f} s",
        f"zeroing the memory's output changed forecasts by up to {change:.3g}",
        f"written to {run.folder}; report: {run.folder / REPORT}",
    ]
    return "\n".join(lines)
