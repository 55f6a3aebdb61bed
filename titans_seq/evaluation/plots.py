"""Figures of forecasts, as files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.evaluation._style import GREY, INK, add_title, as_floats, as_times, check_picture, dress, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 6

_HISTORY, _FORECAST = "#57606a", "#0b62c4"
_OTHERS = ("#d1701f", "#2f8f5b", "#8a4fb5")


@dataclass(frozen=True, eq=False)
class ForecastPanel:
    """One series of a figure.

    Parameters
    ----------
    name : str
        Title of the panel.
    history_ds, history : arrays (n_history,)
        Timestamps (datetime64 or numbers) and values up to the cut-off; NaN where missing.
    forecast_ds, point : arrays (horizon,)
        Timestamps after the cut-off, and the point forecast.
    actual : array (horizon,), optional
        What happened; NaN where unknown.
    intervals : mapping of level in percent to (lower, upper), each (horizon,)
        Prediction intervals; default none.
    others : mapping of label to array (horizon,)
        Further forecasts drawn as thin dashed lines (a baseline); default none.

    Raises
    ------
    ValueError
        Arrays whose lengths do not fit together.
    """

    name: str
    history_ds: ArrayLike
    history: ArrayLike
    forecast_ds: ArrayLike
    point: ArrayLike
    actual: ArrayLike | None = None
    intervals: Mapping[float, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    others: Mapping[str, ArrayLike] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ahead: dict[str, ArrayLike] = {"point": self.point, **self.others}
        if self.actual is not None:
            ahead["actual"] = self.actual
        for level, (lower, upper) in self.intervals.items():
            ahead |= {f"lower bound at {level:g} %": lower, f"upper bound at {level:g} %": upper}
        checks = [("history", self.history, self.history_ds)]
        checks += [(name, array, self.forecast_ds) for name, array in ahead.items()]
        for name, array, times in checks:
            if np.shape(array) != np.shape(times) or np.ndim(times) != 1:
                shapes = f"{np.shape(array)}, its times {np.shape(times)}"
                raise ValueError(f"{self.name}: {name} has shape {shapes}")
        if not np.size(self.point):
            raise ValueError(f"{self.name}: the forecast is empty")


def plot_forecast(
    path: str | Path,
    panels: Sequence[ForecastPanel],
    *,
    title: str | None = None,
    y_label: str | None = None,
    dpi: int = 150,
) -> Path:
    """Draw history, truth, point forecast and prediction intervals of up to six series.

    Parameters
    ----------
    path : str or Path
        Picture to write: PNG, or what the ending says (.pdf, .svg and others); its folder must exist.
    panels : sequence of ForecastPanel
        The first six are drawn.
    title : str, optional
        Title of the figure; how many of the series are shown is added where some are not.
    y_label : str, optional
        Name and unit of the values, written at the left.
    dpi : int, default 150
        Dots per inch; the figure is 10 inches wide.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        An ending that no picture has; no panel.
    """
    check_picture(path)
    figure = draw_forecast(panels, title, y_label)
    return save_picture(figure, path, dpi)


def draw_forecast(panels: Sequence[ForecastPanel], title: str | None, y_label: str | None = None) -> Figure:
    """Return the figure that `plot_forecast` saves."""
    if not panels:
        raise ValueError("a forecast figure needs at least one series")
    shown = panels[:MOST_PANELS]
    columns = 1 if len(shown) <= 3 else 2
    figure, axes = _grid(len(shown), columns)
    for i, (ax, panel) in enumerate(zip(axes, shown, strict=True)):
        _draw(ax, panel)
        if y_label is not None and i % columns == 0:
            ax.set_ylabel(y_label, fontsize=8.5, color=INK)
    if len(shown) < len(panels):
        title = f"{title or 'Forecasts'} ({len(shown)} of {len(panels)} series)"
    _add_heading(figure, axes, title)
    return figure


def _grid(n: int, columns: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with n panels."""
    from matplotlib.figure import Figure

    rows = math.ceil(n / columns)
    height = {1: 3.6, 2: 2.7, 3: 2.4}[rows]
    figure = Figure(figsize=(10.0, height * rows + 0.8), facecolor="white", layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    return figure, [figure.add_subplot(grid[i // columns, i % columns]) for i in range(n)]


def _draw(ax: Axes, panel: ForecastPanel) -> None:
    times, ahead = as_times(panel.history_ds), as_times(panel.forecast_ds)
    history, point = as_floats(panel.history), as_floats(panel.point)
    _draw_intervals(ax, ahead, panel)
    ax.plot(times, history, color=_HISTORY, lw=1.1, label="History")
    if panel.actual is not None:
        ax.plot(*_joined(times, history, ahead, as_floats(panel.actual)), color=INK, lw=1.3, label="Actual")
    for colour, (label, values) in zip(_OTHERS, panel.others.items(), strict=False):
        ax.plot(ahead, as_floats(values), color=colour, lw=1.1, ls=(0, (4, 2)), label=label)
    marker = "o" if len(point) <= 24 else None
    ax.plot(ahead, point, color=_FORECAST, lw=1.7, marker=marker, ms=2.6, label="Forecast")
    begin = times[-1] if len(times) else ahead[0]
    ax.axvline(begin + (ahead[0] - begin) / 2, color=GREY, lw=1.0, ls=":", zorder=0, label="Cut-off")
    dress(ax, panel.name, ahead)


def _draw_intervals(ax: Axes, ahead: NDArray[Any], panel: ForecastPanel) -> None:
    """Draw the widest interval first and palest, each further one on top of it."""
    levels = sorted(panel.intervals, reverse=True)
    for i, level in enumerate(levels):
        lower, upper = (as_floats(bound) for bound in panel.intervals[level])
        alpha = 0.16 + 0.14 * i
        ax.fill_between(ahead, lower, upper, color=_FORECAST, alpha=alpha, lw=0, label=f"{level:g} % interval")


def _add_heading(figure: Figure, axes: list[Axes], title: str | None) -> None:
    """Put the title above all panels and one legend for all of them below."""
    handles: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = sorted(handles, key=_legend_place)
    figure.legend(
        [handles[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 8),
        frameon=False,
        fontsize=8.5,
        handlelength=1.6,
        columnspacing=1.5,
    )
    if title:
        add_title(figure, title)


def _legend_place(label: str) -> int:
    """Order the legend as the figure is read; further forecasts come before the intervals."""
    known = ("History", "Cut-off", "Actual", "Forecast")
    return known.index(label) if label in known else 5 + label.endswith("% interval")


def _joined(
    times: NDArray[Any], history: NDArray[np.float64], ahead: NDArray[Any], actual: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the truth with the last row of history in front, so that its line has no hole at the cut-off."""
    return np.concatenate([times[-1:], ahead]), np.concatenate([history[-1:], actual])
