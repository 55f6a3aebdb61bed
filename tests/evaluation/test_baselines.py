"""Naive forecasts: against loops, with gaps, blind to the future, and the published M4 figures."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel
from titans_seq.evaluation import drift, mase, naive, seasonal_error, seasonal_naive, smape


def panel_of(*series):
    """Build a panel of integer steps; NaN is missing."""
    values = np.concatenate([np.asarray(one, dtype=float) for one in series])
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])])
    observed = ~np.isnan(values)
    names, origins = tuple(range(len(series))), np.zeros(len(series), dtype=np.int64)
    return Panel(np.where(observed, values, 0.0), observed, offsets, names, origins, Frequency("integer", 1))


def gappy(n, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=n)
    values[rng.random(n) < 0.4] = np.nan
    values[0] = 1.0
    return values


def seasonal_loop(values, cutoff, horizon, season):
    """Look back whole seasons from each forecast step, then for the last value of all."""
    known = [t for t in range(cutoff) if np.isfinite(values[t])]
    forecast = []
    for step in range(cutoff, cutoff + horizon):
        same = [t for t in known if (step - t) % season == 0]
        forecast.append(values[max(same or known)])
    return forecast


@pytest.mark.parametrize("season", [1, 4, 7, 100])
def test_the_seasonal_naive_repeats_the_last_observed_value_of_the_same_season_position(season):
    series = [gappy(50, 0), gappy(33, 1)]
    which, cut = np.array([1, 0, 0, 1, 0]), np.array([33, 1, 20, 9, 50])
    forecast = seasonal_naive(panel_of(*series), which, cut, 11, season)
    expected = [seasonal_loop(series[i], c, 11, season) for i, c in zip(which, cut, strict=True)]
    np.testing.assert_array_equal(forecast, expected)


def test_the_naive_repeats_the_last_observed_value():
    forecast = naive(panel_of([1.0, 2.0, np.nan, 5.0]), [0, 0, 0], [1, 3, 4], 2)
    np.testing.assert_array_equal(forecast, [[1, 1], [2, 2], [5, 5]])


def test_the_drift_continues_the_line_from_first_to_last_observed_value():
    panel = panel_of([np.nan, 2.0, 0.0, 8.0, np.nan, 0.0])
    forecast = drift(panel, [0, 0], [5, 2], 3)
    np.testing.assert_allclose(forecast, [[14, 17, 20], [2, 2, 2]])


@pytest.mark.parametrize("baseline", [naive, drift, lambda *a: seasonal_naive(*a, 6)])
def test_nothing_after_the_cut_off_is_read(baseline):
    values = gappy(60, 2)
    changed = values.copy()
    changed[40:] = np.where(np.isnan(values[40:]), 7.0, np.nan)
    before, after = (baseline(panel_of(v), [0], [40], 24) for v in (values, changed))
    np.testing.assert_array_equal(before, after)


def test_a_forecast_from_nothing_and_cut_offs_outside_the_series_are_refused():
    panel = panel_of([np.nan, np.nan, 1.0])
    with pytest.raises(ValueError, match="series 0 has no observed value before row 2; begin later"):
        naive(panel, [0, 0], [3, 2], 1)
    with pytest.raises(ValueError, match="series 0: cut-off 4 must lie between 1 and its length 3"):
        naive(panel, [0], [4], 1)
    with pytest.raises(ValueError, match="horizon must be at least 1"):
        drift(panel, [0], [3], 0)
    with pytest.raises(ValueError, match="season_length must be at least 1"):
        seasonal_naive(panel, [0], [3], 1, 0)
    with pytest.raises(ValueError, match="series numbers must lie between 0 and 0"):
        naive(panel, [1], [3], 1)


def read_series(path):
    """Return a dict of series by id from a long CSV."""
    series = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            series.setdefault(row["unique_id"], []).append(float(row["y"]))
    return series


@pytest.mark.slow
def test_on_m4_hourly_the_seasonal_naive_has_the_published_errors():
    root = os.environ.get("TITANS_SEQ_DATA")
    if not root:
        pytest.skip("TITANS_SEQ_DATA is not set; it names the folder that holds ts/m4_hourly_train.csv.gz")
    train, test = (read_series(Path(root) / "ts" / f"m4_hourly_{part}.csv.gz") for part in ("train", "test"))
    panel = panel_of(*train.values())
    forecast = seasonal_naive(panel, np.arange(414), panel.lengths, 48, 24)
    actual = np.array([test[name] for name in train])
    scale = np.array([seasonal_error(values, season_length=24) for values in train.values()])
    assert 100 * smape(actual, forecast) == pytest.approx(13.912, abs=5e-4)
    assert mase(actual, forecast, scale) == pytest.approx(1.193, abs=5e-4)
