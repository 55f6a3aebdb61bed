"""`max_minutes`: what gives way as the clock runs short. No test measures time: the clock is a made-up one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from covariate_frames import ROLES, after, before, moved_by_covariates
from series_frames import hourly

from titans_seq import TitansForecaster
from titans_seq.adapters import clock as clock_module
from titans_seq.adapters.clock import Clock
from titans_seq.adapters.linear import fit_linear, refit_linear
from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel

Make = Callable[..., TitansForecaster]


class MadeUpTime:
    """A clock that moves on by the same at every look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], MadeUpTime]:
    """Put a made-up time in the place of time, of so many seconds from one look to the next."""
    from titans_seq.adapters import _linear_select, effects, linear
    from titans_seq.estimators import _budget, _fitting, forecaster
    from titans_seq.training import fit

    def start(step: float) -> MadeUpTime:
        made_up = MadeUpTime(step)
        for module in (clock_module, _linear_select, effects, linear, _budget, _fitting, forecaster, fit):
            monkeypatch.setattr(module, "time", made_up)
        return made_up

    return start


@pytest.fixture
def frame() -> pd.DataFrame:
    return hourly({"a": 300, "b": 280, "c": 310})


def numbers(forecast: pd.DataFrame) -> np.ndarray:
    return forecast.drop(columns=["unique_id", "ds"]).to_numpy()


@pytest.mark.parametrize("roles", [None, ROLES])
def test_a_limit_that_is_far_changes_no_bit(make: Make, roles: dict[str, str] | None) -> None:
    data = moved_by_covariates()
    ahead = None if roles is None else after(data, 200, 6)
    first, second = (
        numbers(make(roles=roles, max_minutes=limit).fit(before(data, 200)).predict(future=ahead, level=[80]))
        for limit in (None, 10_000.0)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("step", [1e-3, 0.5, 3.0, 60.0, 1e6])
def test_however_short_the_time_forecasts_and_intervals_are_those_of_a_fitted_model(
    make: Make, looks: Callable[[float], MadeUpTime], frame: pd.DataFrame, step: float
) -> None:
    looks(step)
    model = make(max_minutes=1.0).fit(frame)
    found = model.predict(level=[80], horizon=10)
    point, low, high = numbers(found).T
    assert np.isfinite(found.iloc[:, 2:]).all(axis=None) and (low < point).all() and (point < high).all()
    actual = np.concatenate([part["y"].to_numpy()[-6:] for _, part in frame.groupby("unique_id")])
    assert np.abs(point - actual.mean()).max() < 12
    assert model.update(frame.groupby("unique_id").tail(1).assign(ds=lambda f: f["ds"] + pd.Timedelta("1h"))) is model


def test_what_gives_way_first_is_the_network_and_last_the_linear_map(
    make: Make, looks: Callable[[float], MadeUpTime], frame: pd.DataFrame
) -> None:
    kept = []
    for step in (1e-6, 1.8, 1e6):
        looks(step)
        model = make(max_minutes=1.0, max_epochs=3).fit(frame)
        assert np.isfinite(model.linear_.validation_score)
        kept.append(len(model.history_))
    assert kept[0] == 4 and kept[0] > kept[1] >= kept[2] == 0  # the first entry is that of no epoch


def test_covariates_are_fitted_in_one_round_when_time_is_short(
    make: Make, looks: Callable[[float], MadeUpTime]
) -> None:
    data = moved_by_covariates()
    looks(20.0)
    model = make(roles=ROLES, max_minutes=1.0, max_epochs=0).fit(before(data, 200))
    off, on = model.effect_["promo"][-1]
    assert (on - off) * np.mean(model._scale) == pytest.approx(1.5, rel=0.3)


def test_a_clock_allows_what_fits_into_a_share_of_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = MadeUpTime(0.0)
    monkeypatch.setattr(clock_module, "time", made_up)
    clock = Clock.after(0.0, 1.0)
    assert clock.left == 60.0 and clock.allows(30.0, 0.5) and not clock.allows(31.0, 0.5)
    assert clock.most(1000, 0.1, 0.5) == 300 and clock.most(10, 0.1, 0.5) == 10 and clock.most(10, 1e9, 0.5) == 1
    made_up.now = 100.0
    assert clock.left == 0.0 and not clock.allows(1e-9) and clock.most(10, 1.0, 1.0, least=2) == 2
    assert Clock().allows(1e99) and Clock().most(7, 1e99, 0.0) == 7


def test_a_map_that_is_fitted_again_reads_every_window_that_there_is_time_for(
    looks: Callable[[float], MadeUpTime],
) -> None:
    values = np.random.default_rng(0).normal(size=(3, 900)).cumsum(1)
    values[:, 100] = np.nan  # its windows have to be read one by one
    seen, offsets = ~np.isnan(values.ravel()), np.arange(4) * 900
    panel = Panel(np.nan_to_num(values.ravel()), seen, offsets, (0, 1, 2), offsets[:3] * 0, Frequency("integer", 1))
    scales = (np.ones(3), np.zeros(3))
    chosen = fit_linear(panel, *scales, np.full(3, 700), 48, 4)
    expected = refit_linear(chosen, panel, *scales)
    made_up = looks(1.0)  # that is what 512 windows take
    found = refit_linear(chosen, panel, *scales, clock=Clock(made_up.now + 60.0))
    np.testing.assert_array_equal(found.weights, expected.weights)
    less = refit_linear(chosen, panel, *scales, clock=Clock(made_up.now + 6.0))
    assert np.abs(less.weights - expected.weights).max() > 0
