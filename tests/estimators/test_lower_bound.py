"""Forecasts that stay above what a series has never been below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from covariate_frames import ROLES, before, moved_by_covariates

from titans_seq import TitansForecaster

Make = Callable[..., TitansForecaster]


def with_idle_hours(n: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    """Half a cycle, and zeros for the other half (2, n)."""
    wave = 50 * np.sin(2 * np.pi * np.arange(n) / 12) + 4 * np.random.default_rng(seed).normal(size=(2, n))
    return scale * np.maximum(wave, 0.0)


def falling(n: int) -> np.ndarray:
    return (200 - 0.3 * np.arange(n) + np.random.default_rng(0).normal(size=n))[None]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("carry_state", [True, False])
def test_nothing_that_is_said_of_what_was_never_negative_is_negative(
    make: Make, scale: float, carry_state: bool
) -> None:
    y = with_idle_hours(300, scale)
    options = {"max_epochs": 1, "carry_state": carry_state}
    free, bounded = (make(**options, lower_bound=bound).fit(y) for bound in (False, "auto"))
    assert bounded.lower_bound_ and not free.lower_bound_
    levels = {"quantiles": [0.01, 0.5, 0.99]}
    assert free.predict(**levels).min() < 0
    h = bounded.horizon
    for found in (
        bounded.predict(**levels), bounded.predict(y[:, :200], **levels), bounded.predict(horizon=3 * h, **levels),
        bounded.sample(20, random_state=0), bounded.sample(20, horizon=3 * h, random_state=0),
    ):  # fmt: skip
        assert found.min() >= 0
    for mode in ("windowed", "streaming"):
        result = bounded.backtest(y, first_cutoff=220, mode=mode)
        assert min(result.point.min(), result.quantiles.min()) >= 0
        assert (np.diff(result.quantiles, axis=-1) >= 0).all()


def test_it_lowers_the_error_of_validation_or_is_not_there(make: Make) -> None:
    y = with_idle_hours(400)
    free, bounded = (make(max_epochs=0, lower_bound=bound).fit(y) for bound in (False, "auto"))
    assert bounded.validation_score_ < free.validation_score_
    assert not make(max_epochs=0).fit(y - 1.0).lower_bound_, "negative values have no floor that is known"
    assert not make(max_epochs=0, context_length=24).fit(falling(500)).lower_bound_, "new lows come all the time"


@pytest.mark.parametrize("more", [0, 1, 30])
def test_the_bound_is_the_lowest_value_of_the_look_back_and_moves_with_it(make: Make, more: int) -> None:
    y = falling(300) - 300
    free, bounded = (make(max_epochs=0, lower_bound=b, context_length=16).fit(y[:, :200]) for b in (False, True))
    if more:
        free.update(y[:, 200 : 200 + more])
        bounded.update(y[:, 200 : 200 + more])
    low = y[0, 200 + more - 16 : 200 + more].min()
    assert free.predict().min() < low
    np.testing.assert_allclose(bounded.predict(), np.maximum(free.predict(), low), rtol=1e-6)


def test_rows_that_are_missing_are_no_bound(make: Make) -> None:
    y = falling(300) + 1000
    holes = y.copy()
    holes[0, 290:296] = np.nan
    forecaster = make(max_epochs=0, lower_bound=True, context_length=16, on_gap="mask").fit(holes)
    seen = holes[0, -16:][np.isfinite(holes[0, -16:])]
    found = forecaster.predict()
    assert np.isfinite(found).all() and found.min() >= seen.min() - 1e-6
    nothing = np.full((1, 40), np.nan)
    assert np.isfinite(forecaster.update(nothing).predict()).all()


def test_a_stream_is_bounded_as_updates_would_bound_it(make: Make) -> None:
    y = with_idle_hours(300)
    forecaster = make(max_epochs=1).fit(y[:, :250])
    assert forecaster.lower_bound_
    result = forecaster.backtest(y, first_cutoff=250, stride=7)
    for row in range(250, 280, 7):
        mine = np.flatnonzero(result.cutoff == row)
        np.testing.assert_allclose(result.point[mine], forecaster.predict(), rtol=1e-4, atol=1e-3)
        forecaster.update(y[:, row : row + 7])


def test_a_saved_model_keeps_it(make: Make, tmp_path: Path) -> None:
    y = with_idle_hours(300)
    forecaster = make(max_epochs=1).fit(y)
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    assert loaded.lower_bound_
    np.testing.assert_array_equal(loaded.predict(), forecaster.predict())


def test_covariates_that_are_known_ahead_leave_no_bound(make: Make) -> None:
    data = moved_by_covariates()
    data = data.assign(y=data["y"] - data["y"].min())
    past = before(data, 200)
    assert not make(max_epochs=0, roles=ROLES).fit(past).lower_bound_
    with pytest.raises(ValueError, match="lower_bound=True .* covariates of role 'future'"):
        make(max_epochs=0, roles=ROLES, lower_bound=True).fit(past)


def test_what_it_may_be_is_said(make: Make) -> None:
    with pytest.raises(ValueError, match="lower_bound must be one of 'auto', True, False, found 'zero'"):
        make(lower_bound="zero").fit(with_idle_hours(200))
