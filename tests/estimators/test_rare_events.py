"""Series in which next to nothing moves for long: a trailing scale near nothing must not blow intervals up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from titans_seq import TitansForecaster


def counts(rate: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).poisson(rate, (30, 260)).astype(float)


def one_event_in_twenty(level: float = 0.0) -> np.ndarray:
    return level + (np.random.default_rng(0).random(400) < 0.05)[None] * 5.0


@pytest.mark.parametrize("y", [counts(), one_event_in_twenty(), one_event_in_twenty(100.0)])
def test_outer_quantiles_and_paths_stay_near_what_was_seen(y: np.ndarray) -> None:
    forecaster = TitansForecaster(7, max_epochs=0, random_state=0, verbose=0).fit(y[:, :200])
    spread = np.ptp(y)
    low, high = forecaster.predict(level=[98])[..., 1:].min(), forecaster.predict(level=[98])[..., 2].max()
    assert y.min() - spread < low and high < y.max() + spread
    paths = forecaster.sample(500, random_state=0)
    assert y.min() - 3 * spread < paths.min() and paths.max() < y.max() + 3 * spread
    assert abs(paths.mean() - y.mean()) < 0.6 * y.std()


def test_where_volatility_changes_intervals_follow_it() -> None:
    """Calm stretches are no stretches of nothing: validation keeps their own scale."""
    size = np.repeat([1.0, 0.02, 1.0, 0.02, 1.0, 0.02, 1.0], 100)
    y = np.random.default_rng(0).normal(size=(8, len(size))) * size
    options = {"context_length": 48, "max_epochs": 0, "validation_fraction": 0.4, "random_state": 0, "verbose": 0}
    forecaster = TitansForecaster(7, **options).fit(y)
    calm, lively = (forecaster.predict(y[:, :end], level=[80]) for end in (600, 700))
    calm_width, lively_width = ((x[..., 2] - x[..., 1]).mean() for x in (calm, lively))
    assert calm_width < 0.25 * lively_width


@pytest.mark.parametrize("seed", range(4))
def test_the_alarm_of_a_switch_is_in_units_of_something(seed: int) -> None:
    """Most errors are none: in units of the middle of their distribution any other is millions."""
    y = np.cumsum(np.random.default_rng(seed).random((1, 1200)) < 1 / 60, axis=1) % 2 * 1.0
    forecaster = TitansForecaster(7, max_epochs=0, random_state=0, verbose=0).fit(y[:, :900])
    assert forecaster._combination.alarm_level < 1000


def test_the_least_scale_is_saved(tmp_path: Path) -> None:
    forecaster = TitansForecaster(7, max_epochs=0, random_state=0, verbose=0).fit(counts()[:, :200])
    assert forecaster._combination.least_scale > 0
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    assert loaded._combination.least_scale == forecaster._combination.least_scale
    np.testing.assert_array_equal(loaded.predict(level=[98]), forecaster.predict(level=[98]))
