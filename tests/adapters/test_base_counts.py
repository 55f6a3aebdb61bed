"""Counts of next bases: against a loop over a dictionary, on both strands, however the sequence is cut."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.data import read_sequences

BASES = st.text("ACGTACGTNRacgt", min_size=1, max_size=120)
OPPOSITE = str.maketrans("ACGT", "TGCA")


def codes_of(text: str) -> np.ndarray:
    return read_sequences([text]).codes


def counted_one_by_one(text: str, order: int, both_strands: bool = True) -> np.ndarray:
    """What is known before each base, by a dictionary of strings."""
    text, seen, rows = text.upper(), Counter(), []
    for t, base in enumerate(text):
        context = text[t - order : t] if t >= order else None
        rows.append([seen[context, b] for b in "ACGT"])
        if context is None or not set(context + base) <= set("ACGT"):
            continue
        seen[context, base] += 1
        if both_strands:
            word = (context + base).translate(OPPOSITE)[::-1]
            seen[word[:-1], word[-1]] += 1
    return np.array(rows)


@given(BASES, st.integers(0, 5), st.booleans())
def test_counts_are_those_of_a_loop_over_a_dictionary(text: str, order: int, both: bool) -> None:
    found = BaseCounts(order, both_strands=both).read(codes_of(text))
    assert found.tolist() == counted_one_by_one(text, order, both).tolist()


@settings(max_examples=10)
@given(st.text("ACGT", min_size=60, max_size=120), st.sampled_from([13, 16, 31]))
def test_long_contexts_are_told_apart(text: str, order: int) -> None:
    text = text + "N" + text
    found = BaseCounts(order).read(codes_of(text))
    assert found.tolist() == counted_one_by_one(text, order).tolist()


@given(BASES, st.integers(0, 4), st.integers(1, 119))
def test_a_sequence_read_in_two_pieces_is_the_one_read_whole(text: str, order: int, cut: int) -> None:
    whole, pieces = BaseCounts(order), BaseCounts(order)
    codes = codes_of(text)
    together = np.concatenate([pieces.read(codes[:cut]), pieces.read(codes[cut:])])
    assert together.tolist() == whole.read(codes).tolist()
    assert np.array_equal(pieces.table, whole.table)


def test_a_long_sequence_is_cut_inside_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.random.default_rng(0).integers(0, 4, 1000).astype(np.uint8)
    whole = BaseCounts(3).read(codes)
    monkeypatch.setattr("titans_seq.adapters.base_counts._PIECE", 7)
    assert np.array_equal(BaseCounts(3).read(codes), whole)


def test_both_strands_of_a_sequence_leave_the_same_counts() -> None:
    sequences = read_sequences(["ACGGTNCATTGCAAGG"])
    forward = BaseCounts(3).learn(sequences.codes)
    backward = BaseCounts(3).learn(sequences.reverse_complement().codes)
    assert np.array_equal(forward.table, backward.table)


def test_learning_ahead_and_reading_without_learning() -> None:
    counts = BaseCounts(2).learn(codes_of("ACGACG"))
    table = counts.table.copy()
    first, second = counts.read(codes_of("ACG"), learn=False), counts.copy().read(codes_of("ACGACG"))
    assert np.array_equal(counts.table, table)
    assert first[2].tolist() == [0, 0, 2, 0]
    assert second.sum() > first.sum()


def test_objects_that_share_a_table_have_contexts_of_their_own() -> None:
    counts = BaseCounts(2).learn(codes_of("ACGACG"))
    one, other = counts.share(), counts.share()
    one.read(codes_of("AC"), learn=False)
    assert one.ahead().tolist() == [0, 0, 2, 0]
    assert other.ahead().tolist() == counts.ahead().tolist() == [0, 0, 0, 0]


def test_counts_end_where_their_type_does(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = BaseCounts(11)
    counts.table[0, 0] = 65530
    found = counts.read(np.zeros(30, dtype=np.uint8))
    assert found[-1, 0] == counts.table[0, 0] == 65535


@pytest.mark.parametrize("order", [-1, 32])
def test_an_order_out_of_range_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"order must be from 0 to 31, found {order}"):
        BaseCounts(order)
