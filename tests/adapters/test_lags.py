"""What the last rows of covariates add to the linear forecast."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titans_seq.adapters._linear_windows import WindowReader
from titans_seq.adapters.lags import LaggedMap, fit_lags
from titans_seq.adapters.linear import fit_linear
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.data import Frequency, Panel

ROWS, LENGTH, HORIZON = 500, 12, 4


def panel_of(values: np.ndarray, covariates: np.ndarray) -> Panel:
    n = len(values)
    return Panel(
        values.ravel(), np.ones(n * ROWS, dtype=bool), np.arange(n + 1) * ROWS, tuple(range(n)),
        np.zeros(n, dtype=np.int64), Frequency("integer", 1), covariates.reshape(n * ROWS, -1),
    )  # fmt: skip


def fit(panel: Panel, features: np.ndarray, train: int = 400) -> LaggedMap:
    n = panel.n_series
    center, scale, end = np.zeros(n), np.ones(n), np.full(n, train)
    linear = fit_linear(panel, scale, center, end, LENGTH, HORIZON)
    return fit_lags(WindowReader(panel, center, scale, LENGTH, HORIZON), linear, end, features, 8)


def test_an_indicator_that_goes_ahead_is_found_at_its_lag() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2, ROWS, 2))
    y = np.roll(x[..., 1], 3, axis=1) + 0.1 * random.normal(size=(2, ROWS))
    weights = fit(panel_of(y, x), np.array([True, True])).weights
    expected = np.zeros_like(weights)
    for step in range(3):  # what happens `step` rows after the cut-off was told 3 - step rows before it
        expected[len(weights) - 3 + step, 1, step] = 1.0
    np.testing.assert_allclose(weights, expected, atol=0.1)


def test_only_the_features_asked_for_count() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(1, ROWS, 2))
    y = np.roll(x[..., 1], 2, axis=1) + 0.1 * random.normal(size=(1, ROWS))
    assert fit(panel_of(y, x), np.array([True, False])).rows == 0
    assert not fit(panel_of(y, x), np.array([False, True])).weights[:, 0].any()


def test_covariates_that_tell_nothing_are_left_out() -> None:
    random = np.random.default_rng(2)
    panel = panel_of(random.normal(size=(2, ROWS)), random.normal(size=(2, ROWS, 3)))
    assert fit(panel, np.ones(3, dtype=bool)).rows == 0


@pytest.mark.parametrize("centred", [False, True])
def test_arrays_and_tensors_give_the_same(centred: bool) -> None:
    random = np.random.default_rng(3)
    panel = panel_of(random.normal(size=(2, ROWS)), random.normal(size=(2, ROWS, 3)))
    lags = LaggedMap(random.normal(size=(5, 3, HORIZON)), centred)
    data = ScaledPanel(panel, np.zeros(2), np.ones(2), np.zeros(2, dtype=np.int64))
    none = np.zeros(0, dtype=np.int64)
    assert np.shape(lags.forecast(data, none, none)) == (0, HORIZON)
    cutoff = np.array([0, 2, 5, 77, ROWS])
    expected = lags.forecast(data, np.ones(5, dtype=np.int64), cutoff)
    rows = torch.from_numpy(panel.gather_covariates([1], [0], ROWS))
    found = lags.forecast_torch(rows, torch.from_numpy(cutoff)[None])
    np.testing.assert_allclose(np.asarray(found)[0], expected, atol=1e-12)


def test_the_map_of_no_rows_adds_nothing() -> None:
    panel = panel_of(np.zeros((1, ROWS)), np.zeros((1, ROWS, 0)))
    data = ScaledPanel(panel, np.zeros(1), np.ones(1), np.zeros(1, dtype=np.int64))
    assert LaggedMap().forecast(data, np.array([0]), np.array([5])) == 0.0
    assert LaggedMap().forecast_torch(torch.zeros(1, 4, 0), torch.tensor([[2]])) == 0.0
