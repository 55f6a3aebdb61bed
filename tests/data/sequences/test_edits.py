"""Variants as edits of a genome: against strings that are cut and joined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from titans_seq.data import Genome, Sequences, Variant
from titans_seq.data.sequences.alphabet import to_codes, to_text
from titans_seq.data.sequences.edits import edit_of, windows_of


def genome_of(bases: str) -> Genome:
    return Genome(Sequences.of({"chr1": bases}))


def carried_out(bases: str, start: int, ref: str, alt: str) -> str:
    return bases[:start] + alt + bases[start + len(ref) :]


@st.composite
def repetitive_changes(draw: st.DrawFn) -> tuple[str, int, str, str]:
    """Bases with many repeats, a place, and what is there and comes instead; one of both may be empty."""
    bases = draw(st.text("AC", min_size=6, max_size=24))
    start = draw(st.integers(1, len(bases) - 1))
    ref = bases[start : start + draw(st.integers(0, 4))]
    return bases, start, ref, draw(st.text("AC", max_size=4))


@given(repetitive_changes(), st.integers(1, 4), st.integers(0, 4))
def test_all_ways_to_write_a_variant_are_one_edit(change, before: int, behind: int) -> None:
    bases, start, ref, alt = change
    assume(ref != alt)
    genome, haplotype = genome_of(bases), carried_out(*change)
    found = []
    for more, less in ((before, behind), (1, 0)):
        more = min(more, start)
        tail = bases[start + len(ref) : start + len(ref) + less]
        head = bases[start - more : start]
        variant = Variant("1", start - more, head + ref + tail, head + alt + tail)
        found.append(edit_of(genome, variant))
    # Other places that give the same haplotype, as any caller might report them.
    size = len(haplotype) - len(bases)
    for at in range(1, min(len(bases), len(haplotype))) if not (ref and alt) and size else []:
        gone, come = bases[at - 1 : at + max(-size, 0)], haplotype[at - 1 : at + max(size, 0)]
        if carried_out(bases, at - 1, gone, come) == haplotype and gone and come:
            found.append(edit_of(genome, Variant("chr1", at - 1, gone, come)))
    for edit in found:
        assert (edit.chrom, edit.start) == ("chr1", found[0].start)
        assert (to_text(edit.ref), to_text(edit.alt)) == (to_text(found[0].ref), to_text(found[0].alt))
        assert carried_out(bases, edit.start, to_text(edit.ref), to_text(edit.alt)) == haplotype


@given(repetitive_changes(), st.integers(1, 30))
def test_windows_are_slices_of_both_haplotypes_with_the_longer_allele_in_the_middle(change, length: int) -> None:
    bases, start, ref, alt = change
    genome = genome_of(bases)
    edit = edit_of(genome, Variant("chr1", start - 1, bases[start - 1] + ref, bases[start - 1] + alt))
    without, with_it = (to_text(window) for window in windows_of(genome, edit, length))
    longest = max(len(edit.ref), len(edit.alt), 1)
    before = max((length - longest) // 2, length // 4)
    pad = "N" * 40
    assert without == (pad + bases + pad)[40 + edit.start - before :][:length]
    assert with_it == (pad + carried_out(*change) + pad)[40 + edit.start - before :][:length]
    assert len(without) == len(with_it) == length


def test_a_substitution_stands_in_the_middle_of_an_odd_window() -> None:
    genome = genome_of("ACGTACGTACGTACG")
    ref, alt = windows_of(genome, edit_of(genome, Variant.from_vcf("1", 8, "T", "C")), 7)
    assert (to_text(ref), to_text(alt)) == ("ACGTACG", "ACGCACG")


def test_an_insertion_longer_than_the_window_leaves_a_quarter_to_what_stands_before() -> None:
    genome = genome_of("ACGTACGTACGT")
    _, alt = windows_of(genome, edit_of(genome, Variant.from_vcf("1", 4, "T", "T" + "G" * 50)), 8)
    assert to_text(alt) == "GTGGGGGG"


def test_nothing_is_left_of_a_variant_that_changes_nothing() -> None:
    genome = genome_of("ACGTACGT")
    edit = edit_of(genome, Variant.from_vcf("1", 3, "GT", "GT"))
    assert len(edit.ref) == len(edit.alt) == 0
    np.testing.assert_array_equal(*windows_of(genome, edit, 5))


@pytest.mark.parametrize(
    ("pos", "ref", "alt", "expected"),
    [
        (4, "T", "C", "acgcA"), (4, "T", "TGG", "gtggA"), (4, "TA", "T", "acgtC"), (5, "A", "AG", "gtAGC"),
    ],
)  # fmt: skip
def test_bases_that_come_are_masked_where_those_are_that_they_replace(pos, ref, alt, expected) -> None:
    genome = genome_of("acgtACGT")
    edit = edit_of(genome, Variant.from_vcf("1", pos, ref, alt))
    assert edit.start <= pos
    whole = "NNNN" + carried_out("acgtACGT", edit.start, to_text(edit.ref), to_text(edit.alt))
    assert expected in whole


def test_bases_of_n_are_not_taken_for_one_another() -> None:
    genome = genome_of("ACNNNNGT")
    edit = edit_of(genome, Variant.from_vcf("1", 5, "NN", "N"))
    assert (edit.start, to_text(edit.ref)) == (4, "N")
    assert to_codes("N")[0] == edit.ref[0]
