"""Figures of series and how surprising their rows were, as files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import read_panel
from titans_seq.evaluation._style import GREY, INK, add_title, as_times, check_picture, dress, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

_FORECAST, _FLAG = "#0b62c4", "#c2410c"
_RING: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 7.5, "mfc": "none", "mec": _FLAG, "mew": 1.5}
_COLUMNS = ("TitansForecaster", "surprise", "memory_surprise", "threshold", "anomaly")
_FAR = 5.0
"""Beyond so many thresholds the axis of surprise becomes logarithmic above the threshold."""


@dataclass(frozen=True, eq=False)
class JudgedSeries:
    """One series of what `TitansForecaster.surprise` returned: arrays (n,) by row."""

    name: str
    x: NDArray[Any]
    value: FloatArray
    forecast: FloatArray
    surprise: FloatArray
    memory: FloatArray
    threshold: FloatArray
    anomaly: NDArray[Any]

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """Rows that are anomalies."""
        return self.anomaly == 1


def plot_surprise(
    path: str | Path,
    data: Any,
    *,
    series: str | int | None = None,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
    title: str | None = None,
    dpi: int = 150,
) -> Path:
    """Draw a series with the forecast that was due for each row, and its surprise below; anomalies are ringed.

    The memory's surprise is drawn where there is any. Beyond five times the threshold the axis of surprise is
    logarithmic above the threshold.

    Parameters
    ----------
    path : str or Path
        Picture to write: PNG, or what the ending says (.pdf, .svg and others); its folder must exist.
    data : frame or array
        What `TitansForecaster.surprise` returned, or some of its rows.
    series : str or int, optional
        Id of the series to draw (its place in an array); needed if there are several.
    id_col, time_col, target_col : str
        Column names of the frame; default "unique_id", "ds", "y". For arrays ``target_col`` alone.
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
        An ending that no picture has; if a column is missing, there are several series and none is chosen, or no
        series of that id.
    """
    check_picture(path)
    figure = draw_surprise(judged_series(data, series, id_col, time_col, target_col), title)
    return save_picture(figure, path, dpi)


def judged_series(data: Any, series: str | int | None, id_col: str, time_col: str, target_col: str) -> JudgedSeries:
    """Return a series of what `TitansForecaster.surprise` returned; arguments as in `plot_surprise`."""
    if isinstance(data, np.ndarray):
        return _from_array(data, series, target_col)
    return _from_frame(data, series, id_col, time_col, target_col)


def draw_surprise(series: JudgedSeries, title: str | None) -> Figure:
    """Return the figure that `plot_surprise` saves."""
    from matplotlib.figure import Figure

    with_memory = bool(np.isfinite(series.memory).any())
    heights = [2.2, 1.5, 1.1][: 2 + with_memory]
    figure = Figure(figsize=(10.0, 1.1 * sum(heights) + 1.2), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    axes: list[Axes] = list(grid[:, 0])
    _draw_value(axes[0], series)
    _draw_judged(axes[1], series)
    if with_memory:
        axes[2].plot(series.x, series.memory, color=INK, lw=1.0, drawstyle="steps-post")
        dress(axes[2], "Surprise of the memory, patch by patch", series.x)
        axes[2].set_ylim(bottom=0.0)
    _add_legend(figure, axes)
    if title:
        add_title(figure, title)
    return figure


def _draw_value(ax: Axes, series: JudgedSeries) -> None:
    x, value, flagged = series.x, series.value, series.flagged
    # Points as well where they are few: a value between two missing ones has no line.
    marker = "." if len(x) <= 400 else None
    ax.plot(x, value, color=INK, lw=1.1, marker=marker, ms=3, label="Value")
    ax.plot(x, series.forecast, color=_FORECAST, lw=1.1, ls=(0, (4, 2)), label="Forecast made before it")
    ax.plot(x[flagged], value[flagged], **_RING, zorder=4)
    dress(ax, series.name, x)


def _draw_judged(ax: Axes, series: JudgedSeries) -> None:
    x, surprise, flagged = series.x, series.surprise, series.flagged
    level = float(np.nanmax(series.threshold))
    ax.plot(x, surprise, color=INK, lw=1.0, marker="." if len(x) <= 400 else None, ms=3)
    ax.axhline(level, color=GREY, lw=1.2, ls=(0, (6, 3)), label=f"Threshold, {level:.3g}")
    ax.plot(x[flagged], surprise[flagged], **_RING, zorder=4, label="Anomaly")
    dress(ax, "Surprise: distance from the forecast in robust standard deviations", x)
    top = max(float(np.nanmax(surprise, initial=0.0)), level)
    ax.set_ylim(0.0, 1.12 * top)
    if top > _FAR * level:
        _compress(ax, level, top)


def _compress(ax: Axes, level: float, top: float) -> None:
    """Give what is below the threshold a third of the axis, and let the rest grow by factors."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    factors = math.log10(top / level)
    ax.set_yscale("symlog", linthresh=level, linscale=0.5 * factors)
    powers = np.arange(math.ceil(math.log10(level) + 0.2 * factors), math.floor(math.log10(top)) + 1)
    some = powers[:: -max(1, math.ceil(len(powers) / 3))]
    ax.yaxis.set_major_locator(FixedLocator([0.0, level, *(10.0**some)]))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(0.0, top * 10 ** (0.12 * factors))


def _add_legend(figure: Figure, axes: list[Axes]) -> None:
    handles, labels = ([*a, *b] for a, b in zip(*(ax.get_legend_handles_labels() for ax in axes[:2]), strict=True))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=8.5, handlelength=2.4,
        columnspacing=1.5,
    )  # fmt: skip


def _from_array(data: NDArray[Any], series: str | int | None, target_col: str) -> JudgedSeries:
    if data.ndim != 2 or data.dtype.names is None:
        raise ValueError(f"an array of {data.dtype} and shape {data.shape} is not what surprise returns; pass that")
    _check_columns((target_col, *_COLUMNS), data.dtype.names)
    place = _chosen(list(range(len(data))), series)
    columns = [data[name][place] for name in (target_col, *_COLUMNS)]
    return JudgedSeries(f"Series {place}", np.arange(data.shape[1]), *columns)


def _from_frame(data: Any, series: str | int | None, id_col: str, time_col: str, target_col: str) -> JudgedSeries:
    import narwhals as nw

    frame = nw.from_native(data, eager_only=True)
    _check_columns((id_col, time_col, target_col, *_COLUMNS), frame.columns)
    name = _chosen(frame.get_column(id_col).unique(maintain_order=True).to_list(), series)
    rows = frame.filter(nw.col(id_col) == name).to_native()
    # Read as series are, for the sake of the many ways to write times.
    names: dict[str, Any] = {"id_col": id_col, "time_col": time_col, "on_gap": "mask"}
    times, _ = read_panel(rows, target_col="threshold", **names)
    panels = [read_panel(rows, target_col=c, frequency=times.frequency, **names)[0] for c in (target_col, *_COLUMNS)]
    columns = [np.where(panel.observed, panel.values, np.nan) for panel in panels]
    return JudgedSeries(str(name), as_times(times.ds_of(0)), *columns)


def _check_columns(needed: tuple[str, ...], there: Any) -> None:
    missing = next((name for name in needed if name not in there), None)
    if missing is not None:
        listed = ", ".join(str(name) for name in there)
        raise ValueError(f"there is no column {missing!r} (found {listed}); pass what surprise returned")


def _chosen(names: list[Any], series: Any) -> Any:
    if series is None and len(names) == 1:
        return names[0]
    if series in names:
        return series
    what = "several series; choose one with series=" if series is None else f"no series {series!r}"
    listed = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
    raise ValueError(f"there {'are' if series is None else 'is'} {what} (found {listed})")
