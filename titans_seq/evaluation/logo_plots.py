"""Sequence logos: letters as tall as their bases matter, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.evaluation._bins import binned
from titans_seq.evaluation._style import GREY, INK, add_title, as_floats, check_picture, dress, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path as Outline

FloatArray = NDArray[np.float64]

MOST_LETTERS = 400
"""Letters that are drawn; of a longer sequence those where most is."""

_ROW, _MARGIN = 100, 0.06
_ROW_HEIGHT, _AXIS_HEIGHT, _TITLE_HEIGHT = 1.45, 0.7, 0.35  # inches
_OVERVIEW_BINS = 1000
_COLOURS = {"A": "#2f8f5b", "C": "#0b62c4", "G": "#d1901f", "T": "#c2410c"}


def plot_logo(
    path: str | Path,
    sequence: str,
    heights: ArrayLike,
    *,
    start: int = 0,
    y_label: str | None = None,
    title: str | None = None,
    dpi: int = 150,
) -> Path:
    """Draw a sequence with letters as tall as numbers; those below zero hang from the axis, paler.

    Up to 400 letters in rows of 100. Of a longer sequence, an overview (largest and smallest number of each of at most
    1,000 stretches), and below it 100 letters around those whose numbers are largest.

    Parameters
    ----------
    path : str or Path
        Picture to write: PNG, or what the ending says (.pdf, .svg and others); its folder must exist.
    sequence : str
        A, C, G and T have colours of their own; other letters are grey.
    heights : array (length,)
        Attributions, losses by substitution, information in bits: finite numbers.
    start : int, default 0
        Place of the first letter, for the axis.
    y_label, title : str, optional
    dpi : int, default 150
        Dots per inch; the figure is 10 inches wide.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        An ending that no picture has; no letters, not as many numbers as letters, or some that are not finite.
    """
    check_picture(path)
    figure = draw_logo(sequence, as_floats(heights), start, y_label, title)
    return save_picture(figure, path, dpi)


def draw_logo(sequence: str, heights: FloatArray, start: int, y_label: str | None, title: str | None) -> Figure:
    """Return the figure that `plot_logo` saves."""
    from matplotlib.figure import Figure

    if not sequence or heights.shape != (len(sequence),) or not np.isfinite(heights).all():
        raise ValueError(
            f"a logo needs a finite number for each letter, got {len(sequence)} letters and shape {heights.shape}"
        )
    rows, overview = _rows(heights), len(sequence) > MOST_LETTERS
    count = len(rows) + overview
    height = _ROW_HEIGHT * count + _AXIS_HEIGHT + (_TITLE_HEIGHT if title else 0.0)
    figure = Figure(figsize=(10.0, height), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(count, 1, squeeze=False)
    axes: list[Axes] = list(grid[:, 0])
    if overview:
        _draw_overview(axes.pop(0), heights, start, rows[0])
    shown = np.concatenate([heights[a:b] for a, b in rows])
    limits = _limits(shown)
    for ax, (first, last) in zip(axes, rows, strict=True):
        _draw_letters(ax, sequence[first:last].upper(), heights[first:last], start + first)
        dress(ax, "", np.arange(1))
        ax.set_xlim(start + first - 0.6, start + first + min(_ROW, max(len(sequence), 20)) - 0.4)
        ax.set_ylim(limits)
        ax.set_ylabel(y_label or "", fontsize=8.5, color=INK)
    axes[-1].set_xlabel("Position", fontsize=8.5, color=INK)
    if title:
        add_title(figure, title)
    return figure


def _rows(heights: FloatArray) -> list[tuple[int, int]]:
    """Return which letters stand in each row."""
    n = len(heights)
    if n <= MOST_LETTERS:
        return [(at, min(at + _ROW, n)) for at in range(0, n, _ROW)]
    # What stands in the middle of a stretch counts more than what stands at its ends.
    best = int(np.argmax(np.convolve(np.abs(heights), np.bartlett(_ROW + 2)[1:-1], "valid")))
    return [(best, best + _ROW)]


def _limits(heights: FloatArray) -> tuple[float, float]:
    low, high = min(float(heights.min()), 0.0), max(float(heights.max()), 0.0)
    room = _MARGIN * (high - low) or 1.0
    return low - (room if low < 0 else 0.0), high + room


def _draw_overview(ax: Axes, heights: FloatArray, start: int, shown: tuple[int, int]) -> None:
    bins = binned(heights, _OVERVIEW_BINS)
    x = start + bins.middle
    ax.fill_between(x, np.minimum(bins.low, 0), np.maximum(bins.high, 0), color=INK, lw=0.4, step="mid")
    ax.axvspan(start + shown[0], start + shown[1], color=_COLOURS["G"], alpha=0.35, lw=0)
    dress(ax, f"All {len(heights):,} bases; those below are marked", x)


def _draw_letters(ax: Axes, sequence: str, heights: FloatArray, start: int) -> None:
    """Draw each kind of letter as one patch, so that hundreds of them cost no more than a few."""
    from matplotlib.patches import PathPatch

    ax.axhline(0.0, color=GREY, lw=0.8, zorder=0.5)
    letters, above = np.array(list(sequence)), heights > 0
    for letter in dict.fromkeys(sequence):
        for side, alpha in ((above, 1.0), (heights < 0, 0.55)):
            places = np.flatnonzero((letters == letter) & side)
            if len(places):
                outline = _letters(letter, start + places, heights[places])
                colour = _COLOURS.get(letter, GREY)
                ax.add_patch(PathPatch(outline, facecolor=colour, alpha=alpha, lw=0, label=letter))
    ax.update_datalim([(start - 0.5, heights.min(initial=0.0)), (start + len(sequence), heights.max(initial=0.0))])


def draw_stack(ax: Axes, heights: FloatArray) -> None:
    """Draw A, C, G and T in each place (width, 4), the smallest at the bottom; places count from 1."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    order = np.argsort(heights, axis=1, kind="stable")
    tops = np.take_along_axis(heights, order, 1).cumsum(1)
    bottoms = np.zeros_like(heights)
    np.put_along_axis(bottoms, order, tops - np.take_along_axis(heights, order, 1), 1)
    for k, letter in enumerate("ACGT"):
        places = np.flatnonzero(heights[:, k] > 0)
        if len(places):
            outline = _letters(letter, places + 1, heights[places, k])
            vertices = np.array(outline.vertices)
            vertices[:, 1] += np.repeat(bottoms[places, k], len(vertices) // len(places))
            ax.add_patch(PathPatch(Outline(vertices, outline.codes), facecolor=_COLOURS[letter], lw=0, label=letter))


def _letters(letter: str, places: NDArray[np.int64], heights: FloatArray) -> Outline:
    """Return the outlines of one letter at many places, one unit wide and as tall as the numbers."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Outline
    from matplotlib.textpath import TextPath

    glyph = TextPath((0, 0), letter, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold"))
    box = glyph.get_extents()
    unit = (glyph.vertices - (box.x0, box.y0)) / (box.width, box.height)
    unit = unit.clip(0.0, 1.0)  # closing points of a path lie at the origin of the text
    x = places[:, None] - 0.47 + 0.94 * unit[:, 0]
    # A letter below the axis still stands upright: from its height up to zero.
    y = np.minimum(heights, 0.0)[:, None] + np.abs(heights)[:, None] * unit[:, 1]
    codes = np.tile(glyph.codes, len(places))
    return Outline(np.stack((x.ravel(), y.ravel()), 1), codes)
