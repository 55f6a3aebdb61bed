"""The picture of a recall run: what was remembered against the length of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, SHADE = "#1f2328", "#6e7781", "#eaeef2"
# Okabe and Ito's colours, told apart by all kinds of colour vision; the markers tell them apart without any.
MODEL, CONTROLS = "#0072B2", ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("s", "^", "D", "v", "P")


def draw_recall(path: Path, metrics: Mapping[str, Any]) -> None:
    """Draw scores with 95 % intervals for the model and its controls, from the content of metrics.json."""
    figure = recall_figure(metrics)
    figure.suptitle(f"Recall: {metrics['task']}", x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold")
    figure.savefig(path, dpi=150, format="png")


def recall_figure(metrics: Mapping[str, Any]) -> Figure:
    """Return the figure that `draw_recall` saves, without its title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.6), facecolor="white", layout="constrained")
    ax = figure.add_subplot()
    _draw_training(ax, metrics["trained_lengths"])
    chance = "always the mean" if metrics["measure"] == "mse" else "guessing"
    ax.axhline(metrics["chance"], color=GREY, lw=1.1, ls=(0, (4, 3)), label=chance, zorder=1)
    # Each a little further right than the one before: equal scores do not hide each other.
    for i, (name, model) in enumerate(metrics["controls"].items()):
        _draw_scores(ax, model["scores"], CONTROLS[i], MARKERS[i], f"{name} (control)", shift=1.05 ** (i + 1))
    own = metrics["model"]
    _draw_scores(ax, own["scores"], MODEL, "o", own["variant"])
    _dress(ax, metrics)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def _draw_training(ax: Axes, lengths: list[int]) -> None:
    """Shade the lengths of the training; a single one gets a width, too."""
    ax.axvspan(lengths[0] / 1.1, lengths[-1] * 1.1, color=SHADE, lw=0, zorder=0, label="lengths trained on")


def _draw_scores(
    ax: Axes, rows: list[dict[str, Any]], colour: str, marker: str, label: str, *, shift: float = 1.0
) -> None:
    lengths, scores = [row["length"] * shift for row in rows], [_score(row) for row in rows]
    bounds = [_interval(row) for row in rows]
    below = [max(0.0, score - low) for score, (low, _) in zip(scores, bounds, strict=True)]
    above = [max(0.0, high - score) for score, (_, high) in zip(scores, bounds, strict=True)]
    ax.errorbar(
        lengths, scores, yerr=(below, above), color=colour, marker=marker, ms=6, mec="white", mew=0.8, lw=1.8,
        elinewidth=1.2, capsize=3, label=label, clip_on=False, zorder=3,
    )  # fmt: skip


def _score(row: Mapping[str, Any]) -> float:
    return float(row["mse"] if "mse" in row else row["accuracy"])


def _interval(row: Mapping[str, Any]) -> tuple[float, float]:
    if "mse" in row:
        spread = 1.96 * row["standard_error"]
        return row["mse"] - spread, row["mse"] + spread
    low, high = row["interval"]
    return low, high


def _dress(ax: Axes, metrics: Mapping[str, Any]) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator, PercentFormatter

    tested = [row["length"] for row in metrics["model"]["scores"]]
    ticks = sorted({*tested, metrics["trained_lengths"][0], metrics["trained_lengths"][-1]})
    ax.set_xscale("log", base=2)
    ax.set_xlim(ticks[0] / 1.35, ticks[-1] * 1.45)
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("Tokens of the stream", fontsize=9.5, color=INK)
    if metrics["measure"] == "mse":
        ax.set_ylim(bottom=0)
        ax.set_ylabel("Mean squared error", fontsize=9.5, color=INK)
    else:
        ax.set_ylim(0, 1.0)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.set_ylabel("Right answers", fontsize=9.5, color=INK)
    ax.grid(axis="y", color="#d8dee4", lw=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=9, colors=INK, length=3, color=GREY)
    ax.tick_params(axis="y", length=0)
