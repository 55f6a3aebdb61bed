"""Figures of memories: what is drawn, and that it can be read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from titans_seq.evaluation._readings import QUANTITIES
from titans_seq.evaluation.memory_plots import Track, draw_memory, plot_memory


def made_table(
    n_layers: int = 2, n_heads: int = 2, n: int = 60, *, thin: bool = False, dates: bool = False
) -> pl.DataFrame:
    random = np.random.default_rng(0)
    place = np.indices((n, n_layers, n_heads)).reshape(3, -1)
    columns = {"stream": ["a"] * place.shape[1], "position": place[0]}
    if dates:
        columns["ds"] = np.datetime64("2024-01-30", "ns") + place[0] * np.timedelta64(6, "h")
    columns |= {"layer": place[1], "head": place[2]}
    columns |= {name: random.random(place.shape[1]) for name in QUANTITIES}
    columns["alpha"] = 0.0025 + 1e-7 * columns["alpha"]
    columns["drift"][place[0] % 7 > 0] = np.nan
    if thin:
        columns |= {f"{name}_max": columns[name] + 1 for name in QUANTITIES}
    return pl.DataFrame(columns, nan_to_null=True)


def drawn(table: pl.DataFrame, track: Track | None = None, **marks: list[int]) -> Figure:
    return draw_memory(table, track, marks, "A title")


def shown_ticks(axis: Axis) -> list[Text]:
    low, high = axis.get_view_interval()
    return [text for at, text in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True) if low <= at <= high]


@pytest.mark.parametrize("table", [made_table(3, 4, thin=True), made_table(dates=True)])
def test_no_text_lies_on_other_text(table: pl.DataFrame) -> None:
    x = table["ds" if "ds" in table.columns else "position"].unique(maintain_order=True)
    figure = drawn(table, Track("Series", x, np.arange(60.0)))
    FigureCanvasAgg(figure).draw()
    texts = [figure._suptitle, *(text for ax in figure.axes for text in (ax.title, ax.xaxis.get_offset_text()))]
    texts += [text for ax in figure.axes for text in shown_ticks(ax.yaxis)] + shown_ticks(figure.axes[-1].xaxis)
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]
    assert len(boxes) > 30
    for i, (name, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 + 1, name
        for other, at in boxes[i + 1 :]:
            assert not box.overlaps(at), f"{name!r} on {other!r}"


def test_panels_without_values_are_left_out() -> None:
    table = made_table()
    assert len(drawn(table).axes) == 8
    nothing = table.with_columns(pl.lit(None, pl.Float64).alias("attended"), pl.lit(None, pl.Float64).alias("mix"))
    titles = [ax.get_title(loc="left") for ax in drawn(nothing, Track("Symbols", [0, 1], [3, 4], points=True)).axes]
    assert titles[0] == "Symbols"
    assert len(titles) == 7 and not any("attention" in title for title in titles)


def test_every_layer_and_head_has_a_line_of_its_own_colour() -> None:
    figure = drawn(made_table(2, 3))
    lines = figure.axes[0].get_lines()
    assert len({line.get_color() for line in lines}) == 6
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["Layer 0, head 0", "Layer 0, head 1"]


def test_many_heads_are_pale_behind_the_mean_of_their_layer() -> None:
    table = made_table(2, 4)
    lines = drawn(table).axes[0].get_lines()
    assert [line.get_alpha() for line in lines] == [0.35] * 8 + [None] * 2
    mean = table.filter(pl.col("layer") == 1).group_by("position", maintain_order=True).agg(pl.col("surprise").mean())
    np.testing.assert_allclose(lines[-1].get_ydata(), mean["surprise"])


def test_spikes_of_a_thinned_table_are_drawn() -> None:
    for table in (made_table(thin=True), made_table(2, 4, thin=True)):
        tops = [np.nanmax(line.get_ydata()) for line in drawn(table).axes[0].get_lines()]
        assert max(tops) == pytest.approx(table["surprise_max"].max())


def test_what_a_diverged_memory_says_is_drawn_as_far_as_it_is_finite() -> None:
    place = pl.col("position")
    broken = pl.when(place == 30).then(np.inf).when(place > 30).then(None).otherwise(pl.col("surprise"))
    values = drawn(made_table().with_columns(surprise=broken)).axes[0].get_lines()[0].get_ydata()
    assert np.isfinite(values).sum() == 30


def test_marks_run_through_all_panels_and_stand_in_the_legend() -> None:
    plain, marked = drawn(made_table()), drawn(made_table(), Planted=[5], Asked=[50, 55])
    for before, after in zip(plain.axes, marked.axes, strict=True):
        assert len(after.get_lines()) == len(before.get_lines()) + 3
    assert [text.get_text() for text in marked.legends[0].get_texts()][-2:] == ["Planted", "Asked"]


def test_panels_share_their_x_axis_and_memory_and_attention_their_scale() -> None:
    figure = drawn(made_table())
    assert all(a.get_xlim() == b.get_xlim() for a, b in pairwise(figure.axes))
    memory, attention = (ax for ax in figure.axes if "adds to the stream" in ax.get_title(loc="left"))
    assert memory.get_ylim() == attention.get_ylim()


def test_the_file_is_ten_inches_wide(tmp_path: Path) -> None:
    path = plot_memory(tmp_path / "m.png", made_table(), title="T", dpi=50)
    assert matplotlib.image.imread(path).shape[1] == 500


def test_what_cannot_be_drawn_is_refused() -> None:
    table = made_table()
    with pytest.raises(ValueError, match="one stream, the table has 2"):
        drawn(pl.concat([table, table.with_columns(stream=pl.lit("b"))]))
    with pytest.raises(ValueError, match="one stream, the table has 0"):
        drawn(table.clear())
    with pytest.raises(ValueError, match=r"Series: x has shape \(3,\), values \(2,\)"):
        Track("Series", [1, 2, 3], [1, 2])
