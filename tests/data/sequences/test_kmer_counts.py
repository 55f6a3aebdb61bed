"""How often k-mers occur, against counting strings."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from titans_seq.data import read_sequences
from titans_seq.data.sequences import _kmers
from titans_seq.data.sequences._kmers import different_kmers, kmer_counts

TEXTS = ["ACGTTGCA", "ACGNTGCA", "N", "AC", "acgtacgt", "RACGTYAA"]


def number(kmer: str) -> int:
    return sum("ACGT".index(base) * 4 ** (len(kmer) - 1 - j) for j, base in enumerate(kmer))


def kmers_of(text: str, k: int) -> list[tuple[int, int]]:
    """Numbers and places of the k-mers of plain bases."""
    pieces = [(text[at : at + k].upper(), at) for at in range(len(text) - k + 1)]
    return [(number(piece), at) for piece, at in pieces if set(piece) <= set("ACGT")]


def turned(text: str) -> str:
    return str(read_sequences([text]).reverse_complement()[0])


@pytest.mark.parametrize("k", [1, 3, 4])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("at_once", [3, 4_000_000])
def test_counts_are_those_of_the_strings(k: int, both: bool, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kmers, "_BASES", at_once)
    found = kmer_counts(read_sequences(TEXTS), k, both_strands=both).toarray()
    numbers, some = different_kmers(read_sequences(TEXTS), k, both_strands=both)
    for row, text in enumerate(TEXTS):
        strands = [text, turned(text)] if both else [text]
        expected = np.zeros(4**k)
        for strand in strands:
            for kmer, n in Counter(kmer for kmer, _ in kmers_of(strand, k)).items():
                expected[kmer] += n / len(strands)
        np.testing.assert_array_equal(found[row], expected)
        np.testing.assert_array_equal(some.toarray()[row], expected[numbers])
    assert set(numbers) == set(np.flatnonzero(found.sum(0)))


@pytest.mark.parametrize("both", [False, True])
def test_places_are_told_apart_where_sequences_have_one_length(both: bool) -> None:
    texts, k = ["ACGTTGCA", "ACGNTGCA"], 3
    found = kmer_counts(read_sequences(texts), k, 8, both_strands=both).toarray()
    for row, text in enumerate(texts):
        expected = np.zeros((6, 4**k))
        for strand in [text, turned(text)] if both else [text]:
            for kmer, at in kmers_of(strand, k):
                expected[at, kmer] += 0.5 if both else 1
        np.testing.assert_array_equal(found[row], expected.ravel())


def test_where_there_is_nothing_there_are_no_kmers() -> None:
    numbers, counts = different_kmers(read_sequences(["N", "NN"]), 4)
    assert len(numbers) == 0 and counts.shape == (2, 0)
