"""Figures of what the memories of a model did while it read a stream, as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.evaluation._memory_lines import WITH_PEAKS, Line, lines_of
from titans_seq.evaluation._style import GREY, INK, add_title, as_floats, as_times, check_picture, dress, save_picture

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS: tuple[dict[str, Any], ...] = (
    {"color": INK, "ls": (0, (1, 2.5)), "lw": 0.9},
    {"color": GREY, "ls": (0, (5, 2)), "lw": 0.9},
    {"color": "#8a4fb5", "ls": (0, (5, 1, 1, 1)), "lw": 0.9},
)

_PANELS = {
    "surprise": "Surprise: how far what the memory held was from the token",
    "theta": "Step θ: how much of a token is written",
    "eta": "Momentum η",
    "alpha": "Forgetting α",
    "drift": "Drift: distance of the memory's weights from the initial ones, relative to their norm",
    "recalled": "What the memory adds to the stream, norm",
    "attended": "What attention adds to the stream, norm",
    "mix": "Gate between the two (one line per layer): 1 is memory alone",
}
_FROM_ZERO = ("surprise", "drift", "recalled", "attended")


@dataclass(frozen=True, eq=False)
class Track:
    """What was read, drawn on top of the figure.

    Parameters
    ----------
    name : str
        Title of the panel.
    x, values : arrays (n,)
        Positions or timestamps, as in the table; NaN where missing.
    points : bool, default False
        Draw points without lines: symbols.

    Raises
    ------
    ValueError
        If ``x`` and ``values`` do not belong together.
    """

    name: str
    x: ArrayLike
    values: ArrayLike
    points: bool = False

    def __post_init__(self) -> None:
        if np.shape(self.x) != np.shape(self.values) or np.ndim(self.x) != 1:
            raise ValueError(f"{self.name}: x has shape {np.shape(self.x)}, values {np.shape(self.values)}")


def plot_memory(
    path: str | Path,
    table: pl.DataFrame,
    *,
    track: Track | None = None,
    marks: Mapping[str, Sequence[Any]] | None = None,
    title: str | None = None,
    dpi: int = 150,
) -> Path:
    """Draw one stream: what was read, then surprise, gates, drift, and memory beside attention.

    Parameters
    ----------
    path : str or Path
        Picture to write: PNG, or what the ending says (.pdf, .svg and others); its folder must exist.
    table : polars.DataFrame
        Rows of one stream of `MemoryAnalysis.table`. Where it is thinned, lines are means, and the pale ones above
        them the largest values. More than seven heads are drawn pale, with the mean of each layer.
    track : Track, optional
        What was read.
    marks : mapping of label to positions (or timestamps), optional
        Vertical lines through all panels.
    title : str, optional
    dpi : int, default 150
        Dots per inch; the figure is 10 inches wide.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        An ending that no picture has; if the table is empty, or holds several streams.
    """
    check_picture(path)
    figure = draw_memory(table, track, marks or {}, title)
    return save_picture(figure, path, dpi)


def draw_memory(
    table: pl.DataFrame, track: Track | None, marks: Mapping[str, Sequence[Any]], title: str | None
) -> Figure:
    """Return the figure that `plot_memory` saves."""
    if table["stream"].n_unique() != 1:
        raise ValueError(f"a figure shows one stream, the table has {table['stream'].n_unique()}")
    lines = lines_of(table)
    shown = [name for name in _PANELS if not table[name].is_null().all()]
    figure, axes = _stack(len(shown) + (track is not None))
    if track is not None:
        _draw_track(axes[0], track)
    by_name = dict(zip(shown, axes[-len(shown) :], strict=True))
    for name, ax in by_name.items():
        _draw(ax, name, lines)
    _scale(by_name)
    _draw_marks(axes, marks)
    axes[-1].set_xlabel("" if "ds" in table.columns else "Token", fontsize=8.5, color=INK)
    _add_legend(figure, lines, marks)
    if title:
        add_title(figure, title)
    return figure


def _stack(n: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with n panels one above the other that share their x axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 1.32 * n + 1.0), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(n, 1, sharex=True, squeeze=False)
    return figure, list(grid[:, 0])


def _draw_track(ax: Axes, track: Track) -> None:
    x, values = as_times(track.x), as_floats(track.values)
    if track.points:
        ax.plot(x, values, ls="none", marker=".", ms=3, mew=0, color=INK)
    else:
        ax.plot(x, values, color=INK, lw=0.9)
    _dress(ax, track.name, x)


def _draw(ax: Axes, name: str, lines: Sequence[Line]) -> None:
    for line in lines:
        if name == "mix" and not line.of_layer:
            continue
        values = _finite(line.rows[name])
        # Drift is sampled: a line through the samples. Any other hole is a masked token, and stays one.
        known = ~np.isnan(values) if name == "drift" else np.ones(len(values), dtype=bool)
        ax.plot(line.x[known], values[known], **line.style, marker="." if known.sum() == 1 else None)
        if name in WITH_PEAKS and name + "_max" in line.rows.columns:
            top = _finite(line.rows[name + "_max"])
            ax.fill_between(line.x, values, top, color=line.style["color"], alpha=0.25, lw=0)
            ax.plot(line.x, top, color=line.style["color"], alpha=0.6, lw=0.8)  # a single bin is too narrow to shade
    _dress(ax, _PANELS[name], lines[0].x)


def _finite(column: pl.Series) -> NDArray[np.float64]:
    """Return numbers, NaN where a memory that diverged gave infinity: no axis could show it."""
    values = as_floats(column.to_numpy())
    return np.where(np.isfinite(values), values, np.nan)


def _dress(ax: Axes, name: str, x: NDArray[Any]) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    dress(ax, name, x)
    ax.title.set_fontsize(9)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    # No common offset or power of ten: it would be written across the title.
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.6g}"))


def _scale(axes: Mapping[str, Axes]) -> None:
    """Let what has a zero begin there, and give memory and attention the same scale."""
    for name, ax in axes.items():
        low, high = ax.dataLim.intervaly
        top = 1.0 if low == high == 0.0 else ax.get_ylim()[1]
        if name in _FROM_ZERO or low == high == 0.0:
            ax.set_ylim(-0.03 * top, top)  # a line at zero stands clear of the axis
    pair = [axes[name] for name in ("recalled", "attended") if name in axes]
    top = max(ax.get_ylim()[1] for ax in pair)
    for ax in pair:
        ax.set_ylim(-0.03 * top, top)


def _draw_marks(axes: Sequence[Axes], marks: Mapping[str, Sequence[Any]]) -> None:
    for style, positions in zip(_MARKS, marks.values(), strict=False):
        for ax in axes:
            for x in as_times(np.asarray(positions)):
                ax.axvline(x, **style, zorder=0.5)


def _add_legend(figure: Figure, lines: Sequence[Line], marks: Mapping[str, Sequence[Any]]) -> None:
    """Put one legend for all panels below them."""
    from matplotlib.lines import Line2D

    named = [(line.label, line.style) for line in lines if line.label] + list(zip(marks, _MARKS, strict=False))
    handles = [Line2D([], [], label=label, **style) for label, style in named]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 5 if max(len(label) for label, _ in named) < 20 else 2),
        frameon=False,
        fontsize=8.5,
        handlelength=2.4,
        columnspacing=1.5,
    )
