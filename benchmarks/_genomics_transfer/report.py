"""The table; a cell that has not run is a gap."""

from __future__ import annotations

import statistics
from typing import Any

from .cells import FITTING, LABELS, SEEDS, TASKS

Parts = dict[str, dict[str, Any]]
MEASURES = {"label": ("mcc", "auroc", "accuracy"), "target": ("pearson", "spearman")}
STARTS = {"scratch": "from nothing", "language": "`init=` language model"}


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    settings = ", ".join(f"{name}={value}" for name, value in FITTING.items())
    lines = [
        f"# {LABELS} labels, with and without a language model", "",
        "Written by `python benchmarks/genomics_transfer.py`; one JSON per cell in `genomics_transfer/`. The model is "
        "`DNALanguageModel`, trained on a stretch of a genome of the species without labels; test sequences that lie "
        f"in that stretch were read there, without their labels. {LABELS} training rows are drawn by the seed, the "
        f"same for both starts; default settings but for {settings}; all test rows, each asked once. Mean ± standard "
        "deviation over seeds.",
        f"Commits: {', '.join(commits) or 'none'}.", "",
    ]  # fmt: skip
    for name, task in TASKS.items():
        measures = MEASURES[task.column]
        lines += [f"## {task.labelled}", "", _pretraining(parts.get(f"{name}_pretrain")), ""]
        lines += [
            f"| start | {' | '.join(measures)} | seeds | CPU s: fit, predict |",
            "|---" * (len(measures) + 3) + "|",
        ]
        lines += [_row(name, start, measures, parts) for start in STARTS]
        lines += ["", _difference(name, measures, parts), ""]
    return "\n".join(lines)


def _pretraining(part: dict[str, Any] | None) -> str:
    if part is None:
        return "Pretraining: not run."
    r = part["results"]
    bits, seconds = f"{r['validation_bits']:.4f}", f"{r['fit_cpu_seconds']:.0f}"
    return f"Pretraining: {r['bases']:,} bases, {bits} bits per base in validation, {seconds} CPU s."


def _there(name: str, start: str, parts: Parts) -> list[dict[str, Any]]:
    return [parts[cell]["results"] for seed in SEEDS if (cell := f"{name}_{start}_s{seed}") in parts]


def _row(name: str, start: str, measures: tuple[str, ...], parts: Parts) -> str:
    there = _there(name, start, parts)
    if not there:
        return f"| {STARTS[start]} | not run |" + " |" * (len(measures) + 1)
    values = [_spread([r[measure] for r in there]) for measure in measures]
    seconds = [statistics.mean(r[f"{what}_cpu_seconds"] for r in there) for what in ("fit", "predict")]
    return f"| {STARTS[start]} | {' | '.join(values)} | {len(there)} | {seconds[0]:.0f}, {seconds[1]:.0f} |"


def _difference(name: str, measures: tuple[str, ...], parts: Parts) -> str:
    """Say by how much the language model changes the first measure, seed by seed."""
    cells = [[f"{name}_{start}_s{seed}" for start in STARTS] for seed in SEEDS]
    pairs = [[parts[cell]["results"][measures[0]] for cell in pair] for pair in cells if all(c in parts for c in pair)]
    if not pairs:
        return "Difference: not run."
    each = ", ".join(f"{after - before:+.3f}" for before, after in pairs)
    return f"Difference of {measures[0]}, seed by seed: {each}."


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
