"""Tracks of novelty along genomes: where the next base is hard to foresee, as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.data import Interval
from titans_seq.evaluation._bins import binned
from titans_seq.evaluation._style import GREY, INK, add_title, as_floats, check_picture, dress, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

MOST_TRACKS = 6
_CHANCE = 2.0
_REGION = "#d1701f"
_ACCEPTED = (
    "surprise must be what DNALanguageModel.surprise returns (a list of arrays of numbers), one such array, or a "
    "mapping of name to array"
)


def plot_novelty(
    path: str | Path,
    surprise: Mapping[str, ArrayLike] | Sequence[ArrayLike] | FloatArray,
    *,
    regions: Sequence[Interval] = (),
    bins: int = 1000,
    title: str | None = None,
    dpi: int = 150,
) -> Path:
    """Draw the mean surprise of a language model along each record of a genome.

    The line at 2 bits is chance. A stretch below its surroundings repeats what was read before or what `fit` knew; one
    above is foreign to both.

    Parameters
    ----------
    path : str or Path
        Picture to write: PNG, or what the ending says (.pdf, .svg and others); its folder must exist.
    surprise : list of arrays (length,), or mapping of name to array
        Bits per base as `DNALanguageModel.surprise` returns them, or with names, ``dict(zip(names, surprise))``; those
        without are called by their number, from 0. One array is one record. NaN where a base is unknown. The first six
        records are drawn, one above the other on a common scale.
    regions : sequence of Interval, optional
        Stretches to shade: genes, prophages. Those of other records are left out.
    bins : int, default 1000
        Stretches of each record whose mean is drawn, whatever its length.
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
        An ending that no picture has; no record, one that is empty or has no known base, or fewer than one bin.
    TypeError
        For anything that is not made of arrays of numbers.
    """
    check_picture(path)
    figure = draw_novelty(_records(surprise), regions, bins, title)
    return save_picture(figure, path, dpi)


def _records(surprise: Any) -> dict[str, FloatArray]:
    """Return the bits of each record by its name."""
    if isinstance(surprise, np.ndarray):
        surprise = [surprise]
    if isinstance(surprise, list | tuple):
        surprise = {str(number): bits for number, bits in enumerate(surprise)}
    if not isinstance(surprise, Mapping):
        raise TypeError(f"{_ACCEPTED}; found {type(surprise).__name__}")
    found = {}
    for name, bits in surprise.items():
        try:
            found[name] = as_floats(bits)
        except (TypeError, ValueError):
            raise TypeError(f"{_ACCEPTED}; record {name!r} is {str(bits)[:20]!r}") from None
    return found


def draw_novelty(
    surprise: Mapping[str, FloatArray], regions: Sequence[Interval], bins: int, title: str | None
) -> Figure:
    """Return the figure that `plot_novelty` saves."""
    from matplotlib.figure import Figure

    _check(surprise, bins)
    shown = dict(list(surprise.items())[:MOST_TRACKS])
    figure = Figure(figsize=(10.0, 1.6 * len(shown) + 1.0), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(len(shown), 1, sharey=True, squeeze=False)
    axes: list[Axes] = list(grid[:, 0])
    for ax, (name, bits) in zip(axes, shown.items(), strict=True):
        _draw(ax, name, bits, [region for region in regions if region.chrom == name], bins)
    axes[-1].set_xlabel("Position", fontsize=8.5, color=INK)
    if len(shown) < len(surprise):
        title = f"{title or 'Surprise'} ({len(shown)} of {len(surprise)} records)"
    if title:
        add_title(figure, title)
    return figure


def _check(surprise: Mapping[str, FloatArray], bins: int) -> None:
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if not surprise:
        raise ValueError("there is no record to draw")
    for name, bits in surprise.items():
        if bits.ndim != 1 or np.isnan(bits).all():
            raise ValueError(f"record {name!r}: a track needs a known base, got an array of shape {bits.shape}")


def _draw(ax: Axes, name: str, bits: FloatArray, regions: Sequence[Interval], bins: int) -> None:
    from matplotlib.ticker import EngFormatter

    for region in regions:
        ax.axvspan(region.start, region.end, color=_REGION, alpha=0.25, lw=0)
    track = binned(bits, bins)
    ax.axhline(_CHANCE, color=GREY, lw=1.0, ls=(0, (5, 2)))
    ax.plot(track.middle, track.mean, color=INK, lw=0.9, marker="." if len(track.mean) == 1 else None)
    each = len(bits) / len(track.mean)
    means = f", means of {each:,.0f} bases" if each > 1 else ""
    dress(ax, f"{name}: bits per base{means}", track.middle)
    ax.xaxis.set_major_formatter(EngFormatter(unit="b"))
