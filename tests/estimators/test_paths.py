"""Sample paths: quantiles step by step, and sums that vary as sums of what happens do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.signal import lfilter
from series_frames import hourly

from titans_seq import TitansForecaster
from titans_seq.estimators._conformal import LEVELS
from titans_seq.estimators._normal_scores import at_levels, from_normal, to_normal
from titans_seq.estimators._paths import dependence, draw_scores

PHI, HORIZON = 0.7, 12


def ar1(n_series: int, rows: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n_series, rows + 200))
    return lfilter([1.0], [1.0, -PHI], noise)[:, 200:]


@pytest.fixture(scope="module")
def fitted() -> TitansForecaster:
    return TitansForecaster(HORIZON, max_epochs=0, context_length=200, verbose=0).fit(ar1(20, 1200, seed=0))


def sums_of_errors(steps: int) -> float:
    """Variance of the sum of the errors of the best forecasts of an AR(1)."""
    return float(np.square((1 - PHI ** np.arange(1, steps + 1)) / (1 - PHI)).sum())


def errors_step_by_step(steps: int) -> float:
    """Sum of the variances of these errors: what the sum would vary by if they were independent."""
    return float(((1 - PHI ** (2 * np.arange(1, steps + 1))) / (1 - PHI**2)).sum())


def test_sums_of_paths_vary_as_sums_of_the_series_do(fitted: TitansForecaster) -> None:
    paths = fitted.sample(4000, random_state=0)
    assert paths.shape == (20, 4000, HORIZON)
    variance, alone = paths.sum(-1).var(axis=1).mean(), paths.var(axis=1).sum(-1).mean()
    assert variance == pytest.approx(sums_of_errors(HORIZON), rel=0.15)
    assert variance / alone == pytest.approx(sums_of_errors(HORIZON) / errors_step_by_step(HORIZON), rel=0.07)
    assert alone < 0.35 * sums_of_errors(HORIZON)


def test_totals_are_covered_as_often_as_their_quantiles_say(fitted: TitansForecaster) -> None:
    y = ar1(400, 260, seed=1)
    totals = fitted.sample(500, X=y[:, :-HORIZON], random_state=0).sum(-1)
    low, high = np.quantile(totals, [0.1, 0.9], axis=1)
    actual = y[:, -HORIZON:].sum(1)
    assert 0.74 < ((low <= actual) & (actual <= high)).mean() < 0.86


@pytest.mark.parametrize("horizon", [4, HORIZON, 31])
def test_at_each_row_the_paths_are_the_quantiles_of_predict(fitted: TitansForecaster, horizon: int) -> None:
    paths = fitted.sample(50, horizon=horizon, random_state=3)
    levels = (np.arange(50) + 0.5) / 50
    quantiles = fitted.predict(horizon=horizon, quantiles=levels)[..., 1:]
    np.testing.assert_allclose(np.sort(paths, axis=1), quantiles.swapaxes(1, 2), rtol=1e-9)


def test_the_same_seed_draws_the_same_paths_and_changes_nothing(fitted: TitansForecaster) -> None:
    before = fitted.predict(level=[80])
    one, again, other = (fitted.sample(7, random_state=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1
    assert np.abs(fitted.sample(7) - fitted.sample(7)).max() > 0.1
    np.testing.assert_array_equal(fitted.predict(level=[80]), before)


def test_paths_beyond_the_horizon_go_on_as_the_series_does(fitted: TitansForecaster) -> None:
    paths = fitted.sample(400, horizon=2 * HORIZON, random_state=0)
    centred = paths - paths.mean(1, keepdims=True)
    across = (centred[..., HORIZON - 1] * centred[..., HORIZON]).mean() / (centred[..., HORIZON] ** 2).mean()
    assert across == pytest.approx(PHI, abs=0.1)  # the first row of the second block knows the last of the first
    assert paths.sum(-1).var(axis=1).mean() == pytest.approx(sums_of_errors(2 * HORIZON), rel=0.2)


def test_dependence_of_windows_with_missing_rows_is_that_of_the_rows_there_are() -> None:
    rng = np.random.default_rng(0)
    z = draw_scores(np.linalg.cholesky(0.8 ** np.abs(np.subtract.outer(range(6), range(6)))).T, 5000, 6, rng)
    factor = dependence(z, rng.random(z.shape) > 0.3)
    np.testing.assert_allclose(factor.T @ factor, 0.8 ** np.abs(np.subtract.outer(range(6), range(6))), atol=0.06)
    nothing = dependence(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool))
    np.testing.assert_allclose(nothing.T @ nothing, np.eye(3), atol=1e-12)


def test_normal_scores_and_errors_undo_each_other() -> None:
    rng = np.random.default_rng(0)
    offsets = np.sort(rng.normal(size=(len(LEVELS), 3)), axis=0)
    errors = rng.normal(size=(500, 3)) * 5
    np.testing.assert_allclose(from_normal(to_normal(errors, offsets), offsets), errors, rtol=1e-6, atol=1e-8)
    tails = at_levels(offsets.T, np.array([1e-6, 1e-3, 0.005, 0.5, 0.995, 0.999, 1 - 1e-6]))
    assert (np.diff(tails, axis=1) > 0).all() and np.isfinite(tails).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("wide", [False, True])
def test_frames_give_long_frames_of_paths(make: Callable, library: str, wide: bool) -> None:
    frame = hourly({"a": 150, "b": 150})
    if wide:
        frame = frame.pivot(index="ds", columns="unique_id", values="y").reset_index()
        frame.columns.name = None
    forecaster = make(max_epochs=0).fit(frame if library == "pandas" else pl.from_pandas(frame))
    paths = forecaster.sample(3, horizon=8, random_state=0)
    assert type(paths).__module__.startswith(library)
    paths = paths if library == "pandas" else pd.DataFrame(paths.to_dict(as_series=False))
    assert list(paths.columns) == ["unique_id", "ds", "sample", "TitansForecaster"]
    assert paths.unique_id.tolist() == ["a"] * 24 + ["b"] * 24
    assert paths["sample"].tolist() == list(np.repeat([0, 1, 2], 8)) * 2
    assert (
        paths.ds[:8].tolist() == paths.ds[8:16].tolist() == list(pd.date_range("2024-01-07 06:00", periods=8, freq="h"))
    )


def test_a_model_of_before_there_were_paths_draws_independent_steps(make: Callable, loud_network: None) -> None:
    forecaster = make(max_epochs=0).fit(hourly({"a": 150}))
    assert forecaster._combination.dependence is None
    values = forecaster.sample(500, random_state=0).TitansForecaster.to_numpy().reshape(500, -1)
    assert np.abs(np.corrcoef(values.T.argsort(1).argsort(1)) - np.eye(6)).max() < 0.2


def test_counts_below_one_are_refused(fitted: TitansForecaster) -> None:
    with pytest.raises(ValueError, match="n_paths must be at least 1"):
        fitted.sample(0)
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        fitted.sample(3, horizon=0)
