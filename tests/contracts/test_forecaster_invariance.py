"""What must not change a forecast: the order of rows, the library, batch-mates; and NaN never comes out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from series_frames import hourly
from sklearn.base import clone

from titans_seq import TitansForecaster
from titans_seq.estimators import _fitting
from titans_seq.estimators._combination import Combination

SMALL = {
    "horizon": 5, "context_length": 16, "patch_length": 4, "sequence_length": 32, "d_model": 8, "n_layers": 1,
    "n_heads": 2, "chunk_size": 4, "window_size": 4, "n_persistent": 2, "batch_size": 8, "max_epochs": 1,
    "random_state": 0, "verbose": 0,
}  # fmt: skip
LENGTHS = {"b": 140, "a": 161, "c": 97}
READINGS: list[dict[str, Any]] = [
    {}, {"carry_state": False}, {"training_mode": "contiguous"}, {"online_linear": True}, {"variant": "lmm"},
]  # fmt: skip


def make(**options: Any) -> TitansForecaster:
    return TitansForecaster(**{**SMALL, **options})


@pytest.fixture(autouse=True)
def network_has_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever validation thinks of so small a network: else only the linear map would be tested."""
    honest = _fitting._combine

    def combine(*given: Any) -> tuple[Combination, Any]:
        chosen, errors = honest(*given)
        return replace(chosen, weight=0.7, use_spread=True, factor=np.ones(1), dependence=None), errors

    monkeypatch.setattr(_fitting, "_combine", combine)


def by_id(forecast: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: part.iloc[:, 2:].to_numpy() for name, part in forecast.groupby("unique_id")}


def orders(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The same rows in other orders."""
    parts = [part for _, part in frame.groupby("unique_id", sort=False)]
    return {
        "by time": frame.sort_values(["ds", "unique_id"]),
        "series backwards": pd.concat(parts[::-1]),
        "time backwards": frame.iloc[::-1],
        "mixed": frame.sample(frac=1, random_state=0),
    }


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_the_order_of_rows_changes_no_bit_of_a_forecast(options: dict[str, Any]) -> None:
    frame = hourly(LENGTHS, missing=0.05)
    expected = by_id(make(**options).fit(frame).predict(level=[80]))
    for name, other in orders(frame).items():
        forecast = make(**options).fit(other).predict(level=[80])
        assert list(forecast.unique_id.unique()) == list(other.unique_id.unique())
        for series, found in by_id(forecast).items():
            np.testing.assert_array_equal(found, expected[series], err_msg=f"{name}, {series}")


ROLES = {
    "price": "future", "day": "future", "lead": "past", "code": "past", "size": "static", "shop": "static",
}  # fmt: skip


def with_covariates(rows: int, n_series: int = 3) -> pd.DataFrame:
    """Hourly series with numbers and categories of every role; two columns hold 90 categories, each as often."""
    frame = hourly({f"s{(7 * i) % n_series}": rows for i in range(n_series)})
    random, n = np.random.default_rng(5), len(frame)
    frame["price"], frame["lead"] = 1e3 + np.cumsum(random.normal(size=n)), random.normal(size=n) / 3
    frame["day"], frame["code"] = ([f"{kind}{k:02d}" for k in random.permutation(n) % 90] for kind in "dc")
    place = frame.unique_id.map({name: i for i, name in enumerate(frame.unique_id.unique())})
    frame["size"], frame["shop"] = 0.1 + place / 7, place.map("shop {}".format)
    frame["y"] += 0.5 * frame.price - frame.lead + 2 * (frame.day > "d60")
    return frame


def test_the_order_of_rows_changes_no_bit_of_a_forecast_with_covariates() -> None:
    whole = with_covariates(120)
    history, future = whole[whole.groupby("unique_id").cumcount() < 115], whole
    fitted = make(roles=ROLES).fit(history)
    expected = by_id(fitted.predict(future=future, level=[80]))
    other = history.assign(y=history.y + 1)
    elsewhere = by_id(fitted.predict(other, future=future))
    for name, disordered in orders(history).items():
        model = make(roles=ROLES).fit(disordered)
        assert model.validation_score_ == fitted.validation_score_ and model._covariates == fitted._covariates, name
        for series, found in by_id(model.predict(future=future.iloc[::-1], level=[80])).items():
            np.testing.assert_array_equal(found, expected[series], err_msg=f"{name}, {series}")
    mixed = other.sample(frac=1, random_state=1)
    for series, found in by_id(fitted.predict(mixed, future=future)).items():
        np.testing.assert_allclose(found, elsewhere[series], rtol=1e-6)


def test_more_series_than_categories_are_kept_in_any_order() -> None:
    """Static categories that are all as frequent; two orders, for the time it takes."""
    whole = with_covariates(26, n_series=80)
    history = whole[whole.groupby("unique_id").cumcount() < 21]
    by_time = history.sort_values(["ds", "unique_id"])
    one, two = (make(roles=ROLES, context_length=8).fit(some) for some in (history.sort_values("unique_id"), by_time))
    assert one.validation_score_ == two.validation_score_
    found = by_id(two.predict(future=whole))
    for series, expected in by_id(one.predict(future=whole)).items():
        np.testing.assert_array_equal(found[series], expected, err_msg=series)


def test_the_order_of_rows_changes_no_update_no_backtest_and_no_weight() -> None:
    frame = hourly(LENGTHS).assign(weight=lambda f: 0.5 + (f.index % 3))
    history = frame[frame.groupby("unique_id").cumcount(ascending=False) >= 9]
    later = frame.drop(history.index)
    one, two = (make().fit(some, sample_weight="weight") for some in (history, history.iloc[::-1]))
    one, two = one.update(later), two.update(later.sample(frac=1, random_state=2))
    for series, found in by_id(two.predict()).items():
        np.testing.assert_array_equal(found, by_id(one.predict())[series], err_msg=series)
    tested = [f.backtest(some, first_cutoff=60, stride=7).to_frame() for f, some in ((one, frame), (two, frame[::-1]))]
    a, b = (some.sort_values(["unique_id", "cutoff", "ds"], ignore_index=True) for some in tested)
    pd.testing.assert_frame_equal(a, b, rtol=1e-6)


def test_the_order_of_rows_changes_no_surprise_and_no_update() -> None:
    frame = hourly(LENGTHS)
    other = orders(frame)["series backwards"]
    later = hourly({name: n + 9 for name, n in LENGTHS.items()}).groupby("unique_id", sort=False).tail(9)
    one, two = make(online_linear=True).fit(frame), make(online_linear=True).fit(other)
    a, b = (f.surprise(later, start="carried").sort_values(["unique_id", "ds"], ignore_index=True) for f in (one, two))
    pd.testing.assert_frame_equal(a, b, rtol=1e-6)
    one, two = one.update(later), two.update(later)
    for series, found in by_id(two.predict()).items():
        np.testing.assert_allclose(found, by_id(one.predict())[series], rtol=1e-6)


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_the_library_changes_no_bit_of_a_forecast(options: dict[str, Any]) -> None:
    frame = hourly({"0": 120, "1": 120})
    frame["ds"] = np.tile(np.arange(120), 2)
    frame["unique_id"] = frame.unique_id.astype(int)
    expected = make(**options).fit(frame).predict(level=[80]).iloc[:, 2:].to_numpy()
    polars = make(**options).fit(pl.from_pandas(frame)).predict(level=[80])
    np.testing.assert_array_equal(polars.to_numpy()[:, 2:], expected)
    array = make(**options).fit(frame.y.to_numpy().reshape(2, 120)).predict(level=[80])
    np.testing.assert_array_equal(array.reshape(10, 3), expected)
    wide = frame.pivot(index="ds", columns="unique_id", values="y").reset_index()
    for data in (wide, pl.from_pandas(wide.rename(columns=str))):
        out = make(**options).fit(data).predict(level=[80])
        out = pd.DataFrame(out.to_dict(as_series=False)) if isinstance(out, pl.DataFrame) else out
        names = [f"{i}{suffix}" for i in (0, 1) for suffix in ("", "-lo-80", "-hi-80")]
        found = out.rename(columns=str)[names].to_numpy().reshape(5, 2, 3).transpose(1, 0, 2).reshape(10, 3)
        np.testing.assert_array_equal(found, expected)


def far(forecaster: TitansForecaster, X: pd.DataFrame | None = None) -> dict[str, dict[str, np.ndarray]]:
    """What is said of rows beyond the trained horizon, and paths within and beyond it, by series."""
    said = {"far": forecaster.predict(X, level=[80], horizon=17)}
    said |= {f"{rows} rows": forecaster.sample(5, X, horizon=rows, random_state=3) for rows in (4, 17)}
    return {what: by_id(frame) for what, frame in said.items()}


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_the_order_of_series_changes_no_bit_far_ahead_and_of_no_path(options: dict[str, Any]) -> None:
    frame = hourly(LENGTHS, missing=0.05)
    expected = far(make(**options).fit(frame))
    for name in ("by time", "series backwards"):
        for what, found in far(make(**options).fit(orders(frame)[name])).items():
            for series, values in found.items():
                np.testing.assert_array_equal(values, expected[what][series], err_msg=f"{name}, {what}, {series}")


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_batch_mates_change_nothing_far_ahead_and_no_path(options: dict[str, Any]) -> None:
    frame = hourly({f"s{i}": 60 + 7 * i for i in range(5)}, missing=0.05)
    forecaster = make(**options).fit(frame)
    together, spread = far(forecaster, frame), frame.groupby("unique_id").y.std()
    for some in (["s4"], ["s3", "s0"]):
        for what, found in far(forecaster, frame[frame.unique_id.isin(some)]).items():
            for name in some:
                off = np.abs(found[name] - together[what][name]).max()
                assert off <= 1e-6 * spread[name], (what, name, off / spread[name])


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_rows_further_ahead_change_no_row_before_them(options: dict[str, Any]) -> None:
    forecaster = make(**options).fit(hourly(LENGTHS, missing=0.05))
    near, whole = (forecaster.predict(level=[80], horizon=rows) for rows in (17, 31))
    paths = [forecaster.sample(5, horizon=rows, random_state=0).TitansForecaster.to_numpy() for rows in (17, 31)]
    for name, found in by_id(near).items():
        np.testing.assert_array_equal(found, by_id(whole)[name][:17])
    np.testing.assert_array_equal(paths[0].reshape(15, 17), paths[1].reshape(15, 31)[:, :17])


def test_paths_of_series_are_not_alike_and_a_generator_goes_on() -> None:
    forecaster = make(max_epochs=0).fit(hourly(LENGTHS))
    random = np.random.default_rng(0)
    one, again, third = (
        forecaster.sample(50, random_state=r).TitansForecaster.to_numpy().reshape(3, 50, 5)
        for r in (random, random, np.random.default_rng(0))
    )
    ranks = one.argsort(1).argsort(1)
    assert np.abs(np.corrcoef(ranks[..., 0]) - np.eye(3)).max() < 0.6
    assert (one != again).any()
    np.testing.assert_array_equal(one, third)


@pytest.mark.parametrize("options", READINGS, ids=str)
def test_batch_mates_change_a_forecast_by_a_millionth_of_its_scale_at_most(options: dict[str, Any]) -> None:
    lengths = {f"s{i}": 60 + 7 * i for i in range(9)}
    frame = hourly(lengths, missing=0.05)
    forecaster = make(**options).fit(frame)
    together = by_id(forecaster.predict(frame, level=[80]))
    spread = frame.groupby("unique_id").y.std()
    for some in (["s4"], ["s8", "s0"], ["s1", "s2", "s3", "s7"]):
        alone = by_id(forecaster.predict(frame[frame.unique_id.isin(some)], level=[80]))
        for name in some:
            assert np.abs(alone[name] - together[name]).max() <= 1e-6 * spread[name], name


@pytest.fixture(scope="module")
def fitted() -> dict[str, TitansForecaster]:
    frame = hourly({"a": 160, "b": 130}, missing=0.1)
    return {str(options): make(**options).fit(frame) for options in READINGS}


@pytest.mark.parametrize("options", READINGS, ids=str)
@settings(max_examples=12)
@given(data=st.data())
def test_nan_in_never_gives_nan_out(fitted: dict[str, TitansForecaster], options: dict[str, Any], data: Any) -> None:
    n, m = data.draw(st.integers(2, 40), label="rows"), data.draw(st.integers(1, 12), label="new rows")
    seen = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any), label="observed"))
    frame = hourly({"new": n})
    frame["y"] = np.where(seen, frame.y, np.nan)
    forecaster = fitted[str(options)]
    out = forecaster.predict(frame, level=[80])
    assert np.isfinite(out.iloc[:, 2:].to_numpy()).all()
    later = hourly({"a": 160 + m, "b": 130 + m}).groupby("unique_id").tail(m)
    gone = np.array(data.draw(st.lists(st.booleans(), min_size=2 * m, max_size=2 * m), label="missing"))
    later["y"] = np.where(gone, np.nan, later.y)
    updated = copy.deepcopy(forecaster).update(later)
    assert np.isfinite(updated.predict(level=[80]).iloc[:, 2:].to_numpy()).all()


@settings(max_examples=10)
@given(data=st.data())
def test_a_fit_on_series_with_gaps_anywhere_forecasts_numbers(data: Any) -> None:
    share = data.draw(st.sampled_from([0.0, 0.3, 0.7, 0.95]), label="missing")
    lengths = {"a": data.draw(st.integers(12, 90)), "b": data.draw(st.integers(3, 90))}
    frame = hourly(lengths, missing=share, seed=data.draw(st.integers(0, 99)))
    frame.loc[frame.groupby("unique_id").head(1).index, "y"] = 20.0  # a series without any value is refused
    options = {"max_epochs": 0, "context_length": None, "patch_length": None}
    out = make(**options).fit(frame).predict(level=[80])
    assert np.isfinite(out.iloc[:, 2:].to_numpy()).all()


def test_a_clone_of_a_fitted_forecaster_is_not_fitted_and_fits_the_same_bits() -> None:
    frame = hourly({"a": 120, "b": 110})
    forecaster = make().fit(frame, sample_weight={"a": 2.0})
    other = clone(forecaster)
    assert other.get_params() == forecaster.get_params()
    assert not hasattr(other, "linear_")
    again = other.fit(frame, sample_weight={"a": 2.0})
    pd.testing.assert_frame_equal(again.predict(), forecaster.predict(), check_exact=True)
