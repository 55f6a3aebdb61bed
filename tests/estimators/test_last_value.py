"""On random walks nothing forecasts better than the last value, and what fits their noise forecasts worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from titans_seq import TitansForecaster

Make = Callable[..., TitansForecaster]


def walks(n: int = 600, n_series: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_series, n)).cumsum(1)


@pytest.mark.parametrize("carry_state", [True, False])
def test_a_random_walk_is_forecast_by_its_last_value(make: Make, carry_state: bool) -> None:
    y = walks()
    forecaster = make(carry_state=carry_state).fit(y)
    assert forecaster.linear_.is_last_value and not forecaster.online_linear_
    assert forecaster.network_weight_ == 0, "what the network finds in it is noise"
    np.testing.assert_allclose(forecaster.predict(), np.repeat(y[:, -1:], forecaster.horizon, 1), rtol=1e-5, atol=1e-5)
    new = walks(7, seed=1)
    forecaster.update(new)
    np.testing.assert_allclose(forecaster.predict(), np.repeat(new[:, -1:], 6, 1), rtol=1e-5, atol=1e-5)


def test_what_can_be_forecast_is(make: Make) -> None:
    t = np.arange(600)
    season = np.sin(2 * np.pi * t / 12) + 0.3 * np.random.default_rng(0).normal(size=(4, 600))
    reverting = np.zeros((4, 600))
    for i in range(1, 600):
        reverting[:, i] = 0.8 * reverting[:, i - 1] + np.random.default_rng(i).normal(size=4)
    for y in (season, reverting, walks() + 2.0 * t):
        assert not make(max_epochs=0).fit(y).linear_.is_last_value


def test_the_map_that_is_asked_to_go_on_learning_is_not_taken_away(make: Make) -> None:
    forecaster = make(max_epochs=0, online_linear=True).fit(walks())
    assert forecaster.online_linear_ and not forecaster.linear_.is_last_value


def test_too_few_windows_to_tell_leave_the_map(make: Make) -> None:
    assert not make(max_epochs=0).fit(walks(60, 1)).linear_.is_last_value


def test_the_first_steps_tell_where_windows_of_the_horizon_are_few(make: Make) -> None:
    """A map fitted to few windows of random walks is far worse than the last value; of a season it is better."""
    few = make(max_epochs=0, context_length=48, patch_length=8, horizon=60, validation_fraction=0.3)
    season = 2 * np.sin(2 * np.pi * np.arange(200) / 12)
    noise = [np.random.default_rng(seed).normal(size=(4, 200)) for seed in range(6)]
    assert sum(few.fit(walks(200, seed=seed)).linear_.is_last_value for seed in range(6)) >= 2
    assert not any(few.fit(season + one).linear_.is_last_value for one in noise)


def test_a_map_that_is_taken_over_as_it_is_is_another(make: Make) -> None:
    """Its penalty is infinite, too, but it is drawn to the earlier map."""
    y = np.sin(2 * np.pi * np.arange(600) / 12)[None] + 0.1 * np.random.default_rng(0).normal(size=(4, 600))
    earlier = make(max_epochs=0).fit(y)
    linear = replace(earlier.linear_, penalty=np.inf)
    assert not linear.is_last_value and linear.last_value().is_last_value


def test_many_windows_that_overlap_are_few(make: Make) -> None:
    """Two horizons of validation rows tell nothing, however many windows begin in them."""
    y = walks(180, 8)
    assert not make(max_epochs=0, horizon=30, validation_fraction=0.4).fit(y).linear_.is_last_value
    assert make(max_epochs=0, horizon=6, validation_fraction=0.4).fit(y).linear_.is_last_value


def test_a_saved_model_keeps_it_and_others_start_from_it(make: Make, tmp_path: Path) -> None:
    y = walks()
    forecaster = make(max_epochs=1).fit(y)
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    assert loaded.linear_.is_last_value
    np.testing.assert_array_equal(loaded.predict(), forecaster.predict())
    later = make(max_epochs=1).fit(np.sin(np.arange(300) / 3)[None], init=loaded)
    assert np.isfinite(later.predict()).all()
