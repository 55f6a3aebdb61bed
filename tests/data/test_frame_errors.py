"""Every fault of a frame is one line that names the place and what to do."""

from __future__ import annotations

import datetime as dt

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


ABSENT = pd.NaT
BAD_FRAMES = {
    "empty": ({"ids": [], "ds": [], "y": []}, "the frame is empty"),
    "missing time": (
        {"ds": [*days(0, 1), ABSENT, *days(0, 1)]},
        "series 'a', row 2: ds is missing; drop or complete the row",
    ),
    "missing id": ({"ids": ["a", "a", "a", "b", None]}, "row 4: unique_id is missing"),
    "duplicate": (
        {"ds": days(0, 1, 1, 0, 1)},
        "series 'a', row 2: ds 2024-01-02 is there twice (first in row 1); keep one row per id and time",
    ),
    "distant duplicate": (
        {"ds": days(0, 1, 0, 0, 1)},
        "series 'a', row 2: ds 2024-01-01 is there twice (first in row 0)",
    ),
    "gap": (
        {"ids": "aaabb", "ds": days(0, 1, 5, 0, 1)},
        "series 'a', row 2: 3 rows are missing between ds 2024-01-02 (row 1) and 2024-01-06 (step D); "
        "add them, or pass on_gap='mask'",
    ),
    "gap of one": (
        {"ds": [0, 1, 3, 0, 1]},
        "series 'a', row 2: 1 row is missing between ds 1 (row 1) and 3 (step 1)",
    ),
    "one row": (
        {"ids": "aaaab", "ds": [0, 1, 2, 3, 0]},
        "series 'b' has one row (row 4, ds 0); at least two are needed",
    ),
    "mixed": (
        {"ids": "aaabbb", "ds": days(0, 1, 2, 0, 7, 14), "y": range(6)},
        "mixed frequencies: series 'b' steps by W and the others by D; fit them separately or resample to one "
        "frequency, or pass on_gap='mask' to take the rows between as missing",
    ),
    "mixed off the grid": (
        {"ids": "aaabbb", "ds": [0, 2, 4, 0, 3, 6], "y": range(6)},
        "mixed frequencies: series 'b' steps by 3 and the others by 2; fit them separately or resample to one "
        "frequency",
    ),
    "sparse": (
        {"ids": "aaaabbb", "ds": days(0, 1, 2, 3, 0, 3, 5), "y": range(7)},
        "series 'b', row 5: 2 rows are missing between ds 2024-01-01 (row 4) and 2024-01-04 (step D); add them, or "
        "pass on_gap='mask'",
    ),
    "sparse off the grid": (
        {"ids": "aaaabbb", "ds": [0, 2, 4, 6, 0, 4, 9], "y": range(7)},
        "series 'b', row 6: ds 9 does not lie on the grid of step 2 from 0",
    ),
    "gap in disorder": (
        {"ids": "ababab", "ds": days(5, 1, 1, 0, 0, 2), "y": range(6)},
        "series 'a', row 0: 3 rows are missing between ds 2024-01-02 (row 2) and 2024-01-06 (step D)",
    ),
    "duplicate in disorder": (
        {"ds": [2, 0, 2, 6, 5]},
        "series 'a', row 2: ds 2 is there twice (first in row 0); keep one row per id and time",
    ),
    "off grid": (
        {"ids": "a" * 40, "ds": [*days(*range(39)), dt.datetime(2024, 2, 9, 5)], "y": range(40)},
        "series 'a', row 39: ds 2024-02-09 05:00 does not lie on the grid of step D from 2024-01-01",
    ),
    "one extra row": (
        {
            "ids": "a" * 40 + "b" * 41,
            "ds": [*range(0, 80, 2), *range(0, 40, 2), 39, *range(40, 80, 2)],
            "y": range(81),
        },
        "series 'b', row 60: ds 39 does not lie on the grid of step 2 from 0",
    ),
    "text value": (
        {"y": ["1.5", "2", "3", "4", "5"]},
        "series 'a', row 0: y is '1.5', which is not a number",
    ),
    "infinite value": (
        {"y": [1.0, 2.0, 3.0, 4.0, -np.inf]},
        "series 'b', row 4: y is -inf; mark it as missing",
    ),
    "nothing observed": ({"y": [1.0, 2.0, 3.0, None, None]}, "series 'b': all 2 values of y are missing"),
    "text time": (
        {"ds": ["2024-01-01", "2024-01-02", "soon", "2024-01-01", "2024-01-02"]},
        "series 'a', row 2: ds 'soon' is not an ISO date such as 2024-01-31",
    ),
    "day before month": (
        {"ds": ["01/02/2024", "02/02/2024", "03/02/2024", "01/02/2024", "02/02/2024"]},
        "series 'a', row 0: ds '01/02/2024' is not an ISO date",
    ),
    "impossible date": ({"ds": ["2024-02-30"] * 5}, "series 'a', row 0: ds '2024-02-30' is not an ISO date"),
    "text with offset": (
        {"ds": [f"2024-01-0{day}T00:00:00+01:00" for day in (1, 2, 3, 1, 2)]},
        "series 'a', row 0: ds '2024-01-01T00:00:00+01:00' carries a UTC offset",
    ),
    "far away": (
        {"ds": [0, 1, 2, 0, 10**12]},
        "series 'b', row 4: 999999999999 rows are missing",
    ),
    "beyond nanoseconds": (
        {"ds": [*days(0, 1, 2, 0), dt.datetime(2500, 1, 1)]},
        "lies outside 1677-09-22 to 2262-04-10; use integers instead",
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_rows_are_named_in_one_line(backend, name):
    columns, words = BAD_FRAMES[name]
    columns = dict(columns)
    if backend == "polars" and name == "missing time":
        columns["ds"] = [None if when is ABSENT else when for when in columns["ds"]]
    with pytest.raises(ValueError) as caught:
        read_panel(long(backend, **columns), on_gap="mask" if name == "far away" else "raise")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["duplicate", "duplicate in disorder", "mixed off the grid", "sparse off the grid", "off grid", "one row"],
)
def test_masking_gaps_hides_no_other_fault(name):
    columns, words = BAD_FRAMES[name]
    with pytest.raises(ValueError) as caught:
        read_panel(long(**columns), on_gap="mask")
    assert words in str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"ds": [0.0, 1.0, 2.0, 0.0, 1.0]}, "times must be dates, datetimes, integers or ISO text"),
        ({"ds": [True, False, True, False, True]}, "times must be dates"),
        ({"ids": [1.5, 1.5, 1.5, 2.5, 2.5]}, "row 0: unique_id 1.5 is float; ids must be text or integers"),
        (
            {"ids": [True, True, True, False, False]},
            "row 0: unique_id True is bool; ids must be text or integers",
        ),
    ],
)
def test_columns_of_an_unusable_type_are_type_errors(backend, columns, words):
    with pytest.raises(TypeError, match=words):
        read_panel(long(backend, **columns))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (pd.Series([1, 2, "x", 4, 5], dtype=object), "series 'a', row 2: y is 'x', which is not a number"),
        (
            pd.Series([1, 2, 10**400, 4, 5], dtype=object),
            "series 'a', row 2: y is too large for a 64-bit float",
        ),
        (pd.Series([1, 2, 3j, 4, 5], dtype=object), "series 'a', row 2: y is 3j, which is not a number"),
        (pd.Series(days(0, 1, 2, 3, 4)), "series 'a', row 0: y is .*, which is not a number"),
        (pd.Series(list("ppqqq"), dtype="category"), "series 'a', row 0: y is 'p', which is not a number"),
        (pd.Series([1, 2, float("inf"), 4, 5], dtype=object), "series 'a', row 2: y is inf"),
    ],
)
def test_values_that_are_no_numbers_are_named(y, words):
    with pytest.raises(ValueError, match=words):
        read_panel(long().assign(y=y))


@pytest.mark.parametrize(
    ("ds", "kind", "words"),
    [
        ([0, 1, 2.5, 3, 4], TypeError, "series 'a', row 2: ds 2.5 is float; times must all be"),
        ([0, 1, 2, 3, 10**30], ValueError, "series 'b', row 4: ds 10{30} does not fit in a 64-bit integer"),
        ([dt.datetime(2024, 1, 1), "2024-01-02", 3, 4, 5], TypeError, "row 1: ds '2024-01-02' is str"),
    ],
)
def test_python_objects_in_the_time_column_must_be_of_one_kind(ds, kind, words):
    with pytest.raises(kind, match=words):
        read_panel(long().assign(ds=pd.Series(ds, dtype=object)))


@pytest.mark.parametrize("unit", ["s", "us"])
def test_dates_beyond_nanoseconds_are_named_in_any_unit(unit):
    ds = np.array([*days(0, 1, 2, 0), dt.datetime(2500, 1, 1)], dtype=f"datetime64[{unit}]")
    for column in (ds, pd.Series(ds).dt.tz_localize("UTC")):
        with pytest.raises(ValueError, match="series 'b', row 4: ds 2500-01-01.* lies outside 1677-09-22"):
            read_panel(long().assign(ds=column))


def test_unsigned_times_beyond_int64_are_named():
    data = long(ds=np.array([1, 2, 2**64 - 1, 1, 2], dtype="uint64"))
    with pytest.raises(ValueError, match="series 'a', row 2: ds 18446744073709551615 does not fit"):
        read_panel(data)


def test_a_zone_without_a_name_is_refused():
    from dateutil.tz import tzoffset

    zone = tzoffset("home", 3_600)
    data = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2024", periods=3, tz=zone), "y": 1.0})
    with pytest.raises(TypeError, match="column 'ds': time zone .tzoffset.* cannot be looked up by name"):
        read_panel(data)


def test_local_time_of_a_zoned_row_is_shown():
    every = pd.date_range("2024-07-01", periods=5, freq="h", tz="Europe/Berlin")
    with pytest.raises(ValueError, match=r"between ds 2024-07-01 01:00:00\+02:00 \(row 1\) and 2024-07-01 03:00"):
        read_panel(pd.DataFrame({"unique_id": "a", "ds": every[[0, 1, 3, 4]], "y": 1.0}))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": ["a", "b"], "ds": [0, 0], "y": [1, 2]}, "column 'unique_id'|'id' names the series"),
        (
            {"unique_id": ["a", "a"], "date": [0, 1], "y": [1, 2]},
            "no column 'ds' .it has unique_id, date, y.*time_col=",
        ),
        ({"unique_id": ["a", "a"], "ds": [0, 1], "Y": [1, 2]}, "no column 'y'.*target_col="),
        ({"unique_id": ["a", "a"], "ds_": [0, 1], "y": [1, 2]}, "pass time_col='ds_'"),
        ({"ds": [0, 1]}, "the frame has no column beside 'ds'"),
        (
            {"shop": [1, 1, 2, 2], "ds": [0, 1, 0, 1], "y": [1, 2, 3, 4]},
            "row 2: ds 0 is there twice .*id_col=",
        ),
        ({"ds": [0], "a": [1.0]}, "the frame has one row"),
        ({"ds": [0, 1], "a": [1.0, 2.0], "b": [None, None]}, "series 'b': all 2 values are missing"),
        ({"ds": [0, 1], "a": [1.0, np.inf]}, "row 1: a is inf"),
        ({"ds": [0, 1, 3], "a": [1.0, 1.0, 1.0]}, "row 2: 1 row is missing between ds 1"),
    ],
)
def test_misnamed_columns_get_a_hint(backend, columns, words):
    with pytest.raises(ValueError, match=words):
        read_panel(build(backend, columns))


def test_an_index_that_should_be_a_column_is_recognised():
    with pytest.raises(ValueError, match=r"'ds' is the index, not a column; call reset_index\(\)"):
        read_panel(long().set_index("ds"))
    with pytest.raises(ValueError, match="'ds' is the index"):
        read_panel(long().set_index(["unique_id", "ds"]))


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        ([1, 2, 3], TypeError, "must be a pandas or polars DataFrame, a numpy array .* or GluonTS entries"),
        ({"ds": [1]}, TypeError, "got builtins dict"),
        (None, TypeError, "got builtins NoneType"),
        (pl.LazyFrame({"ds": [1]}), TypeError, r"call .collect\(\) first"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "two columns of one name"),
        (pd.DataFrame({("a", "b"): [1], "ds": [1]}), TypeError, "column names must be text or integers"),
        (np.zeros((2, 2, 2)), ValueError, "the array has 3 dimensions"),
        (np.zeros((2, 0)), ValueError, "the array is empty"),
        (np.array([[1.0], [2.0]]), ValueError, "series 0 has one row"),
        (np.array([[1.0, 2.0], [3.0, np.inf]]), ValueError, "series 1, row 1: value is inf"),
        (np.array([["1", "2"]]), ValueError, "series 0, row 0: value is '1', which is not a number"),
        (np.array([[1.0, 2.0], [np.nan, np.nan]]), ValueError, "series 1: all 2 values are missing"),
    ],
)
def test_data_of_another_form_are_refused(data, kind, words):
    with pytest.raises(kind, match=words):
        read_panel(data)


def test_dates_after_integers_and_the_reverse_are_refused():
    with pytest.raises(ValueError, match="series 'a', row 0: ds holds dates, but the earlier rows had integers"):
        read_panel(long(ds=days(0, 1, 2, 0, 1)), frequency=Frequency("integer", 1))
    with pytest.raises(ValueError, match="ds holds integers, but the earlier rows had dates"):
        read_panel(long(), frequency=Frequency("month", 1, 1))
    with pytest.raises(ValueError, match="an array has no dates"):
        read_panel(np.zeros((1, 3)), frequency=Frequency("month", 1, 1))


def test_an_unknown_way_with_gaps_is_refused():
    with pytest.raises(ValueError, match="on_gap must be 'raise' or 'mask', got 'fill'"):
        read_panel(long(), on_gap="fill")


def test_forecasts_of_another_shape_are_refused():
    panel, form = read_panel(long())
    for columns in (
        {},
        {"a": np.zeros((3, 2))},
        {"a": np.zeros((2, 2)), "b": np.zeros((2, 3))},
        {"a": np.zeros(2)},
    ):
        with pytest.raises(ValueError, match=r"columns must be arrays \(2, horizon\)"):
            forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, columns)


def test_wide_forecasts_need_one_end_and_distinct_names():
    panel, form = read_panel(pd.DataFrame({"ds": [0, 1], "a": [1, 2], "a-lo-80": [3, 4]}))
    zeros = np.zeros((2, 1))
    with pytest.raises(ValueError, match="series 'a-lo-80' ends at another time than 'a'"):
        forecast_frame(form, panel.ids, panel.last_ds + [0, 1], panel.frequency, {"TitansForecaster": zeros})
    columns = {"TitansForecaster": zeros, "TitansForecaster-lo-80": zeros}
    with pytest.raises(ValueError, match="two forecast columns would be called 'a-lo-80'"):
        forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, columns)
