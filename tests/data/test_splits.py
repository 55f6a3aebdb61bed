"""Splits by row counts and rolling cut-offs."""

from __future__ import annotations

import numpy as np
import pytest

from titans_seq.data import cutoffs, read_panel, split_rows


def panel(*lengths):
    values = np.full((len(lengths), max(lengths)), np.nan)
    for row, length in zip(values, lengths, strict=True):
        row[:length] = np.arange(length)
    return read_panel(values)[0]


def test_the_three_parts_follow_one_another_and_the_rest_is_dropped():
    whole = panel(12, 12)
    train, validation, test = split_rows(whole, (5, 3, 2))
    assert [part.lengths.tolist() for part in (train, validation, test)] == [[5, 5], [3, 3], [2, 2]]
    assert test.series(1)[0].tolist() == [8, 9]
    assert test.origins.tolist() == [8, 8]
    assert train.concat(validation).concat(test).equals(whole.slice_rows(0, 10))


def test_validation_and_test_may_be_empty():
    assert [part.lengths[0] for part in split_rows(panel(6), (6, 0, 0))] == [6, 0, 0]


def test_a_short_series_is_named():
    with pytest.raises(ValueError, match=r"series 0 has 9 rows; the split 5 \+ 3 \+ 2 needs 10"):
        split_rows(panel(9), (5, 3, 2))


@pytest.mark.parametrize("sizes", [(0, 1, 1), (5, -1, 1), (5, 1), (5.5, 1, 1)])
def test_sizes_that_are_no_counts_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes must be three row counts"):
        split_rows(panel(12), sizes)


def test_ett_has_2785_test_windows_at_stride_one():
    found = cutoffs(14_400, 96, 8_640 + 2_880)
    assert (len(found), found[0], found[-1]) == (2_785, 11_520, 14_304)


def test_stride_and_last_thin_the_cutoffs():
    assert cutoffs(30, 5, 10, stride=4).tolist() == [10, 14, 18, 22]
    assert cutoffs(30, 5, 10, stride=4, last=18).tolist() == [10, 14, 18]
    assert cutoffs(30, 5, 25).tolist() == [25]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((30, 0, 10), "horizon must be at least 1"),
        ((30, 5, -1), "first must be at least 0"),
        ((30, 5, 10, 0), "stride must be at least 1"),
        ((30, 5, 10, 1, 26), "last cut-off 26 leaves less than horizon 5 of 30 rows; use at most 25"),
        ((30, 5, 26), "no cut-off fits 30 rows: the first is 26 and the last possible 25"),
    ],
)
def test_impossible_cutoffs_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        cutoffs(*arguments)
