"""How often k-mers occur, against counting strings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from titans_seq.data import read_sequences
from titans_seq.data.sequences import _kmers
from titans_seq.data.sequences._kmers import different_kmers, kmer_counts
from titans_seq.data.sequences.alphabet import _STANDS_FOR

TEXTS = ["ACGTTGCA", "ACGNTGCA", "N", "AC", "acgtacgt", "RACGTYAA", "ABnCGYrTVV"]


def number(kmer: str) -> int:
    return sum("ACGT".index(base) * 4 ** (len(kmer) - 1 - j) for j, base in enumerate(kmer))


def kmers_of(text: str, k: int) -> list[tuple[int, int, float]]:
    """Numbers and places of the k-mers without N, and the share of each reading of those with other codes."""
    found = []
    for at in range(len(text) - k + 1):
        piece = text[at : at + k].upper()
        if "N" not in piece:
            readings = list(itertools.product(*(_STANDS_FOR[letter] for letter in piece)))
            found += [(number("".join(reading)), at, 1 / len(readings)) for reading in readings]
    return found


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
            for kmer, _, share in kmers_of(strand, k):
                expected[kmer] += share / len(strands)
        np.testing.assert_allclose(found[row], expected, rtol=1e-14)
        np.testing.assert_allclose(some.toarray()[row], expected[numbers], rtol=1e-14)
    assert set(numbers) == set(np.flatnonzero(found.sum(0)))


@pytest.mark.parametrize("both", [False, True])
def test_places_are_told_apart_where_sequences_have_one_length(both: bool) -> None:
    texts, k = ["ACGTTGCA", "ACGNTGCA", "ACRNTSCA"], 3
    found = kmer_counts(read_sequences(texts), k, 8, both_strands=both).toarray()
    for row, text in enumerate(texts):
        expected = np.zeros((6, 4**k))
        for strand in [text, turned(text)] if both else [text]:
            for kmer, at, share in kmers_of(strand, k):
                expected[at, kmer] += share / (2 if both else 1)
        np.testing.assert_allclose(found[row], expected.ravel(), rtol=1e-14)


def test_where_there_is_nothing_there_are_no_kmers() -> None:
    numbers, counts = different_kmers(read_sequences(["N", "NN"]), 4)
    assert len(numbers) == 0 and counts.shape == (2, 0)


@pytest.mark.parametrize("both", [False, True])
def test_what_may_be_too_much_counts_nothing(both: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kmers, "_MOST_READINGS", 4)
    texts, fewer = ["ACGTRYAABBACGT"], ["ACGTRYAANNACGT"]
    found, left = (kmer_counts(read_sequences(x), 4, both_strands=both).toarray() for x in (texts, fewer))
    assert (found >= left).all() and found.sum() == pytest.approx(left.sum() + 1), "BACG alone is clear enough"
