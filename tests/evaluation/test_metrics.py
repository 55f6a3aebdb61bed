"""Metrics: against GluonTS, against loops, with missing truths, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from gluonts.ev import stats, ts_stats

from titans_seq.evaluation import metrics

LEVELS = (0.025, 0.5, 0.975)


@pytest.fixture
def case():
    """Return truths, quantiles (the median is the forecast), scales, and a mask of observed truths."""
    rng = np.random.default_rng(0)
    actual = rng.normal(size=(6, 5)) + 2
    quantiles = actual[..., None] + np.sort(rng.normal(size=(6, 5, 3)), axis=-1)
    return actual, quantiles, rng.random(6) + 0.5, rng.random((6, 5)) > 0.3


def as_gluonts(actual, quantiles, scale):
    named = {str(level): quantiles[..., i] for i, level in enumerate(LEVELS)}
    return {"label": actual, "seasonal_error": scale[:, None], **named}


def test_the_errors_equal_those_of_gluonts(case):
    actual, quantiles, scale, _ = case
    data, point = as_gluonts(actual, quantiles, scale), quantiles[..., 1]
    assert metrics.mse(actual, point) == pytest.approx(stats.squared_error(data, "0.5").mean())
    assert metrics.rmse(actual, point) == pytest.approx(stats.squared_error(data, "0.5").mean() ** 0.5)
    assert metrics.mae(actual, point) == pytest.approx(stats.absolute_error(data, "0.5").mean())
    expected = stats.symmetric_absolute_percentage_error(data, "0.5").mean()
    assert metrics.smape(actual, point) == pytest.approx(expected)
    assert metrics.mase(actual, point, scale) == pytest.approx(stats.absolute_scaled_error(data, "0.5").mean())


def test_the_interval_and_quantile_scores_equal_those_of_gluonts(case):
    actual, quantiles, scale, _ = case
    data, (low, _, high) = as_gluonts(actual, quantiles, scale), np.moveaxis(quantiles, -1, 0)
    expected = stats.scaled_interval_score(data, 0.05).mean()
    assert metrics.msis(actual, low, high, scale, level=95) == pytest.approx(expected)
    losses = [stats.quantile_loss(data, level) for level in LEVELS]
    assert metrics.quantile_loss(actual, quantiles, LEVELS) == pytest.approx(np.mean(losses))
    weighted = np.mean([loss.sum() / np.abs(actual).sum() for loss in losses])
    assert metrics.weighted_quantile_loss(actual, quantiles, LEVELS) == pytest.approx(weighted)


def test_the_seasonal_error_equals_that_of_gluonts_and_skips_pairs_with_a_gap():
    y = np.random.default_rng(1).normal(size=50)
    assert metrics.seasonal_error(y, season_length=7) == pytest.approx(ts_stats.seasonal_error(y, 7)[0])
    seen = np.ones(50, dtype=bool)
    seen[[10, 30]] = False
    pairs = [abs(y[t] - y[t - 7]) for t in range(7, 50) if t not in (10, 17, 30, 37)]
    assert metrics.seasonal_error(np.where(seen, y, np.nan), seen, season_length=7) == pytest.approx(np.mean(pairs))


def test_a_history_shorter_than_a_season_is_measured_step_by_step():
    assert metrics.seasonal_error([1.0, 3.0, 2.0], season_length=3) == 1.5
    assert metrics.seasonal_error([4.0, 4.0, 4.0]) == 0.0
    assert metrics.seasonal_error([4.0]) == 0.0


def by_hand(case):
    """Return each metric over the observed entries, one entry after another."""
    actual, quantiles, scale, observed = case
    rows = [(actual[i], *quantiles[i], scale[i[0]]) for i in map(tuple, np.argwhere(observed))]
    pinball = [[2 * (y - q) * (level - (y < q)) for level, q in zip(LEVELS, qs, strict=True)] for y, *qs, _ in rows]
    return {
        "mse": np.mean([(y - f) ** 2 for y, _, f, _, _ in rows]),
        "mae": np.mean([abs(y - f) for y, _, f, _, _ in rows]),
        "smape": np.mean([2 * abs(y - f) / (abs(y) + abs(f)) for y, _, f, _, _ in rows]),
        "mase": np.mean([abs(y - f) / s for y, _, f, _, s in rows]),
        "coverage": np.mean([low <= y <= high for y, low, _, high, _ in rows]),
        "msis": np.mean(
            [(high - low + 40 * max(low - y, 0) + 40 * max(y - high, 0)) / s for y, low, _, high, s in rows]
        ),
        "quantile_loss": np.mean(pinball),
        "weighted_quantile_loss": np.sum(pinball) / 3 / sum(abs(row[0]) for row in rows),
    }


def all_metrics(actual, quantiles, scale, observed):
    low, point, high = np.moveaxis(quantiles, -1, 0)
    return {
        "mse": metrics.mse(actual, point, observed),
        "mae": metrics.mae(actual, point, observed),
        "smape": metrics.smape(actual, point, observed),
        "mase": metrics.mase(actual, point, scale, observed),
        "coverage": metrics.coverage(actual, low, high, observed),
        "msis": metrics.msis(actual, low, high, scale, observed),
        "quantile_loss": metrics.quantile_loss(actual, quantiles, LEVELS, observed),
        "weighted_quantile_loss": metrics.weighted_quantile_loss(actual, quantiles, LEVELS, observed),
    }


@pytest.mark.parametrize("junk", [0.0, np.nan, 1e9])
def test_missing_truths_count_nowhere_whatever_stands_there(case, junk):
    actual, quantiles, scale, observed = case
    found = all_metrics(np.where(observed, actual, junk), quantiles, scale, observed)
    assert found == pytest.approx(by_hand(case))
    assert all(isinstance(value, float) for value in found.values())


def test_an_axis_leaves_one_number_per_window_or_per_step(case):
    actual, quantiles, scale, _ = case
    point = quantiles[..., 1]
    np.testing.assert_allclose(metrics.mse(actual, point, axis=-1), ((actual - point) ** 2).mean(axis=1))
    np.testing.assert_allclose(metrics.rmse(actual, point, axis=0), ((actual - point) ** 2).mean(axis=0) ** 0.5)
    per_window = [metrics.mase(actual[i], point[i], scale[i]) for i in range(6)]
    np.testing.assert_allclose(metrics.mase(actual, point, scale, axis=-1), per_window)


def test_windows_of_scale_zero_have_no_scaled_error_and_are_left_out(case):
    actual, quantiles, scale, _ = case
    point = quantiles[..., 1]
    scale[2] = 0.0
    kept = [0, 1, 3, 4, 5]
    assert metrics.mase(actual, point, scale) == pytest.approx(metrics.mase(actual[kept], point[kept], scale[kept]))
    with pytest.raises(ValueError, match="1 of 6 means would be over nothing"):
        metrics.mase(actual, point, scale, axis=-1)


def test_a_perfect_forecast_of_zeros_has_no_percentage_error():
    assert metrics.smape(np.zeros((1, 3)), np.zeros((1, 3))) == 0.0
    assert metrics.smape([[0.0, 1.0]], [[1.0, 1.0]]) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ([[1.0, np.nan]], [[1.0, 1.0]]),
            r"actual is nan at index \(0, 1\); mark missing values as False in observed",
        ),
        (([[1.0, 1.0]], [[np.inf, 1.0]]), r"the forecast is inf at index \(0, 0\)"),
        (([[1.0, 1.0]], [[1.0]]), r"the forecast has shape \(1, 1\), actual \(1, 2\)"),
        (([[1.0, 1.0]], [[1.0, 1.0]], [[True]]), r"observed has shape \(1, 1\), actual \(1, 2\)"),
        (([[1.0, 1.0]], [[1.0, 1.0]], [[False, False]]), "1 of 1 means would be over nothing"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.mse(*arguments)


def test_levels_and_scales_out_of_range_are_refused():
    y = np.ones((2, 3))
    with pytest.raises(ValueError, match="level must lie between 0 and 100"):
        metrics.msis(y, y, y, 1.0, level=100)
    with pytest.raises(ValueError, match="quantile levels must lie between 0 and 1"):
        metrics.quantile_loss(y, y[..., None], (1.5,))
    with pytest.raises(ValueError, match=r"quantiles must have shape \(2, 3, 2\)"):
        metrics.quantile_loss(y, y[..., None], (0.1, 0.9))
    with pytest.raises(ValueError, match="scale must not be negative"):
        metrics.mase(y, y, -1.0)
    with pytest.raises(ValueError, match=r"scale must be a number or have shape \(2,\)"):
        metrics.mase(y, y, np.ones(3))
    with pytest.raises(ValueError, match=r"the sum of \|actual\| is 0"):
        metrics.weighted_quantile_loss(0 * y, y[..., None], (0.5,))
    with pytest.raises(ValueError, match="season_length must be at least 1"):
        metrics.seasonal_error([1.0, 2.0], season_length=0)
