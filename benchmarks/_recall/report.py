"""The table of results; gaps are shown."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from titans_seq.evaluation.recall import wilson_interval

from .ablations import ABLATIONS, COLUMN
from .cells import CELLS

LENGTHS = ("256", "1024", "16384", "65536", "32 needles")
Parts = dict[str, dict[str, Any]]


BITS = (
    "Bits: 8 pairs of 64 keys and 64 values ask for 8 x 12 = 96 bits; the memory's state holds 2 x 16,384 numbers "
    "of 32 bits a layer, half of them weights (524,288 bits), half momentum.",
)
PAPER = (
    ("momentum matters", "momentum off"),
    ("forgetting matters (the greatest contribution)", "forgetting off"),
    ("the convolution matters", "convolution off"),
    ("persistent memory matters (the least)", "persistent tokens off"),
    ("a deep memory beats a linear one", "depth 1"),
    ("memory beats none", "swa (no memory)"),
)
"""What arXiv 2501.00663 finds in language modelling (tables 1 and 5, figure 7), and the setting that asks for it."""


def merged(parts: Parts) -> dict[str, dict[str, Any]]:
    """Scores by cell, parts of one added up; None for what was not run."""
    groups: dict[str, list[str]] = defaultdict(list)
    for cell in CELLS:
        if cell.kind == "score":
            groups[re.sub(r"_part\d+$", "", cell.name)].append(cell.name)
    found = {}
    for name, names in groups.items():
        there = [parts[n]["results"] for n in names if n in parts]
        if not there:
            found[name] = {"missing": len(names)}
            continue
        result = dict(there[0]) | {
            key: sum(r[key] for r in there) for key in ("right", "asked", "trials", "cpu_seconds") if key in there[0]
        }
        result["missing"] = len(names) - len(there)
        found[name] = result
    return found


def report(parts: Parts) -> str:
    """Render Markdown."""
    return "\n".join(  # fmt: skip
        [
            *_head(parts),
            *_scores(parts),
            "",
            *BITS,
            "",
            *_trainings(parts),
            "",
            *_scales(parts),
            "",
            *_ablations(parts),
            "",
            *_ordering(parts),
            "",
        ]
    )


def _head(parts: Parts) -> list[str]:
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    return [
        "# What is recalled",
        "",
        "Written by `python benchmarks/recall.py`; one JSON per cell in `recall/`. Models train on streams of at most "
        "the length given below; tests use other seeds, and for DNA another half of the genome.",
        f"Commits: {', '.join(commits)}.",
        "",
    ]


def _scores(parts: Parts) -> list[str]:
    lines = [
        "| cell | length | recalled | trials | answers | 95 % interval | tokens per CPU s |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, r in merged(parts).items():
        if "length" not in r:
            lines.append(f"| {name} | not run | | | | | |")
            continue
        rate = f"{r['length'] * r['trials'] / r['cpu_seconds']:,.0f}"
        note = f" ({r['missing']} parts not run)" if r["missing"] else ""
        if "error" in r:
            value, spread = f"MSE {r['error']:.4f}", f"± {1.96 * r['standard_error']:.4f}"
            lines.append(f"| {name}{note} | {r['length']:,} | {value} | {r['trials']} | | {spread} | {rate} |")
            continue
        low, high = wilson_interval(r["right"], r["asked"])
        lines.append(
            f"| {name}{note} | {r['length']:,} | {100 * r['right'] / r['asked']:.1f} % | {r['trials']} | {r['asked']} "
            f"| {100 * low:.1f} to {100 * high:.1f} % | {rate} |"
        )
    return lines


def _trainings(parts: Parts) -> list[str]:
    lines = ["## Training", "", "| cell | parameters | longest stream | CPU s | last loss |", "|---|--:|--:|--:|--:|"]
    for cell in CELLS:
        if cell.kind == "train" and cell.name in parts:
            r = parts[cell.name]["results"]
            last = r["curve"][-1]["loss"]
            lines.append(
                f"| {cell.name} | {r['n_parameters']:,} | {r['longest_training_length']:,} | {r['cpu_seconds']:.0f} "
                f"| {last:.4f} |"
            )
        elif cell.kind == "train":
            lines.append(f"| {cell.name} | not run | | | |")
    return lines


def _scales(parts: Parts) -> list[str]:
    lines = [
        "## Scale: one stream, 8 needles",
        "",
        "| cell | length | recalled | CPU s | peak RSS MB | state, bytes per layer | of it weights and momentum "
        "| key-value cache, bytes |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for cell in CELLS:
        if cell.kind != "scale":
            continue
        if cell.name not in parts:
            lines.append(f"| {cell.name} | not run | | | | | | |")
            continue
        r = parts[cell.name]["results"]
        state = " | ".join(f"{n:,}" if (n := r["state_bytes"].get(part)) else "" for part in ("all", "memory"))
        lines.append(
            f"| {cell.name} | {r['length']:,} | {r['right']} of {r['asked']} | {r['cpu_seconds']:.1f} "
            f"| {r['peak_rss_mb']:.0f} | {state} | {r['kv_cache_bytes']:,} |"
        )
    return lines


def _results(parts: Parts, kind: str, setting: str) -> list[dict[str, Any]]:
    """Of every seed there is."""
    names = [c.name for c in CELLS if c.kind == kind and c.setup == setting]
    return [parts[name]["results"] for name in names if name in parts]


def _recalled(parts: Parts, setting: str, length: str) -> list[float]:
    scores = [r["scores"].get(length) for r in _results(parts, "ablation", setting)]
    return [score["right"] / score["asked"] for score in scores if score]


def _errors(parts: Parts, setting: str, part: str = "combined") -> list[float]:
    return [r["mse"][part] for r in _results(parts, "ettm1", setting)]


def _ablations(parts: Parts) -> list[str]:
    lines = [
        "## Ablation: 8 needles, one change each",
        "",
        "Mean over seeds (lowest to highest) of the share recalled; trained on at most 256 tokens. "
        "Each seed: 800, 480, 96, 32 and 1,280 answers; the last are of 32 needles in 1,024 tokens, four times as many "
        "as trained on. ETTm1: test MSE, 96 steps ahead, one pass over 57,600 rows in patches of "
        "16, trained on sequences of 2,048 rows; for the six settings named in `_recall/ablations.py`.",
        "",
        "| setting | seeds | parameters | 256 tokens | 1,024 | 16,384 | 65,536 | 32 needles | mean step θ | CPU s "
        "| ETTm1 |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in ABLATIONS:
        there = _results(parts, "ablation", name)
        if not there:
            lines.append(f"| {name} | not run | | | | | | | | | {_error(parts, name)} |")
            continue
        shares = " | ".join(_spread(_recalled(parts, name, length)) for length in LENGTHS)
        written = sum(r["openness"] for r in there) / len(there)
        seconds = sum(r["train_cpu_seconds"] for r in there) / len(there)
        lines.append(
            f"| {name} | {len(there)} | {there[0]['n_parameters']:,} | {shares} | {written:.4f} | {seconds:.0f} "
            f"| {_error(parts, name)} |"
        )
    ridge = _errors(parts, next(iter(COLUMN)), "ridge")
    return [*lines, "", f"ETTm1, the linear map alone: {ridge[0]:.4f}."] if ridge else lines


def _error(parts: Parts, setting: str) -> str:
    if setting not in COLUMN:
        return ""
    found = _errors(parts, setting)
    if not found:
        return "not run"
    return f"{sum(found) / len(found):.4f} ({min(found):.4f} to {max(found):.4f}; {len(found)} seeds)"


def _ordering(parts: Parts) -> list[str]:
    base = next(iter(ABLATIONS))
    lines = [
        "## The paper's ordering beside ours",
        "",
        "Points of recall lost, and MSE gained, by the change; means over seeds. Where the spread of the seeds above "
        "is as large, it says nothing.",
        "",
        "| the paper | setting | recall lost at 1,024 | at 16,384 | at 65,536 | of 32 needles | ETTm1 MSE gained |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for claim, setting in PAPER:
        lost = [
            _difference(_recalled(parts, base, n), _recalled(parts, setting, n), "{:+.1f}", 100) for n in LENGTHS[1:]
        ]
        gained = _difference(_errors(parts, setting), _errors(parts, base), "{:+.4f}") if setting in COLUMN else ""
        lines.append(f"| {claim} | {setting} | {' | '.join(lost)} | {gained} |")
    return lines


def _difference(more: list[float], less: list[float], form: str, times: float = 1) -> str:
    if not more or not less:
        return "not run"
    return form.format(times * (sum(more) / len(more) - sum(less) / len(less)))


def _spread(shares: list[float]) -> str:
    if not shares:
        return "-"
    mean = 100 * sum(shares) / len(shares)
    return f"{mean:.1f} ({100 * min(shares):.0f} to {100 * max(shares):.0f})" if len(shares) > 1 else f"{mean:.1f}"
