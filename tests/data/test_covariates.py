"""Columns of a frame as features of its rows."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data import Covariates, Panel, read_panel


def frame(**columns: object) -> pd.DataFrame:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    return pd.DataFrame({"unique_id": "a", "ds": np.arange(n), "y": np.arange(n) * 1.0, **columns})


def read(data: object, roles: dict[str, str]) -> tuple[Panel, Covariates]:
    covariates = Covariates.learn(data, roles)
    return read_panel(data, covariates=covariates)[0], covariates


def test_numbers_are_standardised_and_missing_ones_count_as_the_mean() -> None:
    panel, covariates = read(frame(price=[1.0, 3.0, np.nan, 5.0]), {"price": "future"})
    assert covariates.n_features == 1
    np.testing.assert_allclose(panel.covariates[:, 0], np.array([-2, 0, 0, 2]) / np.std([1, 3, 5]))


@pytest.mark.parametrize("kind", [list, pd.Categorical])
def test_text_becomes_a_feature_for_each_category(kind: type) -> None:
    panel, covariates = read(frame(day=kind(["b", "a", "b", None])), {"day": "past"})
    assert covariates.columns[0].categories == ("a", "b")
    assert panel.covariates.tolist() == [[0, 1], [1, 0], [0, 1], [0, 0]]


def test_a_category_that_was_not_there_gives_zeros() -> None:
    covariates = Covariates.learn(frame(day=["b", "a"]), {"day": "past"})
    panel, _ = read_panel(frame(day=["c", "a"]), covariates=covariates)
    assert panel.covariates.tolist() == [[0, 0], [1, 0]]


def test_pandas_and_polars_give_the_same_features() -> None:
    data = frame(price=[1.0, 3.0, np.nan], promo=[True, False, True], shop=["x", "x", "x"])
    roles = {"price": "future", "promo": "future", "shop": "static"}
    other = pl.from_pandas(data).with_columns(pl.col("price").fill_nan(None))
    first, second = read(data, roles), read(other, roles)
    np.testing.assert_array_equal(first[0].covariates, second[0].covariates)
    assert first[1] == second[1]


def test_the_order_of_rows_and_gaps_do_not_move_covariates() -> None:
    data = pd.DataFrame({"unique_id": list("abab"), "ds": [0, 0, 1, 1], "y": 1.0, "x": [1.0, 2.0, 3.0, 4.0]})
    covariates = Covariates.learn(data, {"x": "past"})
    raw = read_panel(data, covariates=covariates)[0].covariates[:, 0] * covariates.columns[0].scale + 2.5
    np.testing.assert_allclose(raw, [1, 3, 2, 4])
    gappy = frame(x=[1.0, 2.0, 3.0]).assign(ds=[0, 1, 3])
    covariates = Covariates.learn(gappy, {"x": "past"})
    panel, _ = read_panel(gappy, on_gap="mask", covariates=covariates)
    assert panel.covariates[2, 0] == 0 and not panel.observed[2]


def test_a_wide_frame_gives_its_covariates_to_every_series() -> None:
    data = pd.DataFrame({"ds": [0, 1], "a": [1.0, 2.0], "b": [3.0, 4.0], "x": [5.0, 7.0]})
    panel, _ = read(data, {"x": "future"})
    assert panel.ids == ("a", "b")
    assert panel.covariates[:, 0].tolist() == [-1, 1, -1, 1]


def test_panels_carry_covariates_when_they_are_cut_and_joined() -> None:
    panel, _ = read(frame(x=np.arange(6.0)), {"x": "past"})
    joined = panel.slice_rows(0, 2).concat(panel.slice_rows(2, None))
    assert joined.equals(panel)
    np.testing.assert_array_equal(panel.select([0, 0]).covariates[6:], panel.covariates)
    windows = panel.gather_covariates([0], [-1], 3)
    np.testing.assert_array_equal(windows[0, :, 0], [0, *panel.covariates[:2, 0]])


def test_what_was_learned_survives_json() -> None:
    _, covariates = read(frame(x=[1.0, 2.0], b=[True, False], c=["u", "v"]), {"x": "past", "b": "future", "c": "past"})
    assert Covariates.from_dict(json.loads(json.dumps(covariates.to_dict()))) == covariates


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=2, max_size=20))
def test_features_are_always_finite(values: list[float | None]) -> None:
    data = frame(x=pd.Series(values, dtype=float))
    if data["x"].notna().any():
        assert np.isfinite(read(data, {"x": "past"})[0].covariates).all()


def orders(data: pd.DataFrame) -> list[pd.DataFrame]:
    """The same rows by time, backwards and shuffled."""
    return [
        data.sort_values(["ds", "unique_id"]),
        data.iloc[::-1],
        *(data.sample(frac=1, random_state=i) for i in (0, 1)),
    ]


@pytest.mark.parametrize("role", ["past", "future", "static"])
def test_which_of_too_many_categories_are_kept_does_not_depend_on_the_order_of_rows(role: str) -> None:
    n = 90
    data = pd.DataFrame({"unique_id": np.repeat([f"s{i}" for i in range(n)], 2), "ds": np.tile([0, 1], n), "y": 1.0})
    data["c"] = [f"k{(7 * i) % n:02d}" for i in range(n) for _ in range(2)]
    data = pd.concat([data, data[data["c"] == "k89"].assign(unique_id="more")])
    found = [Covariates.learn(some, {"c": role}).columns[0].categories for some in (data, *orders(data))]
    assert found[0] == (*(f"k{i:02d}" for i in range(63)), "k89")
    assert all(one == found[0] for one in found)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.from_pandas])
def test_what_is_learned_of_numbers_has_the_same_bits_for_any_order_of_rows(library: Any) -> None:
    random = np.random.default_rng(0)
    data = pd.DataFrame({"unique_id": np.repeat(list("abc"), 500), "ds": np.tile(np.arange(500), 3), "y": 1.0})
    data["x"] = 1e3 + random.normal(size=1500) * np.repeat([1e-3, 1.0, 1e3], 500)
    data.loc[3, "x"] = np.nan
    found = {Covariates.learn(library(some), {"x": "past"}) for some in (data, *orders(data))}
    assert len(found) == 1


@pytest.mark.parametrize("values", [[None, True, False, True], [np.nan, True, False, True], [1, "1-5", "6+", "6+"]])
def test_whether_objects_are_categories_does_not_depend_on_which_comes_first(values: list[object]) -> None:
    found = {
        Covariates.learn(frame(c=pd.Series(some, dtype=object)), {"c": "past"})
        for some in (values, values[::-1], [*values[1:], values[0]])
    }
    assert len(found) == 1 and not next(iter(found)).columns[0].is_number


def test_a_word_among_numbers_is_named_wherever_it_stands() -> None:
    for values in ([1.0, 2.0, 3.0, "soon"], ["soon", 1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match=rf"row {values.index('soon')}: x is 'soon', which is not a number"):
            Covariates.learn(frame(x=pd.Series(values, dtype=object)), {"x": "past"})


def test_what_is_the_same_everywhere_says_nothing() -> None:
    panel, covariates = read(frame(x=[2.0, 2.0], c=["u", "u"], d=["v", None]), {"x": "past", "c": "past", "d": "past"})
    assert covariates.n_features == 1
    assert panel.covariates.tolist() == [[1], [0]]
    assert read_panel(frame(x=[9.0, 1.0], c=["w", "u"], d=["v", "v"]), covariates=covariates)[0].covariates.all()


def test_a_missing_static_value_counts_as_none() -> None:
    panel, _ = read(
        pd.concat([frame(shop=["p", None, "p"]), frame(shop=["q", "q", "q"]).assign(unique_id="b")]), {"shop": "static"}
    )
    assert panel.covariates.tolist() == [[1, 0], [0, 0], [1, 0], [0, 1], [0, 1], [0, 1]]


def test_text_in_place_of_booleans_is_refused() -> None:
    covariates = Covariates.learn(frame(promo=[True, False]), {"promo": "future"})
    with pytest.raises(ValueError, match=r"series 'a', row 1: promo is 'True', fit had False, True"):
        read_panel(frame(promo=[True, "True"]), covariates=covariates)
    with pytest.raises(TypeError, match=r"column 'k' holds Timestamp.*\.astype\(str\)"):
        Covariates.learn(frame(k=pd.Categorical(pd.date_range("2024-01-01", periods=2))), {"k": "past"})


def test_errors_name_column_series_and_row() -> None:
    data = frame(price=[1.0, 2.0], shop=["x", "y"])
    with pytest.raises(ValueError, match=r"no column 'prise'.*did you mean 'price'"):
        Covariates.learn(data, {"prise": "past"})
    with pytest.raises(ValueError, match=r"'price' has role 'known'"):
        Covariates.learn(data, {"price": "known"})
    with pytest.raises(ValueError, match=r"series 'a', row 1: static column 'shop' is 'y', in row 0 it was 'x'"):
        read(data, {"shop": "static"})
    with pytest.raises(ValueError, match=r"series 'a', row 1: price is inf"):
        read_panel(frame(price=[1.0, np.inf]), covariates=Covariates.learn(data, {"price": "past"}))
    with pytest.raises(TypeError, match="ndarray"):
        Covariates.learn(np.zeros((2, 3)), {"price": "past"})
    with pytest.raises(ValueError, match="holds no value"):
        Covariates.learn(frame(x=[np.nan, np.nan]), {"x": "past"})
