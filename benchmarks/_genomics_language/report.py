"""The tables; a cell that has not run is a gap."""

from __future__ import annotations

import statistics
from typing import Any

from .cells import ORDERS, SEEDS

Parts = dict[str, dict[str, Any]]
TITLES = {
    "yeast": "Yeast: learned from chromosome I, bits per base of chromosome II",
    "ecoli": "E. coli W: learned from its first 250,000 bases, bits per base of 800,000 others",
}
MODELS = {
    "mag": "`DNALanguageModel`",
    "lmm": "the same, `variant='lmm'` (no attention)",
    "swa": "the same, `variant='swa'` (no memory)",
}


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    lines = [
        "# Bits per base", "",
        "Written by `python benchmarks/genomics_language.py`; one JSON per cell in `genomics_language/`. A base that "
        "is not one of A, C, G and T is not scored; 2 bits are chance. Every base is predicted before anything learns "
        "from it. Order k: counts on both strands, adaptive: also of the test sequence up to the base before; the best "
        "of six smoothings *on the test sequence* stands here, in its favour, and in brackets that of the smoothing "
        "chosen in training. Models: mean ± standard deviation over seeds, default settings, one thread. Frozen: the "
        "network's memory keeps its trained initial weights; off: it answers nothing; counts adapt in both.",
        f"Commits: {', '.join(commits) or 'none'}.", "",
    ]  # fmt: skip
    for task, title in TITLES.items():
        lines += [f"## {title}", "", *_summary(task, parts), "", *_orders(task, parts), ""]
    return "\n".join([*lines, *_length(parts), ""])


def _summary(task: str, parts: Parts) -> list[str]:
    return [
        "| model | memory learning | frozen | off | counts not adapting | CPU s: fit, read |",
        "|---|--:|--:|--:|--:|--:|",
        _best_order(parts.get(f"orders_{task}")),
        _mixture(parts.get(f"mixture_{task}")),
        *(_model(task, model, parts) for model in MODELS),
    ]


def _best_order(part: dict[str, Any] | None) -> str:
    if part is None:
        return "| best single adaptive order k | not run |" + " |" * 4
    found = part["results"]["orders"]
    k = min(found, key=lambda k: found[k]["adaptive_best"])
    static = min(one["static_best"] for one in found.values())
    return f"| best single adaptive order (k = {k}) | {found[k]['adaptive_best']:.4f} | | | {static:.4f} | |"


def _mixture(part: dict[str, Any] | None) -> str:
    if part is None:
        return "| mixture of orders | not run |" + " |" * 4
    r = part["results"]
    return f"| mixture of orders | {r['adaptive']:.4f} | | | {r['static']:.4f} | {r['adaptive_cpu_seconds']:.0f} |"


def _model(task: str, model: str, parts: Parts) -> str:
    there = [parts[name]["results"] for s in SEEDS if (name := f"model_{task}_{model}_s{s}") in parts]
    if not there:
        return f"| {MODELS[model]} | not run |" + " |" * 4
    columns = [_spread([r[key] for r in there if key in r]) for key in ("learning", "frozen", "off", "static_counts")]
    seconds = [statistics.mean(r[key] for r in there) for key in ("fit_cpu_seconds", "learning_cpu_seconds")]
    name = f"{MODELS[model]}, {there[0]['n_parameters']:,} parameters, {len(there)} seed{'s' * (len(there) > 1)}"
    return f"| {name} | {' | '.join(columns)} | {seconds[0]:.0f}, {seconds[1]:.0f} |"


def _spread(values: list[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}"


def _orders(task: str, parts: Parts) -> list[str]:
    part = parts.get(f"orders_{task}")
    head = ["| order k | static | adaptive |", "|--:|--:|--:|"]
    if part is None:
        return [*head, *(f"| {k} | not run | |" for k in ORDERS)]
    found = part["results"]["orders"]
    return head + [f"| {k} | {_bits('static', r)} | {_bits('adaptive', r)} |" for k, r in found.items()]


def _bits(kind: str, found: dict[str, Any]) -> str:
    return f"{found[f'{kind}_best']:.4f} ({found[f'{kind}_chosen']:.4f})"


def _length(parts: Parts) -> list[str]:
    head = [
        "## `surprise` of E. coli W and of its beginning (a network trained for one epoch)",
        "",
        "| bases | CPU s | peak memory of the process, MB |",
        "|--:|--:|--:|",
    ]
    part = parts.get("length_yeast_mag_s0")
    if part is None:
        return [*head, "| 4,897,452 | not run | |"]
    rows = [(int(n), r) for n, r in part["results"].items() if n != "megabytes_before"]
    return head + [f"| {n:,} | {r['cpu_seconds']:.0f} | {r['peak_megabytes']:,.0f} |" for n, r in rows]
