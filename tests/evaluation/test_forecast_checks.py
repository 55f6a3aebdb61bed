"""Figures of trainings, coverage and errors show the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest

from titans_seq.evaluation.class_curves import draw_class_curves
from titans_seq.evaluation.data_plots import draw_lengths
from titans_seq.evaluation.forecast_checks import (
    draw_errors_ahead,
    draw_quantile_coverage,
    draw_ranked_errors,
    quantile_coverage,
)
from titans_seq.evaluation.training_plots import LossCurve, draw_losses, draw_steps

HISTORY = [
    {"epoch": 0, "train_loss": None, "validation_loss": 3.0, "seconds": 0.0},
    {"epoch": 1, "train_loss": 2.0, "validation_loss": 1.5, "seconds": 1.0},
    {"epoch": 2, "train_loss": 1.0, "validation_loss": 1.8, "seconds": 2.0},
]


def test_coverage_counts_what_was_observed() -> None:
    actual = np.array([[1.0, 2.0], [3.0, 99.0]])
    observed = np.array([[True, True], [True, False]])
    quantiles = np.stack((np.full((2, 2), 1.0), np.full((2, 2), 2.5)), -1)
    np.testing.assert_allclose(quantile_coverage(actual, observed, quantiles), [1 / 3, 2 / 3])
    assert np.isnan(quantile_coverage(actual, np.zeros((2, 2), dtype=bool), quantiles)).all()


def test_the_epoch_that_is_kept_is_marked() -> None:
    curve = LossCurve.of(HISTORY)
    assert curve.selected == 1
    figure = draw_losses([curve, curve], ["one", "two"])
    assert len(figure.axes) == 2
    ring = next(line for line in figure.axes[0].lines if line.get_label() == "Kept: epoch 1")
    assert ring.get_xydata().tolist() == [[1.0, 1.5]]


def test_without_validation_no_epoch_is_marked() -> None:
    curve = LossCurve.of([row | {"validation_loss": None} for row in HISTORY])
    assert curve.selected is None
    labels = [line.get_label() for line in draw_losses([curve], ["one"]).axes[0].lines]
    assert labels == ["Training", "Validation"]


@pytest.mark.parametrize("n", [1, 5, 3000])
def test_steps_are_smoothed_by_their_neighbours(n: int) -> None:
    loss = np.linspace(4, 1, n)
    upper, _ = draw_steps(np.arange(n, dtype=float), loss, np.full(n, 32.0)).axes
    smooth = upper.lines[1].get_ydata()
    np.testing.assert_allclose(smooth[n // 2], loss[n // 2], atol=0.5)


def test_points_of_the_coverage_are_the_shares() -> None:
    levels, shares = np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.5, 0.7])
    line = next(x for x in draw_quantile_coverage(levels, shares).axes[0].lines if x.get_label() == "Observed")
    np.testing.assert_array_equal(line.get_xydata(), np.c_[levels, shares])


def test_errors_are_ranked_with_their_baseline() -> None:
    errors, other = np.array([3.0, 1.0, 2.0]), np.array([30.0, 10.0, 20.0])
    (ax,) = draw_ranked_errors(errors, other, "naive", "error").axes
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [1, 2, 3])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [10, 20, 30])
    wide = draw_ranked_errors(np.geomspace(1e-3, 1e3, 20), None, "", "error").axes[0]
    assert wide.get_yscale() == "log"


def test_each_forecast_has_its_line_by_steps() -> None:
    (ax,) = draw_errors_ahead({"Model": np.ones(3), "naive": np.full(3, 2.0)}, "error").axes
    assert [line.get_label() for line in ax.lines] == ["Model", "naive"]
    assert ax.lines[1].get_xdata().tolist() == [1, 2, 3]


def test_lengths_are_shares_of_each_part() -> None:
    (ax,) = draw_lengths({"Training": np.array([5, 5, 6, 7]), "Test": np.array([6])}, "Bases").axes
    values = [patch.get_data().values.sum() for patch in ax.patches]
    assert values == pytest.approx([1.0, 1.0])


def test_classes_whose_names_begin_with_an_underscore_are_in_the_legend() -> None:
    labels = np.array(["_a", "b", "_a", "b", "c", "c"])
    p = np.full((6, 3), 1 / 3) + 0.1 * np.eye(3)[[0, 1, 1, 0, 2, 2]]
    figure = draw_class_curves(labels, p, ["_a", "b", "c"], [0, 1, 2])
    assert [text.get_text().strip() for text in figure.legends[0].get_texts()] == ["_a", "b", "c"]
