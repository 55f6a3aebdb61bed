"""A linear map that goes on learning with the state that is carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from series_frames import hourly

from titans_seq import TitansForecaster


def rows(frame: pd.DataFrame, start: int, stop: int | None) -> pd.DataFrame:
    return frame.groupby("unique_id", sort=False).nth(slice(start, stop))


def drifting(n: int, seed: int = 0) -> np.ndarray:
    """A cycle that slows down half-way: what was fitted early goes stale."""
    t = np.arange(n)
    phase = np.cumsum(np.where(t < n // 2, 2 * np.pi / 12, 2 * np.pi / 15))
    return (np.sin(phase) + 0.1 * np.random.default_rng(seed).normal(size=n))[None]


@pytest.mark.usefixtures("loud_network")
@pytest.mark.parametrize("stride", [1, 4])
def test_the_backtest_is_what_update_and_predict_would_have_said(make: Callable, stride: int) -> None:
    frame = hourly({"a": 300})
    forecaster = make(max_epochs=1, online_linear=True).fit(rows(frame, 0, 200))
    result = forecaster.backtest(rows(frame, 0, 230), first_cutoff=200, stride=stride)
    for i, cutoff in enumerate(result.cutoff):
        np.testing.assert_allclose(
            result.point[i], forecaster.predict().TitansForecaster, rtol=1e-4, atol=1e-3, err_msg=str(cutoff)
        )
        forecaster.update(rows(frame, int(cutoff), int(cutoff) + stride))


def test_every_update_leads_to_the_map_of_a_fit_on_all_rows(make: Callable) -> None:
    frame = hourly({"a": 260})
    options = {"max_epochs": 0, "online_linear": True}
    early = make(**options).fit(rows(frame, 0, 200))
    whole = replace_penalty(make(**options).fit(rows(frame, 0, 260)), early)
    for start, stop in ((200, 201), (201, 217), (217, 260)):
        early.update(rows(frame, start, stop))
    assert early.linear_.centring == whole.linear_.centring
    # Scaled by means and deviations of fewer rows: the same map but for these.
    np.testing.assert_allclose(early.linear_.weights, whole.linear_.weights, atol=2e-2)


def replace_penalty(forecaster: TitansForecaster, other: TitansForecaster) -> TitansForecaster:
    """Solve the map again with the penalties that another one chose."""
    online, chosen = forecaster._online.online, other.linear_
    online.linear = replace(online.linear, penalty=chosen.penalty, centring=chosen.centring, members=chosen.members)
    forecaster.linear_ = online.solve()
    return forecaster


def test_what_was_saved_goes_on_learning(make: Callable, tmp_path) -> None:
    frame = hourly({"a": 260})
    forecaster = make(max_epochs=0, online_linear=True).fit(rows(frame, 0, 203))
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    assert loaded.online_linear_
    pd.testing.assert_frame_equal(loaded.predict(), forecaster.predict())
    new = rows(frame, 203, 260)
    pd.testing.assert_frame_equal(loaded.update(new).predict(), forecaster.update(new).predict())


def test_drift_is_followed_where_a_fixed_map_is_left_behind(make: Callable) -> None:
    y = drifting(1600)
    errors = {}
    for online in (False, True):
        forecaster = make(max_epochs=0, online_linear=online).fit(y[:, :800])
        result = forecaster.backtest(y, first_cutoff=1200, stride=4)
        errors[online] = np.square(result.point - result.actual).mean()
    assert errors[True] < 0.5 * errors[False]


def test_validation_chooses_it_under_drift_and_it_needs_a_state_that_is_carried(make: Callable) -> None:
    y = drifting(1600)[:, :1100]
    assert make(max_epochs=0, validation_fraction=0.4).fit(y).online_linear_
    assert not make(max_epochs=0, validation_fraction=0.4, carry_state=False).fit(y).online_linear_
    with pytest.raises(ValueError, match="online_linear=True goes on learning .* needs carry_state=True"):
        make(online_linear=True, carry_state=False).fit(y)
    with pytest.raises(ValueError, match="online_linear must be one of 'auto', True, False, found 'yes'"):
        make(online_linear="yes").fit(y)


def test_minutes_that_do_for_it_do_not_stop_the_map_from_going_on(make: Callable) -> None:
    """ETTh1 within two minutes: it takes seconds, but an estimate of three minutes once left it out."""
    y = drifting(400)
    assert make(max_epochs=0, validation_fraction=0.4, max_minutes=2).fit(y).online_linear_
    assert not make(max_epochs=0, validation_fraction=0.4, max_minutes=0.001).fit(y).online_linear_


def test_a_backtest_that_begins_before_the_end_of_the_fit_counts_no_window_twice(make: Callable) -> None:
    frame = hourly({"a": 300})
    forecaster = make(max_epochs=0, online_linear=True).fit(rows(frame, 0, 200))
    later = rows(frame, 100, 300)
    whole = forecaster.backtest(frame, first_cutoff=240, stride=4)
    part = forecaster.backtest(later, first_cutoff=140, stride=4)
    np.testing.assert_allclose(part.point, whole.point, rtol=1e-5, atol=1e-4)


def test_neither_forecasts_nor_backtests_teach_the_map(make: Callable) -> None:
    frame = hourly({"a": 300})
    forecaster = make(max_epochs=0, online_linear=True).fit(rows(frame, 0, 200))
    before = forecaster.predict()
    forecaster.backtest(frame, first_cutoff=220, stride=1)
    forecaster.predict(frame)
    pd.testing.assert_frame_equal(forecaster.predict(), before)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_rows_read_at_once_or_one_by_one_differ_by_what_update_says(make: Callable, missing: float) -> None:
    said = " ".join(TitansForecaster.update.__doc__.split())
    assert "Only where values are missing and `online_linear_` is True do they differ" in said
    y = 5.0 + np.concatenate([drifting(300, seed) for seed in range(3)])
    y[np.random.default_rng(0).random(y.shape) < missing] = np.nan
    once, each = (make(max_epochs=0, online_linear=True).fit(y[:, :270]) for _ in range(2))
    once.update(y[:, 270:])
    for row in range(270, 300):
        each.update(y[:, row : row + 1])
    np.testing.assert_allclose(once.predict(), each.predict(), rtol=5e-4 if missing else 1e-6)
