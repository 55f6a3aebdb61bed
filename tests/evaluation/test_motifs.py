"""Motifs are found where they were planted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from titans_seq.evaluation.motif_plots import draw_motifs
from titans_seq.evaluation.motifs import Motif, find_motifs

FloatArray = NDArray[np.float64]
FIRST, SECOND = "TGACTCAG", "CCGGAAGT"


def one_hot(text: str) -> FloatArray:
    return np.eye(4)[["ACGT".index(letter) for letter in text]]


def opposite(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def planted(
    words: list[str], n: int = 30, length: int = 80, noise: float = 0.05
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Random sequences with one of the words in each, whose bases alone matter; and what each base adds."""
    random = np.random.default_rng(0)
    bases, attributions = [], []
    for i in range(n):
        word = words[i % len(words)]
        at = int(random.integers(0, length - len(word) + 1))
        text = "".join(random.choice(list("ACGT"), length))
        values = noise * random.normal(size=length)
        values[at : at + len(word)] += 1.0
        bases.append(one_hot(text[:at] + word + text[at + len(word) :]))
        attributions.append(values)
    return bases, attributions


def test_a_planted_word_is_the_motif() -> None:
    (motif, *rest) = find_motifs(*planted([FIRST]))
    assert motif.consensus == FIRST
    assert motif.n_sequences == 30
    assert motif.attribution == pytest.approx(len(FIRST), abs=0.5)
    assert not rest
    assert motif.information.min() > 1.5


def test_two_words_are_two_motifs() -> None:
    found = find_motifs(*planted([FIRST, SECOND], n=40))
    assert {motif.consensus for motif in found} == {FIRST, SECOND}
    assert [motif.n_sequences for motif in found] == [20, 20]


def test_both_strands_are_one_motif_only_where_both_are_read() -> None:
    data = planted([SECOND, opposite(SECOND)], n=40)
    (one,) = find_motifs(*data, both_strands=True)
    assert one.n_sequences == 40
    assert one.consensus in (SECOND, opposite(SECOND))
    assert {motif.consensus for motif in find_motifs(*data)} == {SECOND, opposite(SECOND)}


def test_noise_holds_no_motif() -> None:
    random = np.random.default_rng(1)
    bases = [one_hot("".join(random.choice(list("ACGT"), 80))) for _ in range(40)]
    assert find_motifs(bases, [random.normal(size=80) for _ in bases]) == []


@pytest.mark.parametrize("lengths", [[], [5] * 6, [12] * 6])
def test_few_and_short_sequences_are_no_fault(lengths: list[int]) -> None:
    bases = [one_hot("ACGTACGTACGT"[:n]) for n in lengths]
    found = find_motifs(bases, [np.ones(n) for n in lengths])
    assert all(isinstance(motif, Motif) for motif in found)
    assert bool(found) == (lengths == [12] * 6)


def test_bases_that_speak_against_are_no_motif() -> None:
    bases, values = planted([FIRST])
    assert find_motifs(bases, [-np.abs(one) for one in values]) == []


def test_letters_of_a_logo_are_stacked_to_their_bits() -> None:
    motif = Motif(np.array([[20.0, 0, 0, 0], [10, 10, 0, 0], [5, 5, 5, 5]]), 1.0, 20)
    (ax,) = draw_motifs([motif], ["a_motif"]).axes
    tops = {round(float(patch.get_path().vertices[:, 1].max()), 6) for patch in ax.patches}
    assert max(tops) == pytest.approx(motif.information[0], abs=1e-4)
    assert motif.information[2] == pytest.approx(0)
    np.testing.assert_allclose(motif.frequencies.sum(1), 1)
