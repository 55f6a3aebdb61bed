"""The table; a cell that has not run is a gap."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .cells import CELLS

Parts = dict[str, dict[str, Any]]


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    done = [p["results"] for p in parts.values()]
    equal, runs = sum(r["equal"] for r in done), sum(len(r["runs"]) for r in done)
    kills = sum(len(run["kills"]) for r in done for run in r["runs"])
    lines = [
        "# Runs that are killed", "",
        "Written by `python benchmarks/kills.py`; one JSON per cell in `kills/`. SIGKILL at a time drawn uniformly "
        "over the run, in two of three runs once or twice more as it reads, evaluates, or writes a checkpoint or "
        "results; then the same command again. Equal: metrics apart from seconds, bytes of weights, rows of tables.",
        f"**{equal} of {runs} runs ended equal, after {kills} kills.** Commits: {', '.join(commits) or 'none'}.", "",
        "| recipe | runs | kills | equal | went on from a checkpoint | what they were doing when killed |",
        "|---|--:|--:|--:|--:|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(_row(cell.name, parts.get(cell.name)) for cell in CELLS), ""])


def _row(name: str, part: dict[str, Any] | None) -> str:
    if part is None:
        return f"| {name} | not run |" + " |" * 4
    runs = part["results"]["runs"]
    stages = Counter(kill["stage"] for run in runs for kill in run["kills"])
    told = ", ".join(f"{stage} {count}" for stage, count in sorted(stages.items()))
    went_on = sum(run["went_on"] for run in runs)
    return f"| {name} | {len(runs)} | {sum(stages.values())} | {part['results']['equal']} | {went_on} | {told} |"
