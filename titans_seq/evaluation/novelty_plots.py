"""Tracks of novelty along genomes: where the next base is hard to foresee, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.data import Interval
from titans_seq.evaluation._bins import binned
from titans_seq.evaluation._style import GREY, INK, add_title, as_floats, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

MOST_TRACKS = 6
_CHANCE = 2.0
_REGION = "#d1701f"


def plot_novelty(
    path: str | Path,
    surprise: Mapping[str, ArrayLike],
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
        PNG file to write; its folder must exist.
    surprise : mapping of name to array (length,)
        Bits per base as `DNALanguageModel.surprise` returns them, by record: ``dict(zip(names, surprise))``. NaN where
        a base is unknown. The first six records are drawn, one above the other on a common scale.
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
        No record, one that is empty or has no known base, or fewer than one bin.
    """
    figure = draw_novelty({name: as_floats(bits) for name, bits in surprise.items()}, regions, bins, title)
    target = Path(path)
    figure.savefig(target, dpi=dpi, format="png")
    return target


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
