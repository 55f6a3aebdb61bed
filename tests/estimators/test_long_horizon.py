"""Any number of rows: fewer are the first ones, more are forecast by reading on what was forecast."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.signal import lfilter
from series_frames import hourly

from titans_seq import TitansForecaster


def columns(forecast: pd.DataFrame) -> np.ndarray:
    return forecast.drop(columns=["unique_id", "ds"]).to_numpy()


@pytest.mark.parametrize("carry_state", [True, False])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_more_rows_are_what_update_with_the_forecast_would_give(
    make: Callable, loud_network: None, carry_state: bool, elsewhere: bool
) -> None:
    frame = hourly({"a": 150, "b": 131})
    forecaster = make(max_epochs=0, carry_state=carry_state, online_linear=False).fit(frame)
    X = frame if elsewhere else None
    first, whole = forecaster.predict(X), forecaster.predict(X, horizon=16)
    assert len(whole) == 2 * 16
    for name, part in whole.groupby("unique_id"):
        np.testing.assert_array_equal(part.TitansForecaster[:6], first[first.unique_id == name].TitansForecaster)
        assert part.ds.tolist() == list(pd.date_range(part.ds.iloc[0], periods=16, freq="h"))
    for begin in (6, 12):
        blocks = whole.groupby("unique_id").nth(slice(begin - 6, begin)).rename(columns={"TitansForecaster": "y"})
        forecaster.update(blocks)
        found = forecaster.predict().groupby("unique_id").nth(slice(0, 16 - begin))
        expected = whole.groupby("unique_id").nth(slice(begin, begin + 6))
        np.testing.assert_allclose(columns(found), columns(expected), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("intervals", ["conformal", "adaptive"])
def test_later_blocks_are_never_narrower_and_nothing_is_changed(make: Callable, intervals: str) -> None:
    frame = hourly({"a": 150, "b": 131})
    forecaster = make(max_epochs=1, intervals=intervals).fit(frame)
    before = forecaster.predict(level=[50, 90])
    whole = columns(forecaster.predict(level=[50, 90], horizon=40)).reshape(2, 40, 5)
    point, low, high, lowest, highest = np.moveaxis(whole, -1, 0)
    for below, above in ((low, high), (lowest, highest)):
        first = np.arange(6, 40) % 6
        assert ((point - below)[:, 6:] >= (point - below)[:, first] - 1e-9).all()
        assert ((above - point)[:, 6:] >= (above - point)[:, first] - 1e-9).all()
    assert (lowest <= low).all() and (low <= high).all() and (high <= highest).all()
    pd.testing.assert_frame_equal(forecaster.predict(level=[50, 90]), before)
    np.testing.assert_array_equal(columns(forecaster.predict(level=[50, 90], horizon=40)).reshape(2, 40, 5), whole)


def test_intervals_of_a_random_walk_widen_as_far_ahead_as_asked() -> None:
    steps = np.random.default_rng(0).normal(size=(300, 400))
    y = steps.cumsum(1)
    forecaster = TitansForecaster(8, max_epochs=0, context_length=16, verbose=0).fit(y[:, :-32])
    _, low, high = np.moveaxis(forecaster.predict(level=[80], horizon=32), -1, 0)
    inside = (low <= y[:, -32:]) & (y[:, -32:] <= high)
    for block in np.split(inside, 4, axis=1):
        assert 0.73 < block.mean() < 0.87, inside.mean(0)
    width = (high - low).mean(0)
    assert width[31] == pytest.approx(2 * width[7], rel=0.15)  # √32 over √8


def test_intervals_of_a_series_that_returns_to_its_mean_stay_as_they_are() -> None:
    y = lfilter([1.0], [1.0, -0.5], np.random.default_rng(1).normal(size=(200, 400)))
    forecaster = TitansForecaster(8, max_epochs=0, context_length=16, verbose=0).fit(y[:, :-24])
    _, low, high = np.moveaxis(forecaster.predict(level=[80], horizon=24), -1, 0)
    inside = (low <= y[:, -24:]) & (y[:, -24:] <= high)
    assert 0.76 < inside[:, 8:].mean() < 0.87


@pytest.mark.parametrize("horizon", [1, 4, 6, 13])
def test_every_form_has_as_many_rows_as_asked(make: Callable, horizon: int) -> None:
    frame = hourly({"a": 150, "b": 150})
    long = make(max_epochs=0).fit(frame).predict(level=[80], horizon=horizon)
    assert long.unique_id.tolist() == ["a"] * horizon + ["b"] * horizon
    wide = frame.pivot(index="ds", columns="unique_id", values="y").reset_index()
    wide.columns.name = None
    found = make(max_epochs=0).fit(pl.from_pandas(wide)).predict(level=[80], horizon=horizon)
    assert found.columns == ["ds", "a", "b", "a-lo-80", "b-lo-80", "a-hi-80", "b-hi-80"]
    values = long.TitansForecaster.to_numpy().reshape(2, horizon)
    np.testing.assert_allclose(found[["a", "b"]].to_numpy().T, values, rtol=1e-5)
    y = np.stack([wide.a, wide.b])
    array = make(max_epochs=0).fit(y).predict(level=[80], horizon=horizon)
    assert array.shape == (2, horizon, 3)
    np.testing.assert_allclose(array[..., 0], values, rtol=1e-5, atol=1e-4)
    entries = [
        {"start": pd.Period("2024-01-01", "h"), "target": y[i], "item_id": name} for i, name in enumerate(("a", "b"))
    ]
    answered = make(max_epochs=0).fit(entries).predict(entries, horizon=horizon)
    np.testing.assert_allclose(answered.TitansForecaster.to_numpy().reshape(2, horizon), values, rtol=1e-5)


def test_a_forecast_far_ahead_does_not_depend_on_the_other_series(make: Callable) -> None:
    frame = hourly({"a": 150, "b": 150, "c": 140})
    forecaster = make(max_epochs=1).fit(frame)
    whole = forecaster.predict(frame, level=[80], horizon=20)
    alone = forecaster.predict(frame[frame.unique_id == "a"], level=[80], horizon=20)
    np.testing.assert_allclose(columns(alone), columns(whole)[:20], rtol=1e-4, atol=1e-3)


def test_a_horizon_that_is_no_count_is_refused(make: Callable) -> None:
    forecaster = make(max_epochs=0).fit(hourly({"a": 150}))
    with pytest.raises(TypeError, match="horizon must be an integer"):
        forecaster.predict(horizon=2.5)
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        forecaster.predict(horizon=0)
