"""Covariates of the rows to forecast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from titans_seq.data import Covariates, FrameFormat, Panel, future_frame, read_future, read_panel

HORIZON = 3
ROLES = {"x": "future", "m": "past"}


def history(n: int = 8, ids: str = "ab") -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"unique_id": name, "ds": pd.date_range("2024-01-01", periods=n, freq="D"), "y": 1.0 * i,
             "x": np.arange(n) + 10.0 * i, "m": np.arange(n) % 2}
        )
        for i, name in enumerate(ids)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def read_history(data: object = None) -> tuple[Panel, FrameFormat, Covariates]:
    data = history() if data is None else data
    covariates = Covariates.learn(data, ROLES)
    return *read_panel(data, covariates=covariates), covariates


def ahead(future: object, data: object = None) -> np.ndarray:
    panel, form, covariates = read_history(data)
    return read_future(future, form, covariates, panel.ids, panel.last_ds, panel.frequency, HORIZON)


def rows() -> pd.DataFrame:
    panel, form, _ = read_history()
    frame = future_frame(form, panel.ids, panel.last_ds, panel.frequency, HORIZON, ["x"])
    return frame.assign(x=np.arange(6.0))


def test_the_frame_to_fill_in_holds_the_rows_to_forecast() -> None:
    frame = rows()
    assert list(frame.columns) == ["unique_id", "ds", "x"]
    assert frame["ds"].tolist() == 2 * pd.date_range("2024-01-09", periods=3, freq="D").tolist()


def test_features_are_those_of_the_history_and_other_roles_are_zero() -> None:
    _, _, covariates = read_history()
    column = covariates.columns[0]
    found = ahead(rows())
    assert found.shape == (2, HORIZON, 2)
    np.testing.assert_allclose(found[..., 0] * column.scale + column.center, [[0, 1, 2], [3, 4, 5]])
    assert not found[..., 1].any()


def test_order_of_rows_other_rows_and_library_do_not_matter() -> None:
    expected = ahead(rows())
    more = pd.concat([history()[["unique_id", "ds", "x", "y"]], rows()])
    np.testing.assert_array_equal(ahead(more), expected)
    np.testing.assert_array_equal(ahead(rows().sort_values(["ds", "unique_id"])), expected)
    np.testing.assert_array_equal(ahead(rows().sample(frac=1.0, random_state=0)), expected)
    unknown_before = more.assign(x=more["x"].where(more["ds"] > "2024-01-08"))
    np.testing.assert_array_equal(ahead(unknown_before), expected)
    np.testing.assert_array_equal(ahead(pl.from_pandas(rows())), expected)
    other = rows().iloc[:HORIZON].assign(unique_id="other")
    np.testing.assert_array_equal(ahead(pd.concat([other, rows()])), expected)


def test_a_wide_frame_needs_no_ids() -> None:
    wide = history(ids="a").drop(columns="unique_id")
    panel, form, covariates = read_history(wide)
    frame = future_frame(form, panel.ids, panel.last_ds, panel.frequency, HORIZON, ["x"])
    assert list(frame.columns) == ["ds", "x"]
    found = read_future(frame.assign(x=1.0), form, covariates, panel.ids, panel.last_ds, panel.frequency, HORIZON)
    assert found.shape == (1, HORIZON, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="x"), "future= has no column 'x'"),
        (lambda f: f.drop(columns="unique_id"), "future= has no column 'unique_id'"),
        (lambda f: f.iloc[:-1], r"rows of series 'b' from 2024-01-09 to 2024-01-11, 3 in all"),
        (lambda f: f.iloc[1:], r"rows of series 'a' from 2024-01-09"),
        (lambda f: f[f["unique_id"] == "a"], r"rows of series 'b'"),
        (lambda f: f.assign(x=[1.0, np.nan, 1, 1, 1, 1]), r"future=, row 1: 'x' is missing"),
        (lambda f: f.drop(index=1), r"rows of series 'a' from 2024-01-09"),
        (lambda f: f.assign(ds=f["ds"].dt.tz_localize("UTC")), r"is in UTC, fit had no time zone"),
        (lambda f: f.assign(ds=f["ds"] + pd.Timedelta("6h")), r"series 'a'"),
    ],
)
def test_errors_say_which_row_or_column_is_missing(change: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ahead(change(rows()))  # type: ignore[operator]


@pytest.mark.parametrize("value", [1e9, 1e300, np.inf])
@pytest.mark.parametrize("form", ["long", "wide", "polars"])
def test_values_of_rows_that_are_not_asked_for_are_not_looked_at(value: float, form: str) -> None:
    whole = history(12, "ab" if form != "wide" else "a")
    known = whole[whole["ds"] < "2024-01-09"]
    strange = whole.assign(x=whole["x"].where((whole["ds"] != "2024-01-03") & (whole["ds"] != "2024-01-12"), value))
    if form == "wide":
        known, whole, strange = (data.drop(columns="unique_id") for data in (known, whole, strange))
    convert = pl.from_pandas if form == "polars" else pd.DataFrame
    np.testing.assert_array_equal(ahead(convert(strange), convert(known)), ahead(convert(whole), convert(known)))
    asked = whole.assign(x=whole["x"].where(whole["ds"] != "2024-01-10", value))
    with pytest.raises(ValueError, match=r"future=, .*row 9: x is "):
        ahead(convert(asked), convert(known))


def test_other_faults_of_rows_that_are_not_asked_for_do_not_matter_either() -> None:
    twice = pd.concat([rows(), history().iloc[[0, 0]]]).drop(columns=["y", "m"])
    between = history().iloc[[1]].assign(ds=pd.Timestamp("2024-01-02 05:00"), x=0.0).drop(columns=["y", "m"])
    words = history().iloc[[1]].assign(x="closed").drop(columns=["y", "m"])
    for more in (twice, pd.concat([rows(), between]), pd.concat([words, rows()])):
        np.testing.assert_array_equal(ahead(more), ahead(rows()))


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a pandas or polars DataFrame, found ndarray"):
        ahead(np.zeros((2, 3)))
