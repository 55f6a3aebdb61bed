"""Covariates as users have them: huge, empty, constant, of odd types, and frames of rows to forecast in disorder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from covariate_frames import ROLES, after, before, moved_by_covariates

from titans_seq import TitansForecaster

HORIZON, CUT = 6, 120
Change = Callable[[pd.DataFrame], Any]


def build(roles: dict[str, str]) -> TitansForecaster:
    return TitansForecaster(HORIZON, context_length=16, patch_length=4, max_epochs=0, random_state=0, roles=roles)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return moved_by_covariates(rows=CUT + 2 * HORIZON)


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> TitansForecaster:
    return build(ROLES).fit(before(frame, CUT))


def forecast_of(model: TitansForecaster, **given: Any) -> np.ndarray:
    found = model.predict(level=[80], **given)
    return found.drop(columns=["unique_id", "ds"]).to_numpy()


def put(frame: pd.DataFrame, column: str, row: int, value: object) -> pd.DataFrame:
    changed = frame.reset_index(drop=True)
    changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize("value", [1e300, -1e300, 1e30, np.inf])
@pytest.mark.parametrize("column", ["price", "lead"])
def test_a_number_that_is_beyond_use_is_refused_by_column_and_row(
    frame: pd.DataFrame, fitted: TitansForecaster, column: str, value: float
) -> None:
    history, ahead = before(frame, CUT), after(frame, CUT, HORIZON)
    words = rf"series 's0', row 115: {column} is {value:g}".replace("+", r"\+")
    with pytest.raises(ValueError, match=words):
        fitted.predict(put(history, column, 115, value), future=ahead)
    if abs(value) > 1e100:
        with pytest.raises(ValueError, match=rf"row 115: {column} is".replace("+", r"\+")):
            build(ROLES).fit(put(history, column, 115, value))
    else:
        assert np.isfinite(forecast_of(build(ROLES).fit(put(history, column, 115, value)), future=ahead)).all()
    if column == "price":
        disordered = put(ahead, "price", 2, value).iloc[::-1]  # row 2 of 18 is now row 15
        with pytest.raises(ValueError, match=r"future=, series 's0', row 15: price is"):
            fitted.predict(future=disordered)


@pytest.mark.parametrize("value", [1e9, 1e7, -1e8])
def test_a_static_value_far_from_all_others_is_refused(
    frame: pd.DataFrame, fitted: TitansForecaster, value: float
) -> None:
    with pytest.raises(ValueError, match=r"series 's0', row 0: size is .* more than 1e\+06 standard deviations"):
        fitted.predict(before(frame, CUT).assign(size=value), future=after(frame, CUT, HORIZON))


@pytest.mark.parametrize("column", ["lead", "kind"])
def test_a_column_without_a_value_is_refused_in_fit_and_read_as_nothing_later(
    frame: pd.DataFrame, fitted: TitansForecaster, column: str
) -> None:
    history, ahead = before(frame, CUT), after(frame, CUT, HORIZON)
    with pytest.raises(ValueError, match=rf"column '{column}' .*leave it out of roles="):
        build(ROLES).fit(history.assign(**{column: None}))
    assert np.isfinite(forecast_of(fitted, X=history.assign(**{column: None}), future=ahead)).all()


def test_constant_columns_change_nothing(frame: pd.DataFrame) -> None:
    history, ahead = before(frame, CUT), after(frame, CUT, HORIZON)
    constant = {"price": 9.99, "promo": True, "lead": 0.0, "size": 2.0, "kind": "x"}
    expected = build({}).fit(history).predict(level=[80])
    found = build(ROLES).fit(history.assign(**constant)).predict(future=ahead.assign(price=1e300), level=[80])
    np.testing.assert_array_equal(found["TitansForecaster"], expected["TitansForecaster"])


def test_a_category_that_fit_did_not_see_counts_as_none(frame: pd.DataFrame, fitted: TitansForecaster) -> None:
    history, ahead = before(frame, CUT), after(frame, CUT, HORIZON)
    new, none = (forecast_of(fitted, X=history.assign(kind=k), future=ahead) for k in ("never seen", None))
    np.testing.assert_array_equal(new, none)
    days = build({"day": "future"}).fit(history.assign(day=history["ds"].dt.day_name()))
    assert np.isfinite(forecast_of(days, future=ahead.assign(day="Blursday"))).all()


@pytest.mark.parametrize("kind", ["boolean", "int64", "float64", "object"])
def test_booleans_of_any_type_are_the_same_covariate(frame: pd.DataFrame, fitted: TitansForecaster, kind: str) -> None:
    ahead = after(frame, CUT, HORIZON)
    found = forecast_of(fitted, future=ahead.assign(promo=ahead["promo"].astype(kind)))
    np.testing.assert_array_equal(found, forecast_of(fitted, future=ahead))


@pytest.mark.parametrize(
    "make_dates",
    [
        lambda ds: ds,
        lambda ds: ds.dt.date,
        lambda ds: ds.dt.to_period("D"),
        lambda ds: ds - ds.min(),
        lambda ds: ds.dt.tz_localize("UTC"),
    ],
)
def test_dates_are_no_covariate_and_the_message_says_what_is(
    frame: pd.DataFrame, make_dates: Callable[[pd.Series], pd.Series]
) -> None:
    with pytest.raises(TypeError, match="column 'when' holds dates or times; make of them what counts"):
        build({"when": "past"}).fit(before(frame, CUT).assign(when=make_dates(before(frame, CUT)["ds"])))


@pytest.mark.parametrize(
    "name", ["TitansForecaster", "TitansForecaster-lo-80", "sample", "index", "cutoff", "surprise"]
)
def test_a_covariate_may_bear_the_name_of_an_output_column(frame: pd.DataFrame, name: str) -> None:
    data = frame.rename(columns={"price": name})
    expected = forecast_of(build({"price": "future"}).fit(before(frame, CUT)), future=after(frame, CUT, HORIZON))
    model = build({name: "future"}).fit(before(data, CUT))
    np.testing.assert_array_equal(forecast_of(model, future=after(data, CUT, HORIZON)), expected)
    assert list(model.make_future_frame().columns) == ["unique_id", "ds", name]
    judged = model.surprise(data, start="fresh")
    assert list(judged.columns)[:4] == ["unique_id", "ds", "y", "TitansForecaster"]


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.iloc[::-1],
        lambda f: f.sample(frac=1.0, random_state=3),
        lambda f: pd.concat([f, f.assign(unique_id="other")]),
        lambda f: f.set_index("ds"),
        lambda f: f.set_index(np.arange(len(f)) % 2),
        lambda f: f.assign(ds=f["ds"].astype(str)),
        lambda f: pl.from_pandas(f).sample(fraction=1.0, shuffle=True, seed=1),
    ],
)
def test_rows_to_forecast_in_any_order_and_form_are_the_same(
    frame: pd.DataFrame, fitted: TitansForecaster, change: Change
) -> None:
    ahead = after(frame, CUT, HORIZON)
    np.testing.assert_array_equal(forecast_of(fitted, future=change(ahead)), forecast_of(fitted, future=ahead))


def test_more_rows_than_are_forecast_do_not_matter(frame: pd.DataFrame, fitted: TitansForecaster) -> None:
    found = forecast_of(fitted, future=frame)
    np.testing.assert_array_equal(found, forecast_of(fitted, future=after(frame, CUT, HORIZON)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.iloc[:0], "future= is empty"),
        (lambda f: f.drop(index=f.index[3]), r"rows of series 's0' from 2024-04-30 to 2024-05-05, 6 in all"),
        (lambda f: f[f["unique_id"] != "s1"], r"rows of series 's1'"),
        (
            lambda f: pd.concat([f.iloc[::-1], f.iloc[:1]]),
            r"'s0', row 18: ds 2024-04-30 is there twice .*row 17",
        ),
        (lambda f: f.assign(ds=f["ds"].dt.tz_localize("Europe/Berlin")), r"in Europe/Berlin, fit had no time zone"),
        (lambda f: f.assign(ds=f["ds"] + pd.Timedelta("1h")), r"series 's0'.* not a whole number of steps"),
        (lambda f: f.assign(ds=np.arange(len(f))), r"future=, .*ds holds integers"),
        (lambda f: f.assign(unique_id=1), r"future= holds no row of the series to forecast"),
    ],
)
def test_rows_to_forecast_that_do_not_fit_are_named(
    frame: pd.DataFrame, fitted: TitansForecaster, change: Change, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        fitted.predict(future=change(after(frame, CUT, HORIZON)))


@pytest.mark.parametrize("alias", ["B", "ME", "BME", "BMS", "BQE", "W-WED", "2W-SUN", "QE-FEB", "YE"])
def test_rows_to_forecast_stand_where_pandas_puts_them(alias: str) -> None:
    ds = pd.date_range("2001-02-04", periods=60 + HORIZON, freq=alias)
    random = np.random.default_rng(0)
    x = random.normal(size=len(ds))
    frame = pd.DataFrame({"unique_id": "a", "ds": ds, "y": 2 * x + 0.1 * random.normal(size=len(ds)), "x": x})
    model = build({"x": "future"}).fit(frame.iloc[:60])
    assert list(model.make_future_frame()["ds"]) == list(ds[60:])
    found = model.predict(future=frame.iloc[60:])
    assert np.abs(found["TitansForecaster"] - frame["y"].to_numpy()[60:]).max() < 1.0
    with pytest.raises(ValueError, match="series 'a'"):
        model.predict(future=frame.iloc[60:].assign(ds=frame["ds"].iloc[60:] + pd.Timedelta("1D")))
