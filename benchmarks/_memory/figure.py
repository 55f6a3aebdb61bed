"""The figure: rate against length, and peak memory against length."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Parts = Mapping[str, Mapping[str, Any]]
Curve = list[tuple[int, float]]


def draw(parts: Parts, path: Path) -> None:
    """Draw what there is; a panel without data says so."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 5.6), layout="constrained")
    _panel(axes[0], rate_curves(parts), "tokens per CPU second", "One layer of width 128, one thread")
    _panel(axes[1], memory_curves(parts), "peak resident memory, MB", "Reading a stream / one training step")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def rate_curves(parts: Parts) -> dict[str, Curve]:
    """Tokens per CPU second by layer and length, forward; and training of ours."""
    curves: dict[str, Curve] = {}
    for name, part in parts.items():
        if name.startswith("attention"):
            for layer, record in part["results"]["contenders"].items():
                _add(curves, layer, part["results"]["time"], record.get("tokens_per_cpu_second"))
    for length, record in parts.get("flat_train", {"results": {"lengths": {}}})["results"]["lengths"].items():
        label = "memory, 1 head of 128, forward + backward"
        _add(curves, label, int(length), record.get("tokens_per_cpu_second"))
    return curves


def memory_curves(parts: Parts) -> dict[str, Curve]:
    """Peak memory by number of tokens."""
    curves: dict[str, Curve] = {}
    for name, part in parts.items():
        results = part["results"]
        if name.startswith("memory_inference"):
            _add(curves, "reading in pieces of 4,096, ours", results["tokens"], results["peak_rss_mb"])
        elif name.startswith("memory_training"):
            who = "ours" if name.endswith("ours") else "titans-pytorch"
            _add(curves, f"one training step, {who}", results["tokens"], results["peak_rss_mb"])
    return curves


def _add(curves: dict[str, Curve], name: str, length: int, value: float | None) -> None:
    if value is not None:
        curves.setdefault(name, []).append((length, value))


def _panel(axis: Any, curves: dict[str, Curve], ylabel: str, title: str) -> None:
    for name, points in curves.items():
        lengths, values = zip(*sorted(points), strict=True)
        axis.plot(lengths, values, marker="o", label=name)
    axis.set(xlabel="tokens", ylabel=ylabel, title=title)
    if not curves:
        axis.text(0.5, 0.5, "not run", ha="center", va="center", transform=axis.transAxes)
        return
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
