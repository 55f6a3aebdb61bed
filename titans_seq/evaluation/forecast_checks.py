"""Figures of what forecasts are worth: coverage of quantiles, errors by steps ahead, and over series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.evaluation._style import GREY, INK, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

_MODEL, _OTHERS = "#0b62c4", ("#d1701f", "#2f8f5b", "#8a4fb5", "#d1901f")
_STYLES = ((0, (5, 2)), (0, (2, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1, 1)))


def quantile_coverage(actual: FloatArray, observed: NDArray[np.bool_], quantiles: FloatArray) -> FloatArray:
    """Return the share of observed truths at or below each quantile.

    Parameters
    ----------
    actual, observed : arrays (n, horizon)
    quantiles : float array (n, horizon, n_levels)

    Returns
    -------
    float array (n_levels,)
        NaN where nothing was observed.
    """
    below = (actual[..., None] <= quantiles) & observed[..., None]
    n = int(observed.sum())
    return below.sum((0, 1)) / n if n else np.full(quantiles.shape[-1], np.nan)


def draw_quantile_coverage(levels: FloatArray, shares: FloatArray) -> Figure:
    """Return a figure of the share of truths below each quantile (n_levels,), beside what it should be."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(5.2, 4.6), facecolor="white", layout="constrained")
    ax = figure.add_subplot()
    ax.plot([0, 1], [0, 1], color=GREY, lw=1.1, ls=(0, (4, 3)), label="As promised", zorder=1)
    ax.vlines(levels, levels, shares, color=_MODEL, lw=1.2, alpha=0.6, zorder=2)
    ax.plot(levels, shares, color=_MODEL, marker="o", ms=5.5, lw=1.3, label="Observed", zorder=3, clip_on=False)
    dress(ax, "", levels)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_xlabel("Level of the quantile", fontsize=9, color=INK)
    ax.set_ylabel("Truths at or below it", fontsize=9, color=INK)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.grid(color="#d8dee4", lw=0.6)
    ax.legend(loc="upper left", frameon=False, fontsize=8.5)
    return figure


def draw_errors_ahead(errors: Mapping[str, FloatArray], y_label: str) -> Figure:
    """Return a figure of the errors by steps ahead (horizon,): the first is the model's, baselines follow."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10.0, 3.5), facecolor="white", layout="constrained")
    ax = figure.add_subplot()
    for i, (name, values) in enumerate(errors.items()):
        steps = np.arange(1, len(values) + 1)
        ax.plot(steps, values, label=name, marker="o" if len(steps) <= 30 else None, ms=3, **_line(i))
    dress(ax, "", np.arange(1))
    ax.set_ylim(bottom=0)
    ax.set_xlabel("Steps ahead", fontsize=9, color=INK)
    ax.set_ylabel(y_label, fontsize=9, color=INK)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_below(figure, ax)
    return figure


def draw_ranked_errors(errors: FloatArray, other: FloatArray | None, other_name: str, y_label: str) -> Figure:
    """Return a figure of the errors of many series (n,), in ascending order, beside those of a baseline."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 3.2), facecolor="white", layout="constrained")
    ax = figure.add_subplot()
    order = np.argsort(errors, kind="stable")
    places = np.arange(1, len(errors) + 1)
    if other is not None:
        ax.plot(
            places, other[order], ls="none", marker="o", ms=3.2, mew=0, alpha=0.6, color=_OTHERS[0], label=other_name
        )
    ax.plot(places, errors[order], color=_MODEL, lw=1.8, label="Model")
    dress(ax, "", places)
    known = errors if other is None else np.concatenate((errors, other))
    if (known > 0).all() and known.max() > 50 * np.median(known):
        _logarithmic(ax)
    else:
        ax.set_ylim(bottom=0)
    ax.set_xlabel("Series, from the best to the worst", fontsize=9, color=INK)
    ax.set_ylabel(y_label, fontsize=9, color=INK)
    _legend_below(figure, ax)
    return figure


def _logarithmic(ax: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _line(i: int) -> dict[str, Any]:
    if i == 0:
        return {"color": _MODEL, "lw": 2.0, "zorder": 3}
    at = (i - 1) % len(_OTHERS)
    return {"color": _OTHERS[at], "lw": 1.3, "ls": _STYLES[at], "zorder": 4}


def _legend_below(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8.5)
