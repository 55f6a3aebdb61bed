"""The scores of a run on DNA as text."""

from __future__ import annotations

from typing import Any

from titans_seq.recipes._output import Run
from titans_seq.recipes._table import score_table
from titans_seq.recipes.html import REPORT


def format_dna_report(run: Run) -> str:
    """Return the scores as a table, what they were measured on, and the report on leaks."""
    metrics = run.metrics
    rows = {metrics["estimator"]: metrics["model"]}
    rows |= {f"baseline {name}": found for name, found in metrics["baselines"].items()}
    seconds = metrics["seconds"]
    lines = [
        *score_table(rows),
        *(f"baseline {name} left out: {why}" for name, why in metrics["left_out"].items()),
        _measured_on(metrics),
        f"{metrics['n_parameters']:,} parameters in {_networks(metrics)}; "
        f"fit {seconds['fit']:.0f} s, evaluation {seconds['evaluate']:.0f} s",
        *metrics["leaks"]["report"],
        f"written to {run.folder}; report: {run.folder / REPORT}",
    ]
    return "\n".join(lines)


def _measured_on(metrics: dict[str, Any]) -> str:
    simulated = " SIMULATED" if metrics["simulated"] else ""
    found = f"{metrics['n_test']:,}{simulated} test sequences, {metrics['n_train']:,} for training"
    found += f", {metrics['n_unused']:,} not used" if metrics["n_unused"] else ""
    if "classes" not in metrics:
        return found
    tested = ", ".join(f"{name} {count:,}" for name, count in metrics["classes"]["test"].items())
    return f"{found}; tested: {tested}"


def _networks(metrics: dict[str, Any]) -> str:
    n = metrics["n_members"]
    return "one network" if n == 1 else f"{n} networks"
