"""Records whose letters are all IUPAC codes, but more likely those of amino acids."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from titans_seq.data import read_sequences

PEPTIDE = "MKRSSSAAVHHDDGTSKNNWYR"


def said_of(read, *arguments, **options):
    """Return what a call warns of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read(*arguments, **options)
    assert all(one.category is UserWarning for one in said)
    return [str(one.message) for one in said]


def test_a_peptide_of_iupac_letters_is_told_once_with_the_first_record(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(f">a\nACGT\n>p1\n{PEPTIDE}\n>p2\n{PEPTIDE.lower()}\n")
    why = "16 of 22 letters are codes that stand for several bases, as in"
    assert said_of(read_sequences, path) == [f"{path}: record 2 'p1': {why} 2 of 3 records; is this a protein?"]
    strings = ["ACGT", PEPTIDE]
    assert said_of(read_sequences, strings) == [f"sequence 1 '1': {why} 1 of 2 records; is this a protein?"]
    assert said_of(read_sequences, pd.DataFrame({"sequence": strings}), soft_mask="fold") == [
        f"row 1: {why} 1 of 2 records; is this a protein?"
    ]
    table = tmp_path / "x.csv"
    table.write_text(f"id,sequence\na,{PEPTIDE}\n")
    assert said_of(read_sequences, table) == [f"{table}: row 0, line 2: {why} 1 of 1 records; is this a protein?"]


@pytest.mark.parametrize(
    ("bases", "told"),
    [
        ("N" * 40, False),
        ("R" * 19, False),
        ("R" * 20, True),
        ("AR" * 10, False),
        ("AR" * 10 + "y", True),
        ("N" * 300_000 + "R" * 299_999, False),
        ("A" * 300_000 + "R" * 300_001, True),
    ],
)
def test_more_than_half_of_twenty_letters_or_more_make_a_protein(bases, told):
    assert bool(said_of(read_sequences, ["ACGT" * 70_000, bases, "R", "ACGT"])) == told


def test_what_was_read_already_is_not_told_of_again():
    with pytest.warns(UserWarning, match="is this a protein"):
        found = read_sequences([PEPTIDE])
    assert said_of(read_sequences, found, soft_mask="fold") == []
