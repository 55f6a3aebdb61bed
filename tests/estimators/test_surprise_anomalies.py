"""`surprise`: which rows it flags, and how rarely where nothing happened."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from series_frames import hourly

from titans_seq import TitansForecaster
from titans_seq.data import load_dataset

CONTEXT = 16
LAST = 520
"""Weeks of the CO2 series that are new: ten years."""


@pytest.fixture(scope="module")
def co2() -> pd.DataFrame:
    return load_dataset("co2").rename(columns={"co2": "y"})


@pytest.fixture(scope="module")
def co2_forecaster(co2: pd.DataFrame) -> TitansForecaster:
    return TitansForecaster(horizon=26, max_epochs=0, random_state=0, verbose=0).fit(co2.iloc[:-LAST])


def flagged(forecaster: TitansForecaster, co2: pd.DataFrame, change: Callable[[np.ndarray], None]) -> np.ndarray:
    """Rows, from the first new one on, that are flagged once the new rows were changed."""
    new = co2.iloc[-LAST:].reset_index(drop=True)
    values = new["y"].to_numpy().copy()
    change(values)
    return np.flatnonzero(forecaster.surprise(new.assign(y=values))["anomaly"])


def test_ten_years_in_which_nothing_happened_raise_few_alarms(
    co2: pd.DataFrame, co2_forecaster: TitansForecaster
) -> None:
    assert len(flagged(co2_forecaster, co2, lambda y: None)) <= 5


def test_a_spike_is_found_and_nothing_else_around_it(co2: pd.DataFrame, co2_forecaster: TitansForecaster) -> None:
    def spike(y: np.ndarray) -> None:
        y[60] += 6.0

    assert flagged(co2_forecaster, co2, spike)[0] == 60
    assert len(flagged(co2_forecaster, co2, spike)) <= 6


def test_a_shift_of_the_level_is_found_at_once_and_believed_after_a_while(
    co2: pd.DataFrame, co2_forecaster: TitansForecaster
) -> None:
    def shift(y: np.ndarray) -> None:
        y[100:] += 6.0

    found = flagged(co2_forecaster, co2, shift)
    assert found[found >= 95][0] == 100
    assert ((found >= 100) & (found < 116)).sum() >= 3
    assert (found > 100 + 2 * co2_forecaster.context_length_).sum() <= 3


def test_a_season_that_does_not_come_is_found(co2: pd.DataFrame, co2_forecaster: TitansForecaster) -> None:
    year = slice(300, 352)

    def flatten(y: np.ndarray) -> None:
        y[year] = np.linspace(np.nanmean(y[274:326]), np.nanmean(y[326:378]), 52)

    found = flagged(co2_forecaster, co2, flatten)
    inside = found[(found >= 300) & (found < 352)]
    assert len(inside) >= 8
    assert inside[0] < 326  # within half a season


@pytest.mark.parametrize("carry_state", [True, False])
def test_gaussian_noise_is_flagged_as_rarely_as_the_docstring_says(
    make: Callable[..., TitansForecaster], carry_state: bool
) -> None:
    noise = np.random.default_rng(1).normal(size=(4, 7000))
    sizes = {"context_length": 64, "patch_length": 8}
    forecaster = make(max_epochs=0, carry_state=carry_state, **sizes).fit(noise[:, :2000])
    assert 3.2 < forecaster.anomaly_threshold_ < 4.2
    found = forecaster.surprise(noise[:, 2000:], start="carried")
    assert found["anomaly"].mean() < 1 / 500
    # Units are standard deviations: 4.6 % lie beyond two, 0.27 % beyond three.
    assert 0.035 < (found["surprise"] > 2).mean() < 0.06
    assert 0.001 < (found["surprise"] > 3).mean() < 0.007
    at_two = forecaster.surprise(noise[:, 2000:], start="carried", threshold=2)
    np.testing.assert_array_equal(at_two["anomaly"], found["surprise"] > 2)
    assert (at_two["threshold"] == 2).all()


def test_series_with_heavy_tails_have_a_higher_threshold_and_not_many_more_alarms(
    make: Callable[..., TitansForecaster],
) -> None:
    noise = np.random.default_rng(2).standard_t(4, size=(4, 6000))
    forecaster = make(max_epochs=0, context_length=64, patch_length=8).fit(noise[:, :2000])
    assert forecaster.anomaly_threshold_ > 4.5
    assert forecaster.surprise(noise[:, 2000:], start="carried")["anomaly"].mean() < 1 / 150


def test_every_series_is_measured_by_its_own_errors(make: Callable[..., TitansForecaster]) -> None:
    t, random = np.arange(1600), np.random.default_rng(3)
    waves = np.sin(2 * np.pi * t / 24)
    series = np.stack([waves + 0.02 * random.normal(size=1600), waves + 0.5 * random.normal(size=1600)])
    forecaster = make(max_epochs=0, context_length=64, patch_length=8).fit(series[:, :1200])
    found = forecaster.surprise(series[:, 1200:], start="carried")["surprise"]
    np.testing.assert_allclose(np.median(found, axis=1), 0.6745, rtol=0.3)  # else 0.05 and 1.3
    series[:, 1300] += 0.5  # much for the calm series, a standard deviation for the other
    found = forecaster.surprise(series[:, 1200:], start="carried")
    assert found["anomaly"][0, 100] and not found["anomaly"][1, 100]


def test_no_row_is_flagged_before_the_look_back_is_full(make: Callable[..., TitansForecaster]) -> None:
    frame = hourly({"a": 150})
    forecaster = make(max_epochs=0).fit(frame)
    early = frame.assign(y=frame["y"] + 90.0 * (frame.index % 10 == 7))
    found = forecaster.surprise(early, start="fresh")
    assert (found["surprise"][7:CONTEXT] > 20).any()
    assert not found["anomaly"][:CONTEXT].any() and found["anomaly"][CONTEXT:].any()
