"""Reading frames and arrays, and forecasts in the same form: round trips."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_seq.data import Covariates, FrameFormat, Frequency, forecast_frame, read_column, read_panel

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


missing_or_number = st.one_of(st.none(), st.just(float("nan")), st.floats(-1e9, 1e9))


@st.composite
def frames(draw):
    """Draw (series by id, ds by id, the frame's rows in an interleaved order)."""
    names = draw(st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=4, unique=True))
    alias = draw(st.sampled_from(["h", "D", "W-SAT", "MS", "ME", "QE", "B"]))
    series, stamps, rows = {}, {}, []
    for name in names:
        later = draw(st.lists(missing_or_number, min_size=12, max_size=20))
        series[name] = [draw(st.floats(-1e9, 1e9)), *later]
        start = draw(st.dates(dt.date(1990, 1, 1), dt.date(2040, 1, 1)))
        stamps[name] = pd.date_range(start, periods=len(series[name]), freq=alias)
    left = {name: 0 for name in names}
    while left:
        name = draw(st.sampled_from(sorted(left)))
        count = draw(st.integers(1, 9))
        at = slice(left[name], left[name] + count)
        rows += [(name, when, y) for when, y in zip(stamps[name][at], series[name][at], strict=True)]
        left[name] += count
        if left[name] >= len(series[name]):
            del left[name]
    return series, stamps, rows


@pytest.mark.parametrize("backend", BACKENDS)
@settings(deadline=None, max_examples=40)
@given(drawn=frames())
def test_interleaved_series_come_back_as_they_went_in(backend, drawn):
    series, stamps, rows = drawn
    data = build(
        backend,
        {
            "unique_id": [row[0] for row in rows],
            "ds": [row[1].to_pydatetime() for row in rows],
            "y": pd.array([row[2] for row in rows], dtype=float) if backend == "pandas" else [r[2] for r in rows],
        },
    )
    panel, _ = read_panel(data)
    assert panel.ids == tuple(dict.fromkeys(row[0] for row in rows))
    for i, name in enumerate(panel.ids):
        expected = np.array([np.nan if y is None else y for y in series[name]], dtype=float)
        values, observed = panel.series(i)
        np.testing.assert_array_equal(np.where(observed, values, np.nan), expected)
        np.testing.assert_array_equal(panel.ds_of(i), stamps[name].to_numpy())


FREQUENCIES = ["h", "15min", "6h", "D", "W-SAT", "W-MON", "MS", "ME", "QS", "QE", "YS", "YE", "B", "s"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("alias", FREQUENCIES)
def test_forecasts_continue_the_dates_as_pandas_does(backend, alias):
    every = pd.date_range("2019-11-30", periods=40, freq=alias)
    data = long(backend, ["a"] * 30, every[:30].to_pydatetime(), np.arange(30.0))
    answer = continued(data, 10)
    assert [pd.Timestamp(when) for when in answer["ds"].to_list()] == every[30:].to_list()


def test_polars_and_pandas_read_the_same_panel():
    rows = days(0, 1, 2, 0, 1)
    one, two = (read_panel(long(backend, ds=rows))[0] for backend in BACKENDS)
    assert one.equals(two)


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_columns_stand_beside_each_other_in_long_frames(backend):
    panel, form = read_panel(long(backend))
    point = np.array([[1.0, 2.0], [3.0, 4.0]])
    columns = {"TitansForecaster": point, "TitansForecaster-lo-80": point - 1}
    answer = forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, columns)
    assert type(answer) is type(long(backend))
    assert answer["unique_id"].to_list() == ["a", "a", "b", "b"]
    assert answer["ds"].to_list() == [3, 4, 7, 8]
    assert answer["TitansForecaster"].to_list() == [1, 2, 3, 4]
    assert answer["TitansForecaster-lo-80"].to_list() == [0, 1, 2, 3]
    assert list(answer.columns) == ["unique_id", "ds", *columns]


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_column_names_are_kept(backend):
    data = build(backend, {"shop": ["x", "x"], "day": days(0, 1), "sales": [1, 2], "note": ["p", "q"]})
    answer = continued(data, id_col="shop", time_col="day", target_col="sales")
    assert list(answer.columns) == ["shop", "day", "TitansForecaster"]


def test_the_index_of_an_answer_is_plain():
    data = long().set_index(pd.Index([7, 7, 7, 9, 9]))
    assert isinstance(continued(data).index, pd.RangeIndex)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_frame_is_not_changed(backend):
    data = long(backend, ds=days(0, 1, 2, 0, 1), y=(1.0, None, 3.0, 4.0, 5.0))
    before = data.clone() if backend == "polars" else data.copy(deep=True)
    panel, _ = read_panel(data)
    panel.values[:] = 0
    assert before.equals(data)


def test_arrays_are_not_changed_and_not_shared():
    data = np.arange(6.0).reshape(2, 3)
    read_panel(data)[0].values[:] = -1
    assert data.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_format_survives_json(backend):
    ids = pd.Categorical(["b", "b", "a", "a"]) if backend == "pandas" else pl.Series(["b"] * 2 + ["a"] * 2)
    data = build(backend, {"unique_id": ids, "ds": days(0, 1, 0, 1), "y": [1, 2, 3, 4]})
    panel, form = read_panel(data)
    again = FrameFormat.from_dict(json.loads(json.dumps(form.to_dict())))
    assert again == form
    assert Frequency.from_dict(json.loads(json.dumps(panel.frequency.to_dict()))) == panel.frequency


def test_importing_the_package_loads_no_frame_library_and_no_torch():
    heavy = "{'torch', 'pandas', 'polars', 'narwhals', 'lightning'}"
    code = f"import sys, titans_seq.data; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wide_frame_has_one_series_per_column(backend):
    data = build(backend, {"ds": days(0, 1, 2), "a": [1, 2, None], "b": [None, 5.0, 6.0]})
    panel, form = read_panel(data)
    assert panel.ids == ("a", "b")
    assert panel.values.tolist() == [1, 2, 0, 0, 5, 6]
    assert panel.observed.tolist() == [True, True, False, False, True, True]
    point = np.array([[1.0, 2.0], [3.0, 4.0]])
    columns = {"TitansForecaster": point, "TitansForecaster-hi-80": point + 1}
    answer = forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, columns)
    assert list(answer.columns) == ["ds", "a", "b", "a-hi-80", "b-hi-80"]
    assert answer["b"].to_list() == [3, 4]
    assert answer["b-hi-80"].to_list() == [4, 5]
    assert answer["ds"].to_list() == days(3, 4)


@pytest.mark.parametrize(
    "index", [pd.date_range("2024-01", periods=5, freq="MS"), pd.period_range("2024-01", periods=5, freq="M")]
)
def test_a_date_index_is_the_time_of_a_wide_pandas_frame(index):
    answer = continued(pd.DataFrame({"a": [1, 2, 3], 5: [1, 2, 3]}, index=index[:3].rename("month")))
    assert list(answer.columns) == ["month", "a", 5]
    pd.testing.assert_series_equal(answer["month"], pd.Series(index[3:], name="month"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_and_target_alone_are_one_series(backend):
    answer = continued(build(backend, {"ds": [0, 1], "y": [1.0, 2.0]}))
    assert list(answer.columns) == ["ds", "y"]
    assert answer["ds"].to_list() == [2, 3]


def test_a_pandas_series_is_one_series():
    answer = continued(pd.Series([1.0, 2.0], index=pd.date_range("2024-01-01", periods=2), name="load"))
    assert list(answer.columns) == ["ds", "load"]
    assert continued(pd.Series([1.0, 2.0], index=pd.date_range("2024-01-01", periods=2))).columns[1] == "y"


def test_arrays_are_series_by_time():
    panel, form = read_panel(np.array([[1, 2, np.nan], [4, 5, 6]]))
    assert (panel.ids, panel.frequency, form.kind) == ((0, 1), Frequency("integer", 1), "numpy")
    assert panel.observed.tolist() == [True, True, False, True, True, True]
    point = np.array([[1.0, 2.0], [3.0, 4.0]])
    one = forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, {"TitansForecaster": point})
    two = forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, {"TitansForecaster": point, "b": point + 1})
    np.testing.assert_array_equal(one, point)
    assert two.shape == (2, 2, 2)
    np.testing.assert_array_equal(two[:, :, 1], point + 1)


@pytest.mark.parametrize(
    "data",
    [
        np.array([1, 2, 3]),
        np.array([1, 2, 3], dtype="float32"),
        np.array([1, 2.0, decimal.Decimal(3)], dtype=object),
        np.array([1, 2, 3])[::-1][::-1],
    ],
)
def test_a_flat_array_is_one_series(data):
    panel, _ = read_panel(data)
    assert panel.series(0)[0].tolist() == [1, 2, 3]


def test_masked_and_none_entries_of_arrays_are_missing():
    masked = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    assert read_panel(masked)[0].observed.tolist() == [True, False, True]
    assert read_panel(np.array([1, None, 3], dtype=object))[0].observed.tolist() == [True, False, True]


@pytest.mark.parametrize("backend", BACKENDS)
def test_masked_gaps_become_rows_that_are_not_observed(backend):
    panel, _ = read_panel(long(backend, ds=days(0, 1, 4, 8, 9)), on_gap="mask")
    assert panel.lengths.tolist() == [5, 2]
    assert panel.values.tolist() == [1, 2, 0, 0, 3, 4, 5]
    assert panel.observed.tolist() == [True, True, False, False, True, True, True]


def test_masked_gaps_of_wide_frames_reach_every_column():
    panel, _ = read_panel(pd.DataFrame({"ds": [0, 1, 3], "a": [1, 2, 3], "b": [4, 5, 6]}), on_gap="mask")
    assert panel.values.tolist() == [1, 2, 0, 3, 4, 5, 0, 6]
    assert panel.observed.tolist() == [True, True, False, True] * 2


def test_with_a_known_frequency_one_silent_row_is_enough():
    daily = read_panel(long(ds=days(0, 1, 2, 0, 1)))[0].frequency
    panel, _ = read_panel(long(ids=["b"], ds=days(2), y=[None]), frequency=daily)
    assert (panel.ids, panel.observed.tolist()) == (("b",), [False])
    history = read_panel(long(ds=days(0, 1, 2, 0, 1)))[0]
    assert history.concat(panel).lengths.tolist() == [3, 3]
    assert read_panel(np.array([[1.0], [np.nan]]), frequency=Frequency("integer", 1))[0].lengths.tolist() == [
        1,
        1,
    ]


def test_new_rows_with_a_zone_are_read_on_the_clock_of_the_earlier_ones():
    every = pd.date_range("2024-03-25", periods=10, tz="Europe/Berlin")
    data = pd.DataFrame({"unique_id": "a", "ds": every, "y": np.arange(10.0)})
    whole, form = read_panel(data)
    history = read_panel(data[:6])[0]
    for cut in range(6, 10):
        history = history.concat(read_panel(data[cut : cut + 1], frequency=whole.frequency)[0])
    assert history.equals(whole)


def disordered(data, seed):
    """The same rows shuffled, in the same library."""
    if isinstance(data, pl.DataFrame):
        return data.sample(fraction=1.0, shuffle=True, seed=seed)
    return data.sample(frac=1.0, random_state=seed)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(3))
def test_rows_of_a_long_frame_in_any_order_are_the_same_panel(backend, seed):
    ids, ds = ("a",) * 5 + ("b",) * 4, (0, 1, 2, 4, 5, 7, 8, 9, 10)
    columns = {"unique_id": ids, "ds": ds, "y": [1.0, None, *range(7)], "x": range(9), "k": list("uvuvuwwuv"), "w": ds}
    data = build(backend, {name: list(values) for name, values in columns.items()})
    covariates = Covariates.learn(data, {"x": "past", "k": "future"})
    options = {"on_gap": "mask", "covariates": covariates}
    expected, other = read_panel(data, **options)[0], disordered(data, seed)
    found = read_panel(other, **options)[0]
    assert found.select([found.ids.index(name) for name in expected.ids]).equals(expected)
    names = {"id_col": "unique_id", "time_col": "ds", "on_gap": "mask", "frequency": expected.frequency}
    weights = read_column(other, "w", lambda values, place: None, argument="sample_weight", **names)
    assert weights.values[: weights.lengths[0]].tolist() == (
        [7, 8, 9, 10] if found.ids[0] == "b" else [0, 1, 2, 0, 4, 5]
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_a_wide_frame_in_any_order_are_the_same_panel(backend):
    data = build(backend, {"ds": days(*range(6)), "a": [*range(6)], "b": [*range(6, 12)], "x": [3, 1, 4, 1, 5, 9]})
    covariates = Covariates.learn(data, {"x": "future"})
    expected = read_panel(data, covariates=covariates)[0]
    assert read_panel(disordered(data, 1), covariates=covariates)[0].equals(expected)
    if backend == "pandas":
        assert read_panel(disordered(data.set_index("ds"), 1), covariates=covariates)[0].equals(expected)


def test_rows_in_disorder_keep_days_of_any_length_with_a_zone():
    every = pd.date_range("2024-03-28", periods=8, freq="D", tz="Europe/Berlin")
    data = pd.DataFrame({"unique_id": "a", "ds": every, "y": range(8)})
    assert read_panel(data.iloc[::-1])[0].equals(read_panel(data)[0])


def test_rows_in_order_are_not_sorted_again(monkeypatch):
    monkeypatch.setattr(np, "lexsort", lambda *given: pytest.fail("sorted"))
    assert read_panel(long(ids="abaab", ds=(0, 5, 1, 2, 6)))[0].ids == ("a", "b")


SPARSE = {
    "irregular days": (pd.date_range("2024-01-01", periods=20, freq="D"), [0, 3, 5]),
    "every other day": (pd.date_range("2024-01-01", periods=20, freq="D"), [0, 2, 4, 6]),
    "weeks among days": (pd.date_range("2024-01-01", periods=20, freq="D"), [0, 7, 14]),
    "quarters among months": (pd.date_range("2020-01-31", periods=24, freq="ME"), [2, 5, 8, 11]),
    "Mondays among business days": (pd.bdate_range("2024-01-01", periods=20), [0, 5, 10]),
    "integers": (np.arange(0, 60, 3), [1, 3, 7]),
    "days of a zone": (pd.date_range("2024-03-25", periods=20, freq="D", tz="Europe/Berlin"), [0, 2, 4, 9]),
}


@pytest.mark.parametrize("name", SPARSE)
def test_a_series_with_some_rows_of_the_grid_is_masked(name):
    every, some = SPARSE[name]
    dense = pd.DataFrame({"unique_id": "a", "ds": every, "y": 1.0})
    data = pd.concat([dense.iloc[some].assign(unique_id="x", y=2.0), dense], ignore_index=True)
    panel, _ = read_panel(data, on_gap="mask")
    assert panel.frequency == read_panel(dense)[0].frequency
    values, observed = panel.series(panel.ids.index("x"))
    assert np.flatnonzero(observed).tolist() == [k - some[0] for k in some] and set(values[observed]) == {2.0}
    with pytest.raises(ValueError, match=r"series 'x'.* pass on_gap='mask'"):
        read_panel(data)


def test_a_series_beside_the_grid_is_not_masked():
    months = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=40, freq="MS"), "y": 1.0})
    quarters = pd.DataFrame({"unique_id": "x", "ds": pd.date_range("2020-01-01", periods=4, freq="QE"), "y": 1.0})
    with pytest.raises(ValueError, match="series 'x' steps by .* and the others by MS.* one frequency$"):
        read_panel(pd.concat([months, quarters]), on_gap="mask")
