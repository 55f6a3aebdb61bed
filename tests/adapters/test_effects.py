"""The closed-form effect of covariates that are known ahead."""

from __future__ import annotations

import numpy as np
import pytest

from titans_seq.adapters.effects import CovariateEffect, fit_effect
from titans_seq.adapters.linear import LinearMap, fit_linear
from titans_seq.data import Frequency, Panel

LENGTH, HORIZON, ROWS = 24, 8, 600
YES = np.array([True])


def panel_of(values: np.ndarray, covariates: np.ndarray) -> Panel:
    """Series (n, rows) with covariates (n, rows, k)."""
    n, rows = values.shape
    return Panel(
        values.ravel(), np.ones(n * rows, dtype=bool), np.arange(n + 1) * rows, tuple(range(n)),
        np.zeros(n, dtype=np.int64), Frequency("integer", 1), covariates.reshape(n * rows, -1),
    )  # fmt: skip


def fit(panel: Panel, numeric: np.ndarray = YES, train: int = 450) -> CovariateEffect:
    n = panel.n_series
    end, ones = np.full(n, train), np.ones(n)

    def fit_map(left: Panel) -> LinearMap:
        return fit_linear(left, ones, np.zeros(n), end, LENGTH, HORIZON)

    none = CovariateEffect.none(np.ones_like(numeric), numeric)
    return fit_effect(panel, ones, np.zeros(n), end, none, fit_map)


def errors(n: int, random: np.random.Generator, memory: float = 0.9) -> np.ndarray:
    """AR(1) series with standard deviation 1."""
    noise = np.sqrt(1 - memory**2) * random.normal(size=(n, ROWS))
    for t in range(1, ROWS):
        noise[:, t] += memory * noise[:, t - 1]
    return noise


def test_an_effect_on_a_series_that_can_be_forecast_is_found_exactly() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2, ROWS))
    values = np.sin(2 * np.pi * np.arange(ROWS) / 12) + 0.7 * x
    effect = fit(panel_of(values, x[..., None]))
    np.testing.assert_allclose(effect.weights[:, 0], 0.7, atol=2e-3)


def test_an_effect_is_found_among_errors_that_depend_on_each_other() -> None:
    random = np.random.default_rng(1)
    x = errors(3, random, 0.95)  # as slow as the noise
    effect = fit(panel_of(errors(3, random, 0.95) + 0.8 * x, x[..., None]))
    np.testing.assert_allclose(effect.of(np.ones((1, 1)), np.array([-1])), 0.8, atol=0.15)


def test_effects_may_differ_between_series() -> None:
    random = np.random.default_rng(2)
    x, sizes = random.normal(size=(3, ROWS)), np.array([0.0, 1.0, -2.0])
    effect = fit(panel_of(0.2 * errors(3, random) + sizes[:, None] * x, x[..., None]))
    np.testing.assert_allclose(effect.weights[:-1, 0], sizes, atol=0.1)


def test_a_bend_is_found_by_the_square() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(1, ROWS)).clip(-3, 3)
    effect = fit(panel_of(0.2 * errors(1, random) + x**2, x[..., None]))
    np.testing.assert_allclose(effect.of(np.array([[2.0], [0.0]]), np.array([0, 0])) @ [1, -1], 4.0, atol=0.3)


def test_covariates_without_effect_get_none() -> None:
    random = np.random.default_rng(4)
    effect = fit(panel_of(errors(2, random), random.normal(size=(2, ROWS, 1))))
    assert np.abs(effect.weights).max() < 0.05


def test_rows_after_validation_begins_are_not_fitted_to() -> None:
    random = np.random.default_rng(5)
    x, noise = random.normal(size=(1, ROWS)), 0.1 * errors(1, random)
    values = noise + 0.5 * x
    values[:, 450:] = noise[:, 450:] + 0.7 * x[:, 450:]  # worth having there, too, yet another size
    effect = fit(panel_of(values, x[..., None]))
    np.testing.assert_allclose(effect.weights[:, 0], 0.5, atol=0.03)


def test_taking_an_effect_out_and_adding_it_gives_the_values_back() -> None:
    random = np.random.default_rng(6)
    panel = panel_of(random.normal(size=(2, 5)), random.normal(size=(2, 5, 2)))
    effect = CovariateEffect.none(np.array([True, False]), np.array([True, True])).plus(random.normal(size=(3, 2)))
    scale, places = np.array([2.0, 3.0]), np.array([1, -1])
    left = effect.take_out(panel, scale, places)
    which = np.repeat([0, 1], 5)
    back = left.values + effect.of(panel.covariates, places[which]) * scale[which]
    np.testing.assert_allclose(back, panel.values)
    assert not np.allclose(left.values, panel.values)


@pytest.mark.parametrize("train", [ROWS, 20])
def test_with_too_few_rows_to_choose_on_the_effect_is_finite(train: int) -> None:
    random = np.random.default_rng(7)
    x = random.normal(size=(1, ROWS, 1))
    assert np.isfinite(fit(panel_of(x[..., 0] * 0.5, x), train=train).weights).all()
