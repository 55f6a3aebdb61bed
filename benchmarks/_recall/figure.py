"""Accuracy against length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from titans_seq.evaluation.recall import wilson_interval

from .report import Parts, merged

LINES = {
    "one needle": ("needles_s0_one_", "#0072B2", "o"),
    "eight needles": ("needles_s0_eight_", "#009E73", "s"),
    "last write, decoys": ("overwrite_s0_", "#CC79A7", "^"),
    "motif in E. coli": ("dna_s0_", "#D55E00", "D"),
    "two hops": ("hops_s0_", "#E69F00", "v"),
    "one needle, attention": ("needles_attention_s0_one_", "#555555", "x"),
    "one needle, window only": ("needles_swa_s0_one_", "#999999", "+"),
}


def draw(parts: Parts, file: Path) -> None:
    """Draw what there is."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    scores = merged(parts)
    for label, (prefix, color, marker) in LINES.items():
        points = sorted(_points(scores, prefix))
        if points:
            length, share, below, above = zip(*points, strict=True)
            axes.errorbar(
                length, share, yerr=(below, above), label=label, color=color, marker=marker, capsize=3, linewidth=1.2
            )
    axes.axvspan(64, 256, color="#000000", alpha=0.07, label="trained on (needles)", linewidth=0)
    axes.axhline(1 / 64, color="#000000", linestyle=":", linewidth=1, label="chance (needles)")
    axes.set(xscale="log", xlabel="tokens read", ylabel="recalled", ylim=(-0.03, 1.05))
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def _points(scores: dict[str, dict[str, Any]], prefix: str) -> list[tuple[float, float, float, float]]:
    found = []
    for name, r in scores.items():
        rest = name.removeprefix(prefix)
        if name.startswith(prefix) and "_" not in rest and "asked" in r:
            share = r["right"] / r["asked"]
            low, high = wilson_interval(r["right"], r["asked"])
            found.append((float(r["length"]), share, share - low, high - share))
    return found
