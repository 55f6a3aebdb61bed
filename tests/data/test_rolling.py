"""Folds over time: which rows they hold, of frames of every form."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from titans_seq.data import RollingOrigin


def long(*lengths, interleaved=False, last="2024-06-30"):
    frame = pd.concat(
        pd.DataFrame({"unique_id": f"s{i}", "ds": pd.date_range(end=last, periods=n, freq="D"), "y": np.arange(n)})
        for i, n in enumerate(lengths)
    )
    return frame.sort_values("ds" if interleaved else ["unique_id", "ds"], kind="stable", ignore_index=True)


def rows_by_series(frame, folds):
    """Return the rows that each fold tests, by series."""
    return [frame.iloc[test].groupby("unique_id").y.apply(list).to_dict() for _, test in folds]


def test_each_fold_tests_the_rows_after_those_it_trains_on():
    folds = list(RollingOrigin(horizon=3, n_splits=3, stride=2).split(np.arange(20.0)))
    assert [train.tolist() for train, _ in folds] == [list(range(n)) for n in (13, 15, 17)]
    assert [test.tolist() for _, test in folds] == [[13, 14, 15], [15, 16, 17], [17, 18, 19]]


def test_folds_of_one_series_are_those_of_the_splitter_of_scikit_learn():
    X = np.arange(40.0)
    theirs = TimeSeriesSplit(n_splits=4, test_size=5, max_train_size=12).split(X)
    ours = RollingOrigin(horizon=5, n_splits=4, max_train_size=12).split(X)
    for (train, test), (their_train, their_test) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(train, their_train)
        np.testing.assert_array_equal(test, their_test)


@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=4),
    horizon=st.integers(1, 5),
    n_splits=st.integers(1, 4),
    stride=st.integers(1, 7),
    least=st.integers(1, 4),
    most=st.none() | st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_in_every_series_a_fold_trains_on_the_past_and_tests_what_follows(
    lengths, horizon, n_splits, stride, least, most, seed
):
    frame = long(*lengths).sample(frac=1, random_state=seed, ignore_index=True)  # in any order of rows
    cv = RollingOrigin(horizon, n_splits, stride, least, most)
    if max(lengths) < horizon + (n_splits - 1) * stride + least:
        with pytest.raises(ValueError, match=f"{n_splits} splits need a series of"):
            list(cv.split(frame))
        return
    folds = list(cv.split(frame))
    assert len(folds) == cv.get_n_splits(frame) == n_splits
    for k, (train, test) in enumerate(folds):
        assert (np.diff(train) > 0).all()
        assert (np.diff(test) > 0).all()
        left = (n_splits - 1 - k) * stride
        for i, n in enumerate(lengths):
            past = sorted(frame.y[train][frame.unique_id[train] == f"s{i}"])
            future = sorted(frame.y[test][frame.unique_id[test] == f"s{i}"])
            cut = n - left - horizon
            taking_part = cut >= least
            begin = 0 if most is None else max(0, cut - most)
            assert past == (list(range(begin, cut)) if taking_part else [])
            assert future == (list(range(cut, cut + horizon)) if taking_part else [])


def test_series_that_end_earlier_are_tested_on_their_own_last_rows():
    frame = pd.concat([long(30), long(20, last="2023-01-01").replace("s0", "old")], ignore_index=True)
    assert rows_by_series(frame, RollingOrigin(2, n_splits=2).split(frame)) == [
        {"old": [16, 17], "s0": [26, 27]},
        {"old": [18, 19], "s0": [28, 29]},
    ]


def test_a_series_too_short_for_a_fold_is_left_out_of_it():
    frame = long(30, 8)
    folds = list(RollingOrigin(2, n_splits=3).split(frame))
    assert [list(found) for found in rows_by_series(frame, folds)] == [["s0"], ["s0", "s1"], ["s0", "s1"]]
    assert frame.unique_id[folds[0][0]].unique().tolist() == ["s0"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("interleaved", [False, True])
def test_long_and_wide_frames_of_either_library_are_split_at_the_same_times(library, interleaved):
    frame = long(12, 12, interleaved=interleaved)
    wide = frame.pivot(index="ds", columns="unique_id", values="y")
    cv = RollingOrigin(3, n_splits=2)
    expected = [set(wide.index[test]) for _, test in cv.split(np.arange(12))]
    native = pl.from_pandas if library == "polars" else lambda data: data
    for data in (frame, wide.reset_index()):
        assert [set(data.ds.iloc[test]) for _, test in cv.split(native(data))] == expected
    if library == "pandas":
        assert [set(wide.index[test]) for _, test in cv.split(wide)] == expected
        assert [set(wide.index[test]) for _, test in cv.split(wide["s0"])] == expected


def test_other_column_names_can_be_given():
    frame = long(12, 9).rename(columns={"unique_id": "shop", "ds": "day"})
    folds = RollingOrigin(2, n_splits=1, id_col="shop", time_col="day").split(frame)
    assert frame.y.iloc[next(folds)[1]].tolist() == [10, 11, 7, 8]


def test_a_splitter_is_a_value():
    cv = RollingOrigin(3, stride=2)
    assert copy.deepcopy(cv) == cv
    assert eval(repr(cv)) == cv
    assert cv.get_n_splits() == 5


@pytest.mark.parametrize(
    ("options", "X", "error", "words"),
    [
        ({"horizon": 0}, np.zeros(9), ValueError, "horizon must be at least 1, got 0"),
        ({"n_splits": 0}, np.zeros(9), ValueError, "n_splits must be at least 1, got 0"),
        ({"stride": -1}, np.zeros(9), ValueError, "stride must be at least 1, got -1"),
        ({"horizon": 2.5}, np.zeros(9), TypeError, "horizon must be an integer, got 2.5"),
        ({}, np.zeros(9), ValueError, r"5 splits need a series of 13 rows \(3 to train on, .* the longest has 9"),
        ({}, np.zeros((2, 9)), ValueError, r"here of shape \(2, 9\), are series.*pd.DataFrame\(X.T\)"),
        ({}, np.zeros((9, 1)), ValueError, "are series"),
        ({}, np.zeros((2, 9, 1)), ValueError, r"the array has shape \(2, 9, 1\); it must be \(time,\)"),
        ({}, np.zeros(0), ValueError, r"the array has shape \(0,\)"),
        ({}, [{"start": 0, "target": [1]}], TypeError, "got list; for GluonTS datasets there is gluonts.dataset.split"),
        ({}, pd.DataFrame({"day": [1]}), ValueError, "the frame has no column 'ds'"),
        ({}, long(12).iloc[:0], ValueError, "the frame is empty"),
        ({}, long(12).assign(ds=None), ValueError, "row 0: ds is missing"),
    ],
)
def test_what_cannot_be_split_is_refused(options, X, error, words):
    with pytest.raises(error, match=words):
        next(RollingOrigin(**{"horizon": 2, **options}).split(X))


def test_the_advice_for_arrays_works():
    X = np.arange(24.0).reshape(2, 12)
    frame = pd.DataFrame(X.T).assign(ds=np.arange(X.shape[1]))
    train, test = next(RollingOrigin(2, n_splits=1).split(frame))
    np.testing.assert_array_equal(frame.iloc[test][[0, 1]].to_numpy().T, X[:, 10:])
