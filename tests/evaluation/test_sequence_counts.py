"""Counts of k-mers and one-hot places, against counting by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data import read_sequences
from titans_seq.evaluation import kmer_counts, position_one_hot

strings = st.lists(st.text("ACGTNacgtR", min_size=1, max_size=14), min_size=1, max_size=5)


def counted(text: str, k: int) -> list[int]:
    """Every k-mer of one string, as slowly as can be."""
    words = [text.upper()[i : i + k] for i in range(len(text) - k + 1)]
    return [words.count("".join(word)) for word in product("ACGT", repeat=k)]


@given(strings, st.integers(1, 4))
def test_counts_are_those_of_every_string_on_its_own(texts: list[str], k: int) -> None:
    found = kmer_counts(read_sequences(texts), k).toarray()
    np.testing.assert_array_equal(found, [counted(text, k) for text in texts])


@given(strings, st.integers(1, 4))
def test_counts_of_both_strands_add_the_opposite_one(texts: list[str], k: int) -> None:
    sequences = read_sequences(texts)
    turned = sequences.reverse_complement()
    both = kmer_counts(sequences, k, both_strands=True)
    np.testing.assert_array_equal(both.toarray(), (kmer_counts(sequences, k) + kmer_counts(turned, k)).toarray())
    np.testing.assert_array_equal(both.toarray(), kmer_counts(turned, k, both_strands=True).toarray())


def test_sequences_shorter_than_k_have_no_kmers() -> None:
    assert kmer_counts(read_sequences(["AC", "ACG"]), 4).nnz == 0


@pytest.mark.parametrize("k", [0, 11])
def test_k_has_bounds(k: int) -> None:
    with pytest.raises(ValueError, match=f"k must be from 1 to 10, got {k}"):
        kmer_counts(read_sequences(["ACGT"]), k)


def test_places_are_one_hot_and_ambiguous_codes_are_shares() -> None:
    found = position_one_hot(read_sequences(["AcN", "TRG"])).toarray()
    np.testing.assert_array_equal(
        found,
        [[1, 0, 0, 0, 0, 1, 0, 0, 0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1, 0.5, 0, 0.5, 0, 0, 0, 1, 0]],
    )


def test_places_need_one_length() -> None:
    with pytest.raises(ValueError, match="sequence 1 '1' has 3 bases, the first one 2"):
        position_one_hot(read_sequences(["AC", "ACG"]))
