"""What all figures share: ink, axes and dates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY = "#1f2328", "#8c959f"


def dress(ax: Axes, name: str, x: NDArray[Any]) -> None:
    """Give a panel its name, a light grid, and readable dates where its ``x`` are dates."""
    ax.set_title(name, loc="left", fontsize=10, color=INK, parse_math=False)  # a dollar sign is one
    ax.margins(x=0.01)
    ax.grid(axis="y", color="#d8dee4", lw=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(GREY)
    ax.tick_params(labelsize=8.5, colors=INK, length=3, color=GREY)
    ax.tick_params(axis="y", length=0)
    if np.issubdtype(x.dtype, np.datetime64):
        _date_axis(ax)


def _date_axis(ax: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)
    formatter = ConciseDateFormatter(
        locator,
        formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"],
        zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
        offset_formats=["", "%Y", "%Y", "%Y", "%d %b %Y", "%d %b %Y"],
    )
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(formatter)
    ax.xaxis.get_offset_text().set_fontsize(8.5)


def add_title(figure: Figure, title: str) -> None:
    """Put a title above all panels."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold")


def check_picture(path: str | Path) -> str:
    """Return the format that the ending of a picture's name stands for (PNG without one), before there is work in it.

    Raises
    ------
    ValueError
        If there is no such format.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    ending, known = Path(path).suffix.lower().removeprefix("."), FigureCanvasBase.get_supported_filetypes()
    if ending and ending not in known:
        listed = ", ".join(f".{name}" for name in sorted(known))
        raise ValueError(f"{path}: no picture can be written as .{ending}; end its name in one of {listed}")
    return ending or "png"


def save_picture(figure: Figure, path: str | Path, dpi: int) -> Path:
    """Write a figure in the format that its name says."""
    target = Path(path)
    figure.savefig(target, dpi=dpi, format=check_picture(target))
    return target


def as_times(given: ArrayLike) -> NDArray[Any]:
    """Return timestamps as matplotlib takes them; numbers stay as they are."""
    array = np.asarray(given)
    return array.astype("datetime64[us]") if np.issubdtype(array.dtype, np.datetime64) else array


def as_floats(given: ArrayLike) -> NDArray[np.float64]:
    """Return numbers as float64."""
    return np.asarray(given, dtype=np.float64)
