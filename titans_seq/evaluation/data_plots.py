"""Figures of the data themselves: series with the parts they are split into, lengths of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.evaluation._bins import binned
from titans_seq.evaluation._style import GREY, INK, as_times, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from titans_seq.data import Panel

MOST_SERIES = 4
_MOST_POINTS = 700
_PARTS = (("Training", None, 0.0), ("Validation", "#d1901f", 0.13), ("Test", "#0b62c4", 0.13))


def draw_series(panel: Panel, shown: Sequence[int], split: Sequence[int]) -> Figure:
    """Return a figure of up to four series, with the rows of validation and test shaded.

    Long ones are drawn as the mean of equal stretches, with the range from the lowest to the highest value behind it.

    Parameters
    ----------
    panel : Panel
    shown : sequence of int
        Places of the series.
    split : sequence of three int
        Rows of training, validation and test.
    """
    from matplotlib.figure import Figure

    places = list(shown)[:MOST_SERIES]
    figure = Figure(figsize=(10.0, 1.55 * len(places) + 0.9), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(len(places), 1, squeeze=False)
    for ax, i in zip(grid[:, 0], places, strict=True):
        _draw_one(ax, panel, i, split)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8.5)
    return figure


def _draw_one(ax: Axes, panel: Panel, i: int, split: Sequence[int]) -> None:
    values, observed = panel.series(i)
    times = as_times(panel.ds_of(i))
    bins = binned(np.where(observed, values, np.nan), _MOST_POINTS)
    at = times[bins.middle.astype(np.int64)]
    if len(values) > _MOST_POINTS:
        ax.fill_between(at, bins.low, bins.high, color=INK, alpha=0.22, lw=0)
    ax.plot(at, bins.mean, color=INK, lw=0.9, marker="." if len(at) <= 60 else None, ms=3)
    bounds = np.cumsum([0, *split])
    for (name, colour, alpha), start, stop in zip(_PARTS, bounds[:-1], bounds[1:], strict=True):
        if colour is not None and stop > start:
            last = times[min(int(stop), len(times) - 1)]
            ax.axvspan(times[int(start)], last, color=colour, alpha=alpha, lw=0, label=f"{name} rows")
    dress(ax, str(panel.ids[i]), times)


def draw_lengths(lengths: Mapping[str, NDArray[np.int64]], unit: str) -> Figure:
    """Return a figure of how many sequences of each part have which length; parts beside each other as shares."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 2.8), facecolor="white", layout="constrained")
    ax = figure.add_subplot()
    every = np.concatenate(list(lengths.values()))
    bins = np.linspace(every.min() - 0.5, every.max() + 0.5, min(60, int(np.ptp(every)) + 1) + 1)
    for (name, values), colour in zip(lengths.items(), (GREY, "#0b62c4"), strict=False):
        counts, _ = np.histogram(values, bins)
        ax.stairs(counts / max(len(values), 1), bins, color=colour, lw=1.5, label=name)
    dress(ax, "", every)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(unit, fontsize=9, color=INK)
    ax.set_ylabel("Share of sequences", fontsize=9, color=INK)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8.5)
    return figure
