"""Pictures of a study can be read."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from matplotlib.figure import Figure

from titans_seq.recipes.tune.plots import space_labels, thin_labels


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


def picture(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).astype(int)


@pytest.mark.filterwarnings("ignore")  # this plot is an experiment of optuna's
def test_names_of_the_axes_of_three_objectives_do_not_overlap_their_numbers() -> None:
    from matplotlib import pyplot
    from optuna.visualization.matplotlib import plot_pareto_front

    study, random = optuna.create_study(directions=["minimize"] * 3), np.random.default_rng(0)
    for _ in range(9):
        values = [0.5 + random.random(), random.random() / 1000, 50_000.0 * random.integers(1, 9)]
        study.add_trial(optuna.trial.create_trial(values=values))
    axes = plot_pareto_front(study, target_names=["validation_error", "predict_seconds", "n_parameters"])
    figure = axes.get_figure()
    try:
        space_labels(figure)
        whole = picture(figure)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.label.set_alpha(0)
        numbers = picture(figure)
        axes.tick_params(labelcolor="none")
        neither = picture(figure)
    finally:
        pyplot.close(figure)
    names, numbers = ((one != other).any(2) for one, other in ((whole, numbers), (numbers, neither)))
    assert names.sum() > 500 and numbers.sum() > 500
    near = [np.roll(numbers, (up, right), (0, 1)) for up in (-2, 0, 2) for right in (-2, 0, 2)]
    assert not (names & np.any(near, axis=0)).any()
