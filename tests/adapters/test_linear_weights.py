"""The linear map with weights: scikit-learn's, repeated series, and rows that are never a target."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from titans_seq.adapters._linear_targets import refined_ridge
from titans_seq.adapters._linear_windows import WindowReader
from titans_seq.adapters.linear import CENTRINGS, fit_linear
from titans_seq.data import Frequency, Panel

L, H = 10, 4


def panel_of(*series: np.ndarray) -> Panel:
    values = np.concatenate(series)
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])])
    observed, origins = ~np.isnan(values), np.zeros(len(series), dtype=np.int64)
    return Panel(
        np.where(observed, values, 0.0), observed, offsets, tuple(range(len(series))), origins, Frequency("integer", 1)
    )


def walk(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 3 * np.sin(2 * np.pi * np.arange(n) / 12) + rng.normal(size=n).cumsum() * 0.2 + rng.normal(size=n)


def reader_of(panel: Panel, weight: np.ndarray | None, horizon: int = H) -> WindowReader:
    return WindowReader(panel, np.zeros(panel.n_series), np.ones(panel.n_series), L, horizon, weight)


def fit(panel: Panel, end: int, weight: np.ndarray | None = None, **options):
    n = panel.n_series
    return fit_linear(panel, np.ones(n), np.zeros(n), np.full(n, end), L, H, weight=weight, **options)


def windows_of(series: list[np.ndarray], weights: list[np.ndarray], horizon: int, centring: str):
    """Centred inputs and targets, and the weights of the targets, by hand."""
    parts = []
    for values, weight in zip(series, weights, strict=True):
        for c in range(L, len(values) - horizon + 1):
            x, y = values[c - L : c], values[c : c + horizon]
            level = {"none": 0.0, "last": x[-1], "mean": x.mean()}[centring]
            parts.append((x - level, y - level, weight[c : c + horizon]))
    return (np.array(part) for part in zip(*parts, strict=True))


def solve(reader: WindowReader, centring: str, **options) -> tuple[np.ndarray, np.ndarray]:
    last = reader.panel.lengths - reader.horizon
    windows = reader.between(np.zeros_like(last), last, 10**6)
    return refined_ridge(reader, windows, centring, 0.01, **options)


@pytest.mark.parametrize("centring", CENTRINGS)
def test_weights_of_series_are_the_sample_weights_of_scikit_learn(centring) -> None:
    series, counts = [walk(120, 0), walk(90, 1), walk(70, 2)], [0.2, 1.0, 0.7]
    weights = [np.full(len(one), c) for one, c in zip(series, counts, strict=True)]
    found, bias = solve(reader_of(panel_of(*series), np.concatenate(weights)), centring)
    x, y, w = windows_of(series, weights, H, centring)
    ridge = Ridge(alpha=0.01 * w[:, 0].sum(), fit_intercept=centring == "none", solver="svd")
    ridge.fit(x, y, sample_weight=w[:, 0])
    np.testing.assert_allclose(found, ridge.coef_.T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(bias, np.broadcast_to(ridge.intercept_, H), rtol=0, atol=1e-8)


@pytest.mark.parametrize("centring", CENTRINGS)
@pytest.mark.parametrize("horizon", [1, H])
def test_weights_of_rows_are_the_sample_weights_of_each_horizon_step(centring, horizon: int) -> None:
    series, rng = [walk(120, 0), walk(90, 1)], np.random.default_rng(3)
    weights = [rng.uniform(0.1, 1.0, len(one)) for one in series]
    weights[0][rng.random(120) < 0.3] = 0.0
    reader = reader_of(panel_of(*series), np.concatenate(weights), horizon)
    found, bias = solve(reader, centring, steps=200, tolerance=1e-13)
    x, y, w = windows_of(series, weights, horizon, centring)
    part = (w > 0).any(1)
    x, y, w = x[part], y[part], w[part]
    alpha = 0.01 * w.max(1).sum()
    for step in range(horizon):
        ridge = Ridge(alpha=alpha, fit_intercept=centring == "none", solver="svd")
        ridge.fit(x, y[:, step], sample_weight=w[:, step])
        np.testing.assert_allclose(found[:, step], ridge.coef_, rtol=0, atol=1e-8)
        assert bias[step] == pytest.approx(ridge.intercept_, abs=1e-8)


@pytest.mark.parametrize("every", [3, 8])
def test_few_rows_that_count_are_fitted_exactly_within_the_default_steps(every: int) -> None:
    series = walk(400, 5)
    weight = (np.arange(400) % every == 0).astype(float)
    reader = reader_of(panel_of(series), weight)
    exact, _ = solve(reader, "last", steps=2000, tolerance=1e-14)
    found, _ = solve(reader, "last")
    assert np.linalg.norm(found - exact) <= 1e-3 * np.linalg.norm(exact)


def test_a_weight_that_is_an_integer_is_the_series_repeated() -> None:
    a, b, c = walk(150, 0), walk(110, 1), walk(130, 2)
    weight = np.repeat([3.0, 1.0, 2.0], [150, 110, 130])
    weighted = fit(panel_of(a, b, c), 100, weight, penalties=[0.01, 0.1, 1.0])
    repeated = fit(panel_of(a, a, a, b, c, c), 100, penalties=[0.01, 0.1, 1.0])
    assert weighted.shared == repeated.shared
    assert (weighted.centring, weighted.penalty) == (repeated.centring, repeated.penalty)
    assert weighted.validation_score == pytest.approx(repeated.validation_score, rel=1e-10)
    if weighted.shared:
        np.testing.assert_allclose(weighted.weights, repeated.weights, rtol=0, atol=1e-10)
    else:
        np.testing.assert_allclose(weighted.weights, repeated.weights[[0, 3, 4]], rtol=0, atol=1e-10)


@pytest.mark.parametrize("scale", [2.0, 0.001])
def test_only_the_ratios_of_weights_matter(scale: float) -> None:
    panel, weight = panel_of(walk(150, 0), walk(110, 1)), np.random.default_rng(0).uniform(0, 1, 260)
    one, other = (fit(panel, 90, w) for w in (weight, scale * weight))
    assert (one.centring, one.penalty, one.shared) == (other.centring, other.penalty, other.shared)
    np.testing.assert_allclose(one.weights, other.weights, rtol=0, atol=1e-10)
    np.testing.assert_allclose(one.validation_score, other.validation_score, rtol=1e-10)


def test_a_row_of_weight_0_is_never_a_target_and_always_an_input() -> None:
    values, rng = walk(300, 0), np.random.default_rng(1)
    weight = np.ones(300)
    weight[rng.choice(300, 40, replace=False)] = 0.0
    reader = reader_of(panel_of(values), weight)
    blocks = list(reader.blocks(reader.between(np.array([0]), np.array([296]), 10**6)))
    used = np.zeros(300, dtype=bool)
    for block in blocks:
        rows = block.windows.cutoff[:, None] + np.arange(H)
        used[rows[block.target_weights > 0]] = True
        assert block.inputs_observed.all()
    np.testing.assert_array_equal(used[L:], weight[L:] > 0)


def test_the_score_is_the_weighted_error_of_the_validation_rows() -> None:
    values, weight = walk(300, 0), np.random.default_rng(2).uniform(0.1, 1.0, 300)
    weight[:200] = 0.5
    linear = fit(panel_of(values), 200, weight, penalties=[0.01], centrings=["mean"])
    x = np.stack([values[c - L : c] for c in range(200, 297)])
    rows = np.arange(200, 297)[:, None] + np.arange(H)
    errors = np.square(linear.predict(x) - values[rows])
    assert linear.validation_score == pytest.approx(np.average(errors, weights=weight[rows]), rel=1e-9)
