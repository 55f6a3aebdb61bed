"""Codes, complements and mixtures, against Biopython's tables."""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Data.IUPACData import ambiguous_dna_values
from Bio.Seq import reverse_complement as biopython_reverse_complement
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data.sequences.alphabet import COMPLEMENT, LETTERS, MIXTURE, to_codes, to_text
from titans_seq.data.sequences.coordinates import reverse_complement

BASES = st.text("ACGTNRYSWKMBDHVacgtnryswkmbdhv", max_size=60)


@pytest.mark.parametrize("letter", list(LETTERS + LETTERS.lower()))
def test_every_letter_complements_as_biopython_says(letter: str) -> None:
    assert reverse_complement(letter) == biopython_reverse_complement(letter)


@pytest.mark.parametrize("letter", list(LETTERS))
def test_every_letter_is_an_equal_mixture_of_its_bases(letter: str) -> None:
    bases = ambiguous_dna_values[letter]
    expected = [(base in bases) / len(bases) for base in "ACGT"]
    for written in (letter, letter.lower()):
        np.testing.assert_allclose(MIXTURE[to_codes(written)[0]], expected, rtol=1e-7)


def test_the_complement_of_a_mixture_is_the_mixture_of_the_complement() -> None:
    codes = to_codes(LETTERS + LETTERS.lower())
    np.testing.assert_array_equal(MIXTURE[COMPLEMENT[codes]], MIXTURE[codes][:, ::-1])


@given(BASES)
def test_letters_survive_the_codes(bases: str) -> None:
    assert to_text(to_codes(bases)) == bases


@given(BASES)
def test_strands_are_those_of_biopython(bases: str) -> None:
    assert reverse_complement(bases) == biopython_reverse_complement(bases)
    assert reverse_complement(reverse_complement(bases)) == bases


def test_uracil_is_thymine() -> None:
    assert to_text(to_codes("AUu")) == "ATt"


@pytest.mark.parametrize(
    ("bases", "message"),
    [
        ("ACE", "'E' at position 2 is no base and no IUPAC code; is this a protein"),
        ("A-C", "'-' at position 1 is a gap of an alignment; remove the gaps"),
        ("AC ", "' ' at position 2 is white space; strip it"),
        ("Aé", "'é' at position 1 is no base and no IUPAC code"),
        ("7", "'7' at position 0 is no base and no IUPAC code"),
    ],
)
def test_what_is_no_letter_is_named(bases: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_codes(bases)
