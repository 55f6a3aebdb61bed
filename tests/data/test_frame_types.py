"""Every type a time, id or value column may have, in and back out."""

from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from titans_seq.data import Frequency, forecast_frame, read_panel

BACKENDS = ["pandas", "polars"]


def build(backend, columns):
    return pl.DataFrame(columns, strict=False) if backend == "polars" else pd.DataFrame(columns)


def long(backend="pandas", ids=("a", "a", "a", "b", "b"), ds=(0, 1, 2, 5, 6), y=(1.0, 2.0, 3.0, 4.0, 5.0)):
    return build(backend, {"unique_id": list(ids), "ds": list(ds), "y": list(y)})


def days(*offsets):
    return [dt.datetime(2024, 1, 1) + dt.timedelta(days=offset) for offset in offsets]


def continued(data, horizon=2, **options):
    """Return the forecast frame of zeros after `data`."""
    panel, form = read_panel(data, **options)
    zeros = np.zeros((panel.n_series, horizon))
    return forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, {"TitansForecaster": zeros})


PANDAS_TIMES = {
    "ns": pd.Series(pd.date_range("2024-01-30", periods=4)),
    "seconds": pd.Series(pd.date_range("2024-01-30", periods=4).as_unit("s")),
    "milliseconds": pd.Series(pd.date_range("2024-01-30", periods=4, freq="h").as_unit("ms")),
    "zone": pd.Series(pd.date_range("2024-03-29", periods=4, tz="Europe/Berlin").as_unit("us")),
    "fixed offset": pd.Series(pd.date_range("2024-03-29", periods=4, freq="h", tz=dt.timezone(dt.timedelta(hours=2)))),
    "dates": pd.Series(pd.date_range("2024-01-30", periods=4).date),
    "period": pd.Series(pd.period_range("2023-12", periods=4, freq="M")),
    "quarter": pd.Series(pd.period_range("2023Q2", periods=4, freq="Q")),
    "week": pd.Series(pd.period_range("2023-12-11", periods=4, freq="W-SUN")),
    "text": pd.Series(["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]),
    "compact text": pd.Series(["20240227", "20240228", "20240229", "20240301"]),
    "month text": pd.Series(["2023-11", "2023-12", "2024-01", "2024-02"]),
    "year text": pd.Series(["2019", "2020", "2021", "2022"]),
    "time text": pd.Series([f"2024-02-28T{hour:02d}:00:00" for hour in (20, 21, 22, 23)]),
    "minute text": pd.Series([f"2024-02-28 {hour:02d}:30" for hour in (20, 21, 22, 23)]),
    "nullable text": pd.Series(["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"], dtype="string"),
    "int64": pd.Series([10, 11, 12, 13]),
    "int16": pd.Series([10, 11, 12, 13], dtype="int16"),
    "uint8": pd.Series([10, 11, 12, 13], dtype="uint8"),
    "nullable int": pd.Series([10, 11, 12, 13], dtype="Int32"),
    "negative": pd.Series([-10, -8, -6, -4]),
}


@pytest.mark.parametrize("name", PANDAS_TIMES)
def test_pandas_times_come_back_in_their_own_type(name):
    every = PANDAS_TIMES[name]
    data = pd.DataFrame({"unique_id": ["a", "a"], "ds": every[:2], "y": [1.0, 2.0]})
    answer = continued(data)["ds"]
    expected = every[2:].reset_index(drop=True)
    pd.testing.assert_series_equal(answer, expected, check_names=False)


POLARS_TIMES = {
    "us": pl.Series(PANDAS_TIMES["ns"].to_list()),
    "ms": pl.Series(PANDAS_TIMES["ns"].to_list()).cast(pl.Datetime("ms")),
    "ns": pl.Series(PANDAS_TIMES["ns"].to_list()).cast(pl.Datetime("ns")),
    "zone": pl.Series(days(88, 89, 90, 91)).dt.replace_time_zone("Europe/Berlin"),
    "date": pl.Series([when.date() for when in days(58, 59, 60, 61)]),
    "text": pl.Series(PANDAS_TIMES["text"].to_list()),
    "time text": pl.Series(PANDAS_TIMES["time text"].to_list()),
    "int64": pl.Series([10, 11, 12, 13]),
    "uint8": pl.Series([10, 11, 12, 13], dtype=pl.UInt8),
}


@pytest.mark.parametrize("name", POLARS_TIMES)
def test_polars_times_come_back_in_their_own_type(name):
    every = POLARS_TIMES[name].alias("ds")
    answer = continued(pl.DataFrame({"unique_id": ["a", "a"], "ds": every[:2], "y": [1.0, 2.0]}))["ds"]
    assert answer.dtype == every.dtype
    assert answer.to_list() == every[2:].to_list()


def test_python_datetimes_come_back_as_pandas_datetimes():
    data = long(ds=pd.Series(days(0, 1, 2, 0, 1), dtype=object))
    assert continued(data)["ds"].dtype == "datetime64[ns]"


def test_categories_of_dates_are_dates():
    for backend, ds in (("pandas", pd.Categorical(days(0, 1, 2, 0, 1))), ("polars", None)):
        text = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-01", "2024-01-02"]
        data = (
            long(backend).with_columns(ds=pl.Series(text, dtype=pl.Categorical)) if ds is None else long().assign(ds=ds)
        )
        assert read_panel(data)[0].frequency.alias == "D"


def test_python_integers_are_integers():
    data = long(ds=pd.Series([0, 1, 2, 0, 1], dtype=object))
    assert read_panel(data)[0].frequency == Frequency("integer", 1)


def test_small_integers_that_overflow_are_widened():
    data = long(ds=np.array([253, 254, 255, 253, 254], dtype="uint8"))
    assert continued(data)["ds"].to_list() == [256, 257, 255, 256]


@pytest.mark.parametrize("backend", BACKENDS)
def test_hours_run_through_both_changes_of_clocks(backend):
    for start in ("2024-03-30 20:00", "2024-10-26 20:00"):
        every = pd.date_range(start, periods=14, freq="h", tz="Europe/Berlin")
        ds = every[:10] if backend == "pandas" else pl.Series(every[:10].tz_convert("UTC").to_pydatetime().tolist())
        if backend == "polars":
            ds = ds.dt.convert_time_zone("Europe/Berlin")
        data = build(backend, {"unique_id": ["a"] * 10, "ds": ds, "y": np.arange(10.0)})
        answer = continued(data, 4)["ds"]
        assert [pd.Timestamp(when) for when in answer.to_list()] == every[10:].to_list()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize("alias", ["D", "W", "MS", "B"])
def test_days_and_longer_follow_local_dates_through_a_change_of_clocks(alias, zone):
    every = pd.date_range("2024-02-01", periods=60, freq=alias, tz=zone)
    data = pd.DataFrame({"unique_id": "a", "ds": every[:30], "y": 0.0})
    assert continued(data, 30)["ds"].to_list() == every[30:].to_list()


def test_a_time_that_comes_twice_is_the_first_of_the_two():
    every = pd.date_range("2024-10-24 02:30", periods=3, tz="Europe/Berlin")
    answer = continued(pd.DataFrame({"unique_id": "a", "ds": every, "y": 0.0}))["ds"]
    assert [str(when) for when in answer] == ["2024-10-27 02:30:00+02:00", "2024-10-28 02:30:00+01:00"]


def test_steps_that_are_no_whole_days_are_elapsed_time():
    every = pd.date_range("2024-03-20", periods=30, freq="30h", tz="Europe/Berlin")
    data = pd.DataFrame({"unique_id": "a", "ds": every[:25], "y": 0.0})
    assert continued(data, 5)["ds"].to_list() == every[25:].to_list()


def test_a_midnight_that_does_not_exist_is_the_next_instant_and_can_be_read_back():
    # In Sao Paulo the clocks went from 2018-11-04 00:00 straight to 01:00.
    start = pd.date_range("2018-10-30", periods=4, tz="America/Sao_Paulo")
    data = pd.DataFrame({"unique_id": "a", "ds": start, "y": 0.0})
    answer = continued(data, 4)
    assert answer["ds"].dt.strftime("%d %H").to_list() == ["03 00", "04 01", "05 00", "06 00"]
    both = pd.concat([data, answer.rename(columns={"TitansForecaster": "y"})], ignore_index=True)
    panel, _ = read_panel(both)
    assert panel.frequency.alias == "D"
    assert panel.ds_of(0).astype("datetime64[D]").tolist() == [when.date() for when in both["ds"]]


@pytest.mark.parametrize(
    "ids",
    [
        pd.Series(["b", "b", "a"], dtype=object),
        pd.Series(["b", "b", "a"], dtype="string"),
        pd.Series([7, 7, 3]),
        pd.Series([7, 7, 3], dtype="int8"),
        pd.Series([7, 7, 3], dtype="Int64"),
        pd.Series(["7", "7", 7], dtype=object),
        pd.Series(pd.Categorical(["b", "b", "a"], categories=["z", "b", "a"], ordered=True)),
        pd.Series(pd.Categorical([7, 7, 3])),
        pd.Series([2**62, 2**62, -5]),
    ],
    ids=lambda ids: str(ids.dtype),
)
def test_pandas_ids_come_back_in_their_own_type(ids):
    ids = pd.concat([ids, ids[2:]], ignore_index=True)
    answer = continued(pd.DataFrame({"unique_id": ids, "ds": [0, 1, 0, 1], "y": 1.0}))["unique_id"]
    pd.testing.assert_series_equal(answer, ids, check_names=False)


@pytest.mark.parametrize(
    "ids",
    [
        pl.Series(["b", "b", "a", "a"]),
        pl.Series(["b", "b", "a", "a"], dtype=pl.Categorical),
        pl.Series(["b", "b", "a", "a"], dtype=pl.Enum(["z", "a", "b"])),
        pl.Series([7, 7, 3, 3]),
        pl.Series([7, 7, 3, 3], dtype=pl.UInt8),
    ],
    ids=lambda ids: str(ids.dtype.base_type()),
)
def test_polars_ids_come_back_in_their_own_type(ids):
    answer = continued(pl.DataFrame({"unique_id": ids, "ds": [0, 1, 0, 1], "y": [1, 2, 3, 4]}))["unique_id"]
    assert answer.dtype == ids.dtype
    assert answer.to_list() == ids.to_list()


def test_series_stand_in_order_of_first_appearance():
    assert read_panel(long(ids="bbbaa"))[0].ids == ("b", "a")


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([1, None, 0, 4, 5], dtype="Int64"),
        pd.Series([1, None, 0, 4, 5], dtype="Float32"),
        pd.Series([1, np.nan, 0, 4, 5], dtype="float32"),
        pd.Series([1, None, 0, 4, 5], dtype=object),
        pd.Series([1, pd.NA, 0, 4.0, np.int8(5)], dtype=object),
        pd.Series([decimal.Decimal(1), None, decimal.Decimal(0), 4, 5], dtype=object),
    ],
    ids=lambda y: str(y.dtype),
)
def test_pandas_numbers_of_any_kind_are_read(y):
    panel, _ = read_panel(long().assign(y=y))
    assert panel.values.tolist() == [1, 0, 0, 4, 5]
    assert panel.observed.tolist() == [True, False, True, True, True]
    assert panel.values.dtype == np.float64


@pytest.mark.parametrize(
    "y",
    [
        pl.Series([1, None, 0, 4, 5]),
        pl.Series([1.0, float("nan"), 0, 4, 5]),
        pl.Series([1.0, None, 0, 4, 5], dtype=pl.Float32),
        pl.Series([1, None, 0, 4, 5], dtype=pl.Int128),
        pl.Series([1, None, 0, 4, 5]).cast(pl.Decimal(10, 2)),
    ],
    ids=lambda y: str(y.dtype),
)
def test_polars_numbers_of_any_kind_are_read(y):
    panel, _ = read_panel(long("polars").with_columns(y=y))
    assert panel.values.tolist() == [1, 0, 0, 4, 5]
    assert panel.observed.tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("dtype", ["bool", "object", "boolean"])
def test_booleans_are_zero_and_one(dtype):
    y = pd.Series([True, False, True, True, False], dtype=dtype)
    assert read_panel(long().assign(y=y))[0].values.tolist() == [1, 0, 1, 1, 0]
    assert read_panel(long("polars", y=y.tolist()))[0].values.tolist() == [1, 0, 1, 1, 0]


def test_huge_integers_become_the_nearest_float():
    y = pd.Series([2**80, 1, 1, 1, 1], dtype=object)
    assert read_panel(long().assign(y=y))[0].values[0] == 2.0**80


def test_infinity_under_no_observation_is_still_zero():
    panel, _ = read_panel(long(y=(1.0, np.nan, 3.0, 4.0, 5.0)))
    assert panel.values[1] == 0.0
