"""Figures of how a training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.evaluation._style import GREY, INK, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

_TRAIN, _VALIDATION = "#d1701f", "#0b62c4"
_MOST_RUNS = 6


@dataclass(frozen=True, eq=False)
class LossCurve:
    """Losses of a training, arrays (n_epochs + 1,) from the state before the first epoch on; NaN where unknown."""

    epoch: NDArray[np.int64]
    train: FloatArray
    validation: FloatArray

    @classmethod
    def of(cls, history: Sequence[Mapping[str, Any]]) -> LossCurve:
        """Read what estimators keep as ``history_``."""
        train, validation = (
            np.array([np.nan if row[key] is None else row[key] for row in history], dtype=np.float64)
            for key in ("train_loss", "validation_loss")
        )
        return cls(np.array([row["epoch"] for row in history], dtype=np.int64), train, validation)

    @property
    def selected(self) -> int | None:
        """Place of the lowest validation loss, whose weights are kept; None where there was no validation."""
        known = np.isfinite(self.validation)
        return int(np.argmin(np.where(known, self.validation, np.inf))) if known.any() else None


def draw_losses(curves: Sequence[LossCurve], names: Sequence[str]) -> Figure:
    """Return a figure with a panel for each of up to six trainings; the epoch whose weights are kept is marked."""
    from matplotlib.figure import Figure

    shown = curves[:_MOST_RUNS]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(10.0, (3.4 if columns == 1 else 2.7) * rows), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for ax in grid.flat[len(shown) :]:
        ax.remove()
    for ax, curve, name in zip(grid.flat, shown, names, strict=False):
        _draw(ax, curve, name)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8.5)
    return figure


def _draw(ax: Axes, curve: LossCurve, name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    marker = "o" if len(curve.epoch) <= 40 else None
    ax.plot(curve.epoch, curve.train, color=_TRAIN, lw=1.4, marker=marker, ms=3, label="Training")
    ax.plot(curve.epoch, curve.validation, color=_VALIDATION, lw=1.6, marker=marker, ms=3, label="Validation")
    at = curve.selected
    if at is not None:
        best = curve.epoch[at], curve.validation[at]
        ax.axvline(best[0], color=GREY, lw=1.0, ls=(0, (4, 3)), zorder=0)
        ax.plot(*best, ls="none", marker="o", ms=8, mfc="none", mec=INK, mew=1.4, label=f"Kept: epoch {best[0]}")
    dress(ax, name, curve.epoch)
    ax.margins(x=0.03)
    ax.set_xlabel("Epoch", fontsize=8.5, color=INK)
    ax.set_ylabel("Loss", fontsize=8.5, color=INK)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_steps(step: FloatArray, loss: FloatArray, length: FloatArray) -> Figure:
    """Return a figure of the loss of each step (n,), smoothed as well, over the lengths of its streams (n,)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.0), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper, lower = grid
    upper.plot(step, loss, color=_VALIDATION, lw=0.6, alpha=0.35, label="Each step")
    upper.plot(step, _smoothed(loss), color=_VALIDATION, lw=1.8, label="Mean of the steps around it")
    dress(upper, "Loss of the answers", step)
    upper.set_ylim(bottom=0)
    lower.plot(step, length, color=INK, lw=1.2, drawstyle="steps-post")
    dress(lower, "Tokens of its streams", step)
    lower.set_ylim(0, 1.15 * float(length.max()))
    lower.set_xlabel("Step", fontsize=8.5, color=INK)
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _smoothed(values: FloatArray) -> FloatArray:
    """Return means over about a fortieth of the steps, fewer at the ends."""
    half = max(1, len(values) // 80)
    total = np.concatenate(([0.0], np.cumsum(values)))
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)
