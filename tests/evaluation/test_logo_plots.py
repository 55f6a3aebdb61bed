"""Logos and tracks: what is drawn is what was given, and little is drawn of much."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.patches import PathPatch

from titans_seq.data import Interval
from titans_seq.evaluation import plot_logo, plot_novelty
from titans_seq.evaluation._bins import binned
from titans_seq.evaluation.logo_plots import draw_logo
from titans_seq.evaluation.novelty_plots import draw_novelty


def letters(ax) -> list[PathPatch]:
    return [patch for patch in ax.patches if isinstance(patch, PathPatch)]


def test_every_letter_is_as_tall_as_its_number_and_stands_in_its_place() -> None:
    heights = np.array([2.0, -1.0, 0.5, 0.0, 1.5])
    (ax,) = draw_logo("ACGTA", heights, 10, None, None).axes
    boxes = {(p.get_label(), p.get_alpha() == 1.0): p.get_path().get_extents() for p in letters(ax)}
    assert set(boxes) == {("A", True), ("C", False), ("G", True)}
    a, c, g = (boxes[key] for key in (("A", True), ("C", False), ("G", True)))
    np.testing.assert_allclose((a.y0, a.y1, c.y0, c.y1, g.y0, g.y1), (0, 2, -1, 0, 0, 0.5), atol=1e-9)
    np.testing.assert_allclose((c.x0, c.x1), (10.53, 11.47), atol=1e-6)
    np.testing.assert_allclose((a.x0, a.x1), (9.53, 14.47), atol=1e-6)


def test_hundreds_of_letters_are_a_few_patches_in_rows_on_one_scale() -> None:
    rng = np.random.default_rng(0)
    sequence, heights = "".join(rng.choice(list("ACGTN"), 250)), rng.normal(size=250)
    axes = draw_logo(sequence, heights, 0, "Height", "A title").axes
    assert len(axes) == 3
    assert len({ax.get_ylim() for ax in axes}) == 1
    low, high = axes[0].get_ylim()
    assert low < heights.min() and heights.max() < high
    assert all(len(letters(ax)) <= 10 for ax in axes)


def test_of_a_long_sequence_the_stretch_with_most_in_it_is_drawn_below_an_overview() -> None:
    heights = np.full(30_000, 0.01)
    heights[20_000:20_008] = -3.0
    overview, detail = draw_logo("ACGT" * 7500, heights, 0, None, None).axes
    first, last = detail.get_xlim()
    assert first < 19_970 and 20_030 < last < first + 101
    assert sum(len(path.vertices) for c in overview.collections for path in c.get_paths()) < 10_000
    assert len(letters(detail)) <= 8


def test_a_logo_is_a_figure_of_its_size(tmp_path: Path) -> None:
    path = plot_logo(tmp_path / "x.png", "acgtn", [1, 2, 3, -1, 0.5], title="A title", y_label="bits", dpi=50)
    assert matplotlib.image.imread(path).shape[1] == 500


@pytest.mark.parametrize("title", [None, "A title"])
def test_the_name_of_the_axis_is_no_longer_than_the_axis(title: str | None) -> None:
    figure = draw_logo("ACGT" * 10, np.ones(40), 0, "Mean loss by substitution", title)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    label, axis = ax.yaxis.label.get_window_extent(), ax.get_window_extent()
    assert axis.y0 <= label.y0 < label.y1 <= axis.y1


def test_numbers_that_are_all_zero_can_be_drawn(tmp_path: Path) -> None:
    assert plot_logo(tmp_path / "x.png", "ACG", np.zeros(3), dpi=30).exists()


@pytest.mark.parametrize(("sequence", "heights"), [("", []), ("ACG", [1.0, 2.0]), ("AC", [1.0, np.nan])])
def test_a_logo_needs_a_number_for_each_letter(tmp_path: Path, sequence: str, heights: list[float]) -> None:
    with pytest.raises(ValueError, match="a logo needs a finite number for each letter"):
        plot_logo(tmp_path / "x.png", sequence, heights)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("n", "most"), [(1, 5), (7, 7), (10, 3), (1000, 64)])
def test_bins_are_means_and_extremes_of_what_is_known(n: int, most: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.normal(size=n)
    values[rng.random(n) < 0.2] = np.nan
    if n == 10:
        values[:3] = np.nan
    found = binned(values, most)
    bounds = [k * n // min(n, most) for k in range(min(n, most) + 1)]
    parts = [values[a:b] for a, b in pairwise(bounds)]
    assert len(found.mean) == len(parts) == min(n, most)
    for i, part in enumerate(parts):
        known = part[~np.isnan(part)]
        expected = (known.mean(), known.min(), known.max()) if len(known) else (np.nan,) * 3
        np.testing.assert_allclose((found.mean[i], found.low[i], found.high[i]), expected)


def test_a_track_has_as_many_points_as_bins_whatever_the_genome() -> None:
    bits = np.full(1_000_000, 1.9, dtype=np.float32)
    bits[400_000:500_000] = 0.5
    bits[:1000] = np.nan
    figure = draw_novelty({"chr1": bits, "chr2": bits[-50:]}, [Interval("chr1", 400_000, 500_000)], 200, None)
    first, second = figure.axes
    x, y = first.lines[1].get_data()
    assert len(x) == 200 and len(second.lines[1].get_xdata()) == 50
    low = (x > 400_000) & (x < 500_000)
    np.testing.assert_allclose(np.asarray(y)[low], 0.5, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(y)[~low], 1.9, rtol=1e-5)
    assert len(first.patches) == 1 and not second.patches
    assert "5,000 bases" in first.get_title(loc="left")


def test_a_track_is_a_figure_and_of_many_records_six_are_drawn(tmp_path: Path) -> None:
    tracks = {f"chr{i}": np.full(40, 1.5) for i in range(8)}
    assert len(draw_novelty(tracks, [], 10, None).axes) == 6
    path = plot_novelty(tmp_path / "x.png", tracks, title="A title", dpi=50)
    assert matplotlib.image.imread(path).shape[1] == 500


@pytest.mark.parametrize(
    ("tracks", "bins", "message"),
    [
        ({}, 10, "no record to draw"),
        ({"a": np.full(9, np.nan)}, 10, "record 'a': a track needs a known base"),
        ({"a": np.ones((2, 2))}, 10, "got an array of shape \\(2, 2\\)"),
        ({"a": np.ones(9)}, 0, "bins must be at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path: Path, tracks: dict, bins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_novelty(tmp_path / "x.png", tracks, bins=bins)


@pytest.mark.parametrize("given", [["ACGT"], "ACGT", 3, {"a": "ACGT"}, [[1.0, 2.0], object()]])
def test_what_is_no_surprise_is_refused_and_the_message_says_what_is(tmp_path: Path, given: Any) -> None:
    with pytest.raises(TypeError, match="what DNALanguageModel.surprise returns .*, one such array, or a mapping of"):
        plot_novelty(tmp_path / "x.png", given)
    assert list(tmp_path.iterdir()) == []


def test_records_without_names_are_called_by_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from titans_seq.evaluation import novelty_plots

    titles: list[list[str]] = []

    def noted(*arguments: Any) -> Any:
        figure = draw_novelty(*arguments)
        titles.append([ax.get_title(loc="left") for ax in figure.axes])
        return figure

    monkeypatch.setattr(novelty_plots, "draw_novelty", noted)
    bits = np.full(20, 1.5, dtype=np.float32)
    for given in ([bits, bits], (bits,), bits):
        plot_novelty(tmp_path / "x.png", given, dpi=30)
    assert titles == [["0: bits per base", "1: bits per base"], ["0: bits per base"], ["0: bits per base"]]


def test_a_language_models_surprise_is_a_track(tmp_path: Path) -> None:
    from titans_seq import DNALanguageModel

    model = DNALanguageModel(orders=(1, 2, 4), max_epochs=0, verbose=0).fit(["ACGGT" * 100])
    assert plot_novelty(tmp_path / "all.png", model.surprise(["ACGGT" * 50, "ACGT" * 50]), dpi=40).exists()
    path = plot_novelty(tmp_path / "x.png", {"r": model.surprise(["ACGGT" * 50])[0]}, dpi=40)
    assert path.read_bytes().startswith(b"\x89PNG")
