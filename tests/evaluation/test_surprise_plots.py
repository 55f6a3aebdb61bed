"""Figures of surprise: what is drawn, and that it can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from titans_seq.evaluation import plot_surprise
from titans_seq.evaluation.surprise_plots import JudgedSeries, draw_surprise

FIELDS = ("y", "TitansForecaster", "surprise", "memory_surprise", "threshold", "anomaly")


def judged(n: int = 120, *, memory: bool = True, peak: float = 9.0, ids: tuple[str, ...] = ("a",)) -> pd.DataFrame:
    """Return what `surprise` might return: rows 7, 60 and 61 are anomalies, row 30 is missing."""
    random, t = np.random.default_rng(0), np.arange(n)
    surprise = np.abs(random.normal(size=n))
    surprise[[7, 60, 61]] = 5.0, peak, 6.0
    y = 40 + 5 * np.sin(t / 9)
    y[30] = surprise[30] = np.nan
    one = {
        "ds": pd.date_range("2024-01-30", periods=n, freq="6h"),
        "y": y,
        "TitansForecaster": np.where(t < 4, np.nan, 40 + 5 * np.sin(t / 9 - 0.1)),
        "surprise": surprise,
        "memory_surprise": np.repeat(random.random(n // 4), 4) if memory else np.nan,
        "threshold": 3.6,
        "anomaly": surprise > 3.6,
    }
    return pd.concat([pd.DataFrame({"unique_id": name, **one}) for name in ids], ignore_index=True)


def as_array(frame: pd.DataFrame, series: int = 1) -> np.ndarray:
    one = frame[list(FIELDS)].to_records(index=False)
    return np.stack([np.asarray(one)] * series)


def drawn(frame: pd.DataFrame) -> Figure:
    columns = [frame[name].to_numpy() for name in FIELDS]
    return draw_surprise(JudgedSeries("a", frame["ds"].to_numpy("datetime64[us]"), *columns), "A title")


def shown_ticks(axis: Axis) -> list[Text]:
    low, high = axis.get_view_interval()
    return [text for at, text in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True) if low <= at <= high]


@pytest.mark.parametrize("peak", [9.0, 40.0, 3e7])
def test_no_text_lies_on_other_text(peak: float) -> None:
    figure = drawn(judged(peak=peak))
    FigureCanvasAgg(figure).draw()
    texts = [figure._suptitle, *(text for ax in figure.axes for text in (ax.title, ax.xaxis.get_offset_text()))]
    texts += [text for ax in figure.axes for text in shown_ticks(ax.yaxis)] + shown_ticks(figure.axes[-1].xaxis)
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]
    assert len(boxes) > 15
    for i, (name, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 + 1, name
        for other, at in boxes[i + 1 :]:
            assert not box.overlaps(at), f"{name!r} on {other!r}"


def test_anomalies_are_ringed_on_the_series_and_on_its_surprise() -> None:
    frame = judged()
    top, below, _ = drawn(frame).axes
    for ax, column in ((top, "y"), (below, "surprise")):
        (rings,) = (line for line in ax.lines if line.get_marker() == "o")
        np.testing.assert_array_equal(rings.get_ydata(), frame[column][[7, 60, 61]])
        assert rings.get_markerfacecolor() == "none"  # a shape, not a colour, says what it is
    assert [line.get_linestyle() for line in top.lines[:2]] == ["-", "--"]


def test_the_threshold_is_drawn_where_it_is_and_named() -> None:
    figure = drawn(judged())
    (line,) = (line for line in figure.axes[1].lines if str(line.get_label()).startswith("Threshold"))
    assert list(line.get_ydata()) == [3.6, 3.6]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Value", "Forecast made before it", "Threshold, 3.6", "Anomaly"]


def test_usual_surprise_can_be_read_beside_a_huge_one() -> None:
    for peak, scale in ((9.0, "linear"), (400.0, "symlog"), (3e7, "symlog")):
        ax = drawn(judged(peak=peak)).axes[1]
        assert ax.get_yscale() == scale
        place = ax.transAxes.inverted().transform(ax.transData.transform([(0, 0.0), (0, 3.6), (0, peak)]))[:, 1]
        assert place[0] < 0.02 < 0.2 < place[1] < place[2] < 1


@pytest.mark.parametrize(("memory", "panels"), [(True, 3), (False, 2)])
def test_the_memory_has_a_panel_if_it_has_something_to_say(memory: bool, panels: int) -> None:
    assert len(drawn(judged(memory=memory)).axes) == panels


def same_picture(one: Path, other: Path) -> bool:
    return bool(np.array_equal(*(matplotlib.image.imread(path) for path in (one, other))))


def test_frames_of_both_libraries_give_one_picture(tmp_path: Path) -> None:
    frame = judged(ids=("b", "a"))
    found = plot_surprise(tmp_path / "pandas.png", frame, series="a", title="A title")
    other = pl.DataFrame(frame.to_dict("list"))
    assert same_picture(found, plot_surprise(tmp_path / "polars.png", other, series="a", title="A title"))
    assert matplotlib.image.imread(found).shape[1] == 1500


@pytest.mark.parametrize("kind", ["text", "zone", "date", "period"])
def test_times_may_be_written_in_any_way(tmp_path: Path, kind: str) -> None:
    frame = judged(n=40 * 4)
    frame["ds"] = pd.date_range("2024-01-01", periods=len(frame), freq="D")
    plain = plot_surprise(tmp_path / "plain.png", frame, dpi=50)
    written = {
        "text": lambda ds: ds.dt.strftime("%Y-%m-%d"),
        "zone": lambda ds: ds.dt.tz_localize("Europe/Berlin"),
        "date": lambda ds: ds.dt.date,
        "period": lambda ds: ds.dt.to_period("D"),
    }[kind]
    assert same_picture(plain, plot_surprise(tmp_path / "other.png", frame.assign(ds=written(frame["ds"])), dpi=50))


def test_arrays_are_drawn_by_row(tmp_path: Path) -> None:
    found = plot_surprise(tmp_path / "a.png", as_array(judged(), 2), series=1, dpi=50)
    assert matplotlib.image.imread(found).std() > 0.02


def test_a_part_of_the_rows_may_be_drawn(tmp_path: Path) -> None:
    calm = judged().iloc[64:100]
    assert not calm["anomaly"].any()
    assert plot_surprise(tmp_path / "a.png", calm, dpi=50).exists()


@pytest.mark.parametrize(
    ("data", "series", "message"),
    [
        (judged(ids=("a", "b")), None, r"there are several series; choose one with series= \(found 'a', 'b'\)"),
        (judged(), "c", r"there is no series 'c' \(found 'a'\)"),
        (as_array(judged()), 3, r"there is no series 3 \(found 0\)"),
        (judged().drop(columns="threshold"), None, "there is no column 'threshold'.*pass what surprise returned"),
        (np.zeros((2, 5)), None, r"an array of float64 and shape \(2, 5\) is not what surprise returns"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path: Path, data: Any, series: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_surprise(tmp_path / "a.png", data, series=series)
    assert not (tmp_path / "a.png").exists()
