"""Frequencies against pandas.date_range, which knows the calendar independently."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_seq.data import Frequency, OffGridError

ALIASES = [
    *("h", "15min", "6h", "7h", "D", "2D", "W-SAT", "W-MON", "2W-SUN", "s", "10ms", "90min"),
    *("MS", "ME", "2MS", "QS", "QE", "QE-NOV", "YS", "YE", "YE-FEB", "YS-APR", "6ME", "B"),
    *("BME", "BMS", "BQE", "BQE-FEB", "BQS", "BYE", "2BME"),
]
SEASONS = {
    "h": 24,
    "15min": 96,
    "min": 1440,
    "s": 3600,
    "ms": 1,
    "6h": 4,
    "7h": 1,
    "D": 7,
    "2D": 1,
    "W-SAT": 52,
}
SEASONS |= {
    "2W-SUN": 26,
    "MS": 12,
    "ME": 12,
    "2MS": 6,
    "5MS": 1,
    "QS": 4,
    "QE": 4,
    "YS": 1,
    "B": 5,
    "BME": 12,
    "BQS": 4,
}


def infer(ds, ids=None):
    """Infer from an index or list of them."""
    ds = ds if isinstance(ds, list) else [ds]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in ds])])
    return Frequency.infer(np.concatenate([np.asarray(part) for part in ds]), offsets, ids)


@settings(deadline=None, max_examples=150)
@given(
    alias=st.sampled_from(ALIASES),
    start=st.datetimes(pd.Timestamp("1700-01-01"), pd.Timestamp("2150-01-01")),
    rows=st.integers(16, 40),
    ahead=st.integers(1, 60),
)
def test_any_frequency_is_inferred_and_continued_as_pandas_does(alias, start, rows, ahead):
    every = pd.date_range(start.replace(microsecond=0), periods=rows + ahead, freq=alias).to_numpy()
    frequency = infer(every[:rows])
    np.testing.assert_array_equal(frequency.advance(every[rows - 1], np.arange(1, ahead + 1)), every[rows:])
    np.testing.assert_array_equal(frequency.steps_between(every[0], every), np.arange(rows + ahead))
    np.testing.assert_array_equal(frequency.steps_between(every[-1], every), np.arange(rows + ahead) - len(every) + 1)
    assert Frequency.from_dict(frequency.to_dict()) == frequency


@settings(deadline=None, max_examples=100)
@given(
    alias=st.sampled_from(ALIASES),
    start=st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")),
    away=st.integers(-100, 90),
    seconds=st.integers(-(10**7), 10**7),
)
def test_the_first_row_from_a_time_on_is_the_next_of_the_grid(alias, start, away, seconds):
    origin = pd.date_range(start.replace(microsecond=0), periods=16, freq=alias).to_numpy()
    frequency = infer(origin)
    at = frequency.advance(origin[0], away) + np.timedelta64(seconds, "s")
    found = frequency.first_from(origin[0], at)
    steps = frequency.steps_between(origin[0], found)
    assert frequency.advance(origin[0], steps - 1) < at <= found


def test_the_first_row_from_a_row_on_is_that_row():
    every = pd.date_range("2024-01-31", periods=30, freq="ME").to_numpy()
    np.testing.assert_array_equal(infer(every).first_from(every[20], every), every)
    np.testing.assert_array_equal(Frequency("integer", 3).first_from(2, np.array([-2, -1, 2, 3])), [-1, -1, 2, 5])


@pytest.mark.parametrize("alias", ALIASES)
def test_alias_at_an_origin_makes_pandas_continue_alike(alias):
    every = pd.date_range("2021-11-03 00:00", periods=30, freq=alias)
    shown = infer(every[:20]).alias_at(every[0].to_datetime64())
    np.testing.assert_array_equal(pd.date_range(every[0], periods=30, freq=shown), every)


@pytest.mark.parametrize(("alias", "season"), SEASONS.items())
def test_season_length_is_the_natural_one(alias, season):
    assert infer(pd.date_range("2024-01-01", periods=20, freq=alias)).season_length == season


def test_centuries_do_not_overflow():
    every = pd.date_range("1700-01-01", "2200-01-01", freq="W-MON").to_numpy()
    np.testing.assert_array_equal(infer(every).steps_between(every[0], every), np.arange(len(every)))


def test_integers_step_by_their_smallest_difference():
    frequency = infer(np.array([3, 5, 9, 11]))
    assert frequency == Frequency("integer", 2)
    assert (frequency.alias, frequency.season_length) == ("2", 1)
    np.testing.assert_array_equal(frequency.advance(np.array([11, 3]), 3), [17, 9])


@pytest.mark.parametrize("day", [2, 15, 28, 29, 30])
def test_a_day_within_the_month_is_kept_and_clipped_to_short_months(day):
    months = pd.period_range("2023-01", periods=30, freq="M")
    every = np.array([f"{m}-{min(day, m.days_in_month):02d}" for m in months], dtype="datetime64[ns]")
    frequency = infer(every[:18])
    assert frequency == Frequency("month", 1, day)
    np.testing.assert_array_equal(frequency.advance(every[17], np.arange(1, 13)), every[18:])
    assert frequency.alias == f"MS on day {day}"


def test_month_end_in_february_of_common_years_is_month_end():
    frequency = infer(np.array(["2021-02-28", "2022-02-28", "2023-02-28"], dtype="datetime64[ns]"))
    assert frequency.advance(np.datetime64("2023-02-28"), 1) == np.datetime64("2024-02-29")


def test_day_28_of_every_month_is_not_month_end():
    frequency = infer(np.array(["2023-01-28", "2023-02-28", "2023-03-28"], dtype="datetime64[ns]"))
    assert frequency == Frequency("month", 1, 28)


def test_two_days_28_apart_are_a_month_only_on_one_day_of_the_month():
    assert infer(np.array(["2023-02-01", "2023-03-01"], dtype="datetime64[D]")) == Frequency("month", 1, 1)
    assert infer(np.array(["2023-01-01", "2023-01-29"], dtype="datetime64[D]")).alias == "4W"


def test_months_keep_the_time_of_day():
    every = pd.date_range("2023-12-31 06:30", periods=12, freq="ME").to_numpy()
    np.testing.assert_array_equal(infer(every[:6]).advance(every[0], np.arange(12)), every)


def test_daily_rows_without_a_weekend_crossing_stay_daily():
    assert infer(pd.date_range("2024-01-01", periods=5, freq="D")).kind == "duration"
    assert infer(pd.bdate_range("2024-01-01", periods=6)).kind == "business_day"


def test_gaps_do_not_change_the_step():
    hours = pd.date_range("2024-01-01", periods=100, freq="h").to_numpy()
    assert infer(hours[np.r_[0:10, 12:40, 90:100]]).alias == "h"
    months = pd.date_range("2020-01-31", periods=40, freq="ME").to_numpy()
    assert infer(months[np.r_[0:5, 9:40]]) == Frequency("month", 1, 31)


def test_a_rare_smaller_difference_is_taken_for_a_fault():
    hours = pd.date_range("2024-01-01", periods=100, freq="h").to_numpy().copy()
    with_extra = np.sort(np.append(hours, hours[50] + np.timedelta64(30, "m")))
    assert infer(with_extra).alias == "h"


def test_off_grid_names_the_first_position():
    frequency = Frequency("duration", 3_600_000_000_000)
    ds = np.array(["2024-01-01T01", "2024-01-01T02:30", "2024-01-01T03:30"], dtype="datetime64[ns]")
    with pytest.raises(OffGridError, match=r"^2024-01-01 02:30 is not a whole number of steps \(h\)") as caught:
        frequency.steps_between(np.datetime64("2024-01-01"), ds)
    assert caught.value.position == 1


@pytest.mark.parametrize(
    ("frequency", "origin", "ds"),
    [
        (Frequency("integer", 2), 0, 3),
        (Frequency("month", 1, 31), np.datetime64("2024-01-31"), np.datetime64("2024-02-28")),
        (Frequency("month", 3, 1), np.datetime64("2024-01-01"), np.datetime64("2024-03-01")),
        (Frequency("month", 1, 1), np.datetime64("2024-01-01"), np.datetime64("2024-02-01T01")),
        (Frequency("business_month", 1, 31), np.datetime64("2024-02-29"), np.datetime64("2024-03-31")),
        (Frequency("business_month", 1, 1), np.datetime64("2024-06-03"), np.datetime64("2024-07-02")),
        (Frequency("business_day", 1), np.datetime64("2024-01-05"), np.datetime64("2024-01-06")),
        (Frequency("business_day", 1), np.datetime64("2024-01-05"), np.datetime64("2024-01-08T12")),
    ],
)
def test_every_kind_refuses_what_is_off_its_grid(frequency, origin, ds):
    with pytest.raises(OffGridError, match="not a whole number of steps"):
        frequency.steps_between(origin, np.array([ds]))


def test_mixed_frequencies_name_the_series_that_differs():
    hourly = pd.date_range("2024-01-01", periods=50, freq="h")
    daily = pd.date_range("2024-01-01", periods=20, freq="D")
    with pytest.raises(ValueError, match="mixed frequencies: series 'b' steps by D and the others by h"):
        infer([hourly, daily], ids=["a", "b"])
    with pytest.raises(ValueError, match="mixed frequencies: series 1 steps by MS and the others by D"):
        infer([daily, pd.date_range("2024-01-01", periods=20, freq="MS")])
    with pytest.raises(ValueError, match="mixed frequencies: series 0 steps by 3 and the others by 2"):
        infer([np.array([0, 3, 6]), np.arange(0, 80, 2)])
    with pytest.raises(ValueError, match="mixed frequencies: series 1 steps by QS and the others by MS"):
        infer([pd.date_range("2024-01-01", periods=20, freq=alias) for alias in ("MS", "QS")])


def test_a_series_of_two_distant_rows_has_a_gap_and_not_its_own_frequency():
    assert infer([np.arange(10), np.array([0, 5])]) == Frequency("integer", 1)


def test_series_may_stand_at_different_phases():
    saturday, sunday = (pd.date_range("2024-01-01", periods=9, freq=f"W-{day}") for day in ("SAT", "SUN"))
    assert infer([saturday, sunday]).alias == "W"


@pytest.mark.parametrize(("rows", "word"), [(1, "one row"), (0, "no rows")])
def test_short_series_are_named(rows, word):
    with pytest.raises(ValueError, match=f"series 'b' has {word}; at least two"):
        infer([np.arange(3), np.arange(rows)], ids=["a", "b"])


def test_no_series_has_no_frequency():
    with pytest.raises(ValueError, match="no series"):
        Frequency.infer(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64), [])


@pytest.mark.parametrize(
    ("frequency", "origin"),
    [
        (Frequency("month", 12, 1), np.datetime64("2000-01-01")),
        (Frequency("duration", 86_400_000_000_000), np.datetime64("2000-01-01")),
        (Frequency("business_day", 1), np.datetime64("2000-01-03")),
        (Frequency("integer", 10**9), 0),
    ],
)
def test_leaving_the_representable_range_is_an_error_and_not_a_wrap(frequency, origin):
    with pytest.raises(ValueError, match="dates leave|times leave"):
        frequency.advance(origin, np.array([1, 10**10]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("weekly", 1), "kind must be one of"),
        (("duration", 0), "cannot step by 0"),
        (("business_day", 2), "cannot step by 2"),
        (("month", 1, 0), "cannot have the anchor 0"),
        (("month", 1, 32), "cannot have the anchor 32"),
        (("duration", 1, 5), "cannot have the anchor 5"),
    ],
)
def test_impossible_frequencies_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Frequency(*arguments)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T06:00", "2024-01-31 06:00"),
        ("2024-01-31T06:00:07", "2024-01-31 06:00:07"),
        ("1969-12-31T23:59:59.250", "1969-12-31 23:59:59.25"),
    ],
)
def test_timestamps_are_shown_without_trailing_zeros(value, shown):
    assert Frequency("duration", 1).show(np.datetime64(value)) == shown
