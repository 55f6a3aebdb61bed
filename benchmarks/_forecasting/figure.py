"""Errors relative to the ridge, CPU seconds, and coverage."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from .cells import M4, M4_HORIZON, NEURAL, SETS, horizons
from .report import Parts, cells_of, scores

COLORS = {
    "ridge": "#555555", "mag": "#D55E00", "PatchTST": "#0072B2", "iTransformer": "#009E73", "NHITS": "#CC79A7",
    "DLinear": "#E69F00", "seasonal_naive": "#999999", "AutoETS": "#56B4E9", "AutoTheta": "#000000",
}  # fmt: skip
SHOWN = ("mag", *NEURAL)
OFFICIAL = ("ridge", "mag", "PatchTST", "NHITS", "DLinear", "AutoETS", "AutoTheta")


def draw(parts: Parts, file: Path) -> None:
    """Draw what there is; a panel without data says so."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained", width_ratios=(2.2, 1, 1))
    _relative(axes[0], parts)
    _seconds(axes[1], parts)
    _coverage(axes[2], parts)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def relative(parts: Parts, data: str, model: str) -> dict[int, float]:
    """Test MSE over that of the ridge, by horizon, where there are both."""
    found = {}
    for horizon in horizons(data):
        ours = scores(parts, cells_of("windowed", data, horizon, model), "mse")
        ridge = scores(parts, cells_of("windowed", data, horizon, "ridge"), "mse")
        if ours and ridge:
            found[horizon] = mean(ours) / ridge[0]
    return found


def _relative(axis: Any, parts: Parts) -> None:
    empty = True
    for offset, model in enumerate((*SHOWN, "seasonal_naive")):
        for place, data in enumerate(SETS):
            for horizon, value in relative(parts, data, model).items():
                empty = False
                x = place + 0.13 * (offset - 2.5)
                first = horizon == horizons(data)[0]
                axis.plot([x], [value], "D" if first else ".", color=COLORS[model], alpha=1.0 if first else 0.5)
    axis.axhline(1, color=COLORS["ridge"], linewidth=1)
    axis.set(title="Windowed test MSE over the ridge's (diamonds: first horizon, dots: longer ones)", yscale="log")
    axis.set_xticks(range(len(SETS)), [data.replace("_", "\n") for data in SETS])
    axis.yaxis.set_minor_formatter("{x:.1f}")
    axis.yaxis.set_major_formatter("{x:.1f}")
    axis.grid(axis="y", alpha=0.3, which="both")
    handles = [axis.plot([], [], "D", color=COLORS[m], label=m)[0] for m in (*SHOWN, "seasonal_naive")]
    axis.legend(handles=handles, fontsize=8, ncols=2, frameon=False)
    _say_if_empty(axis, empty)


def _seconds(axis: Any, parts: Parts) -> None:
    shown = []
    for model in ("ridge", *SHOWN):
        found = [
            x
            for data in SETS
            for horizon in horizons(data)
            for x in scores(parts, cells_of("windowed", data, horizon, model), "cpu_seconds")
        ]
        if found:
            shown.append(model)
            axis.plot(found, [len(shown) - 1] * len(found), ".", color=COLORS[model], alpha=0.5)
    axis.set(title="CPU seconds of a windowed cell", xscale="log", xlabel="fit and test")
    axis.set_yticks(range(len(shown)), shown)
    axis.grid(axis="x", alpha=0.3, which="both")
    _say_if_empty(axis, not shown)


def _coverage(axis: Any, parts: Parts) -> None:
    shown = []
    for model in OFFICIAL:
        cells = cells_of("official", M4, M4_HORIZON, model)
        loss, inside = (scores(parts, cells, name) for name in ("wql", "coverage_90"))
        if loss and inside:
            shown.append(model)
            axis.plot(mean(inside), mean(loss), "o", color=COLORS[model], label=model)
    axis.axvline(0.9, color=COLORS["ridge"], linewidth=1, linestyle=":")
    axis.set(title="M4 Hourly", xlabel="coverage of the 90 % interval", ylabel="weighted quantile loss")
    axis.grid(alpha=0.3)
    if shown:
        axis.legend(fontsize=8, frameon=False)
    _say_if_empty(axis, not shown)


def _say_if_empty(axis: Any, empty: bool) -> None:
    if empty:
        axis.text(0.5, 0.5, "not run", ha="center", va="center", transform=axis.transAxes)
