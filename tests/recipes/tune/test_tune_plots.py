"""Pictures of a study can be read."""

from __future__ import annotations

from matplotlib.figure import Figure

from titans_seq.recipes.tune.plots import thin_labels


def test_labels_along_a_narrow_logarithmic_axis_do_not_overlap() -> None:
    figure = Figure(figsize=(2.0, 3.0))
    axes = figure.subplots()
    axes.scatter([1.6e-4, 1e-3, 5.4e-3], [1.0, 2.0, 3.0])
    axes.set_xscale("log")
    thin_labels(figure)
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in axes.get_xticklabels(which="both") if t.get_text() and t.get_visible()]
    inside = [box for box in boxes if axes.bbox.x0 <= (box.x0 + box.x1) / 2 <= axes.bbox.x1]
    assert inside
    assert all(left.x1 <= right.x0 for left, right in zip(inside, inside[1:], strict=False))
