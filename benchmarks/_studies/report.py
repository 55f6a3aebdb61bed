"""The tables; a cell that has not run is a gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .cells import CELLS, Cell

Parts = Mapping[str, Mapping[str, Any]]
LEFT_OUT = ("process", "attempt", "begun", "epochs", "n_parameters")


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    lines = [
        "# Studies", "",
        "Written by `python benchmarks/studies.py`; one JSON per recipe in `studies/`, every trial in it. Searches of "
        "shipped recipes by `titans-seq tune RECIPE --workers 2`, one thread each, by the validation rows and with one "
        "seed. They begin (trial 0) with the memory that the estimators have by default and a rate chosen by hand, not "
        "with what the recipes carry by now. The test rows were scored afterwards, by `titans-seq run` with the values "
        "of trial 0 and of the search's `best.yaml`, three seeds each (mean ± standard deviation): they show whether "
        "what validation prefers holds. Test: mean squared error, or log loss of DNA.", "",
        f"Commits: {', '.join(commits) or 'none'}.", "",
        "| recipe | trials completed / pruned / failed | validation, trial 0 | validation, best | test, by hand | "
        "test, best | search, s |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(_row(cell, parts.get(cell.name)) for cell in CELLS), "",
        "Values of the best trial, and trials by validation error:", "",
    ]  # fmt: skip
    for cell in CELLS:
        if cell.name in parts:
            lines += _study(cell, parts[cell.name]["results"])
    return "\n".join(lines)


def _row(cell: Cell, part: Mapping[str, Any] | None) -> str:
    if part is None:
        return f"| `{cell.recipe}` | not run |  |  |  |  |  |"
    found = part["results"]
    objective, done = found["objectives"][0], found["trials"]
    first = next(row for row in found["rows"] if row["trial"] == "0")
    counts = f"{done['complete']} / {done['pruned']} / {done['fail']}"
    return (
        f"| `{cell.recipe}` | {counts} | {_number(first[objective])} | {_number(found['best']['values'][objective])} "
        f"(trial {found['best']['trial']}) | {_spread(found['by_hand'])} | {_spread(found['best_on_test'])} | "
        f"{found['study_seconds']:.0f} |"
    )


def _spread(score: Mapping[str, Any]) -> str:
    return f"{score['mean']:.4f} ± {score['std']:.4f}"


def _study(cell: Cell, found: Mapping[str, Any]) -> list[str]:
    objective = found["objectives"][0]
    rows = sorted(found["rows"], key=lambda row: (row[objective] == "", float(row[objective] or 0)))
    names = [name for name in rows[0] if name not in LEFT_OUT]
    best = ", ".join(f"`{key}` {_value(value)}" for key, value in found["best"]["params"].items())
    table = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    table += ["| " + " | ".join(_number(row[name]) for name in names) + " |" for row in rows]
    return [f"## {cell.recipe}", "", f"{best}.", "", *table, ""]


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "as learned" if value is None else str(value)


def _number(text: str | float) -> str:
    """Numbers with four digits, anything else as it stands."""
    try:
        value = float(text)
    except ValueError:
        return str(text)
    return f"{value:.4g}" if value == int(value) or abs(value) < 0.1 else f"{value:.4f}"
