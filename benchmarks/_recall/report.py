"""The table of results; gaps are shown."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from titans_seq.evaluation.recall import wilson_interval

from .ablations import ABLATIONS
from .cells import CELLS

LENGTHS = ("256", "1024", "16384")
Parts = dict[str, dict[str, Any]]


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
    return "\n".join(
        [*_head(parts), *_scores(parts), "", *_trainings(parts), "", *_scales(parts), "", *_ablations(parts), ""]
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
        "| cell | length | recalled | CPU s | peak RSS MB | memory's state, bytes per layer | key-value cache, bytes |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for cell in CELLS:
        if cell.kind != "scale":
            continue
        if cell.name not in parts:
            lines.append(f"| {cell.name} | not run | | | | | |")
            continue
        r = parts[cell.name]["results"]
        memory = r["state_bytes"].get("memory")
        lines.append(
            f"| {cell.name} | {r['length']:,} | {r['right']} of {r['asked']} | {r['cpu_seconds']:.1f} "
            f"| {r['peak_rss_mb']:.0f} | {'' if memory is None else f'{memory:,}'} | {r['kv_cache_bytes']:,} |"
        )
    return lines


def _ablations(parts: Parts) -> list[str]:
    lines = [
        "## Ablation: 8 needles, one change each",
        "",
        "Mean over seeds (lowest to highest) of the share recalled; trained on at most 256 tokens. "
        "Each seed: 800, 480 and 96 answers.",
        "",
        "| setting | seeds | parameters | 256 tokens | 1,024 | 16,384 | tokens written | CPU s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in ABLATIONS:
        there = [p["results"] for c in CELLS if c.kind == "ablation" and c.setup == name and (p := parts.get(c.name))]
        if not there:
            lines.append(f"| {name} | not run | | | | | | |")
            continue
        shares = " | ".join(
            _spread([r["scores"][n]["right"] / r["scores"][n]["asked"] for r in there]) for n in LENGTHS
        )
        written = 100 * sum(r["openness"] for r in there) / len(there)
        seconds = sum(r["train_cpu_seconds"] for r in there) / len(there)
        lines.append(
            f"| {name} | {len(there)} | {there[0]['n_parameters']:,} | {shares} | {written:.2f} % | {seconds:.0f} |"
        )
    return lines


def _share(score: dict[str, int]) -> float:
    return score["right"] / score["asked"]


def _spread(shares: list[float]) -> str:
    mean = 100 * sum(shares) / len(shares)
    return f"{mean:.1f} ({100 * min(shares):.0f} to {100 * max(shares):.0f})" if len(shares) > 1 else f"{mean:.1f}"
