"""Shared k-mers, groups, splits and leaks, against loops over strings."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio.Seq import reverse_complement
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold

from titans_seq.data import (
    Interval,
    homology_groups,
    leak_report,
    read_sequences,
    split_by_chromosome,
    split_by_homology,
)
from titans_seq.data.sequences import _kmers
from titans_seq.data.sequences._kmers import canonical_kmers

DATA = Path(os.environ.get("TITANS_SEQ_DATA", "")) / "dna" / "labelled"
needs_data = pytest.mark.skipif("TITANS_SEQ_DATA" not in os.environ, reason="needs the folder TITANS_SEQ_DATA")

STRINGS = st.lists(st.text("ACGTacgtNR", min_size=1, max_size=30), min_size=1, max_size=8)


def kmers_of(bases, k):
    """The canonical k-mers of a string, as text."""
    bases = bases.upper()
    windows = [bases[at : at + k] for at in range(len(bases) - k + 1)]
    return [min(one, reverse_complement(one)) for one in windows if set(one) <= set("ACGT")]


def number(kmer):
    return sum("ACGT".index(base) << 2 * i for i, base in enumerate(reversed(kmer)))


@given(STRINGS, st.integers(4, 31), st.sampled_from([1, 3, 20, 10_000]))
def test_kmers_are_those_of_a_loop(strings, k, bases_at_a_time):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_kmers, "_BASES", bases_at_a_time)
        kmers, owners = canonical_kmers(read_sequences(strings), k)
    expected = [(i, number(kmer)) for i, bases in enumerate(strings) for kmer in kmers_of(bases, k)]
    assert list(zip(owners.tolist(), kmers.tolist(), strict=True)) == expected


def groups_by_loop(strings, k, threshold):
    """Single linkage over all pairs, as slow as can be."""
    sets = [set(kmers_of(bases, k)) for bases in strings]
    upper = [bases.upper() for bases in strings]
    group = list(range(len(strings)))
    for i, j in combinations(range(len(strings)), 2):
        same = upper[i] in (upper[j], reverse_complement(upper[j]))
        least = min(len(sets[i]), len(sets[j]))
        if same or (least and len(sets[i] & sets[j]) / least >= threshold):
            group = [group[i] if one == group[j] else one for one in group]
    return [group.index(one) for one in group]


def relatives(random, n=12, length=40):
    """Strings of which some are mutated, shifted or turned copies of earlier ones."""
    strings = []
    for _ in range(n):
        bases = random.choice(list("ACGT"), length)
        if strings and random.random() < 0.7:
            bases = np.array(list(strings[random.integers(len(strings))]))
            hit = random.random(len(bases)) < random.choice([0, 0.03, 0.1])
            bases[hit] = random.choice(list("ACGTN"), hit.sum())
            bases = bases[random.integers(0, min(15, len(bases))) :]
        text = "".join(bases)
        strings.append(reverse_complement(text) if random.random() < 0.5 else text.lower())
    return strings


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from([4, 6, 9, 16]), st.sampled_from([0.1, 0.3, 0.5, 1.0]))
def test_groups_are_those_of_a_loop_over_all_pairs(seed, k, threshold):
    strings = relatives(np.random.default_rng(seed))
    expected = groups_by_loop(strings, k, threshold)
    groups = homology_groups(read_sequences(strings), k, threshold)
    first = {}
    assert [first.setdefault(group, i) for i, group in enumerate(groups.tolist())] == expected
    assert list(dict.fromkeys(groups.tolist())) == list(range(len(set(expected))))


def test_short_and_unknown_sequences_are_grouped_only_with_their_equals():
    strings = ["ACG", "N" * 40, "CGT", "acg", "T", "N" * 40, "N" * 41]
    assert homology_groups(read_sequences(strings)).tolist() == [0, 1, 0, 0, 2, 1, 3]


def test_groups_hold_where_kmers_are_sampled(monkeypatch):
    random = np.random.default_rng(0)
    families = ["".join(random.choice(list("ACGT"), 3_000)) for _ in range(5)]
    strings = [bases for bases in families for _ in range(2)]
    strings[1::2] = [reverse_complement(bases)[100:] for bases in strings[1::2]]
    monkeypatch.setattr(_kmers, "MOST_KMERS", 4_000)
    assert homology_groups(read_sequences(strings)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_split_keeps_groups_whole_and_is_repeatable():
    random = np.random.default_rng(1)
    families = ["".join(random.choice(list("ACGT"), 80)) for _ in range(30)]
    strings = [bases[at:] for bases in families for at in (0, 10, 20)]
    sequences = read_sequences(strings)
    train, test = split_by_homology(sequences, test_size=0.3, random_state=5)
    assert sorted([*train, *test]) == list(range(90))
    assert len(test) == 27
    assert not {i // 3 for i in train} & {i // 3 for i in test}
    assert leak_report(sequences[train], sequences[test]).n_leaks == 0
    again = split_by_homology(sequences, test_size=0.3, random_state=5)
    other = split_by_homology(sequences, test_size=0.3, random_state=6)
    assert again[1].tolist() == test.tolist() != other[1].tolist()


def test_groups_are_those_of_scikit_learns_splitters():
    strings = relatives(np.random.default_rng(3), 40)
    groups = homology_groups(read_sequences(strings))
    for train, test in GroupKFold(3).split(strings, groups=groups):
        assert not set(groups[train]) & set(groups[test])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_size": 1.0}, "test_size must be over 0 and under 1, got 1.0"),
        ({"k": 3}, "k must be from 4 to 31, got 3"),
        ({"k": 32}, "k must be from 4 to 31, got 32"),
        ({"threshold": 0}, "threshold must be over 0 and at most 1, got 0"),
        ({}, "4 sequences in 1 groups, the largest of 4, leave no test part of 0.2; raise threshold"),
    ],
)
def test_a_split_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        split_by_homology(read_sequences(["ACGTTGCAACGTAAGCATT"] * 4), **arguments)


def test_chromosomes_are_held_out():
    chroms = ["chr1", "chr2", "chr1", "chr3", "chr2"]
    assert [part.tolist() for part in split_by_chromosome(chroms, ["chr2"])] == [[0, 2, 3], [1, 4]]
    intervals = [Interval(chrom, 0, 5) for chrom in chroms]
    parts = split_by_chromosome(intervals, ["chr3"], validation=["chr2"])
    assert [part.tolist() for part in parts] == [[0, 2], [1, 4], [3]]
    for arguments, message in (
        ((["chr9"],), "no window is on 'chr9'; there are 'chr1', 'chr2', 'chr3'"),
        ((["chr1"], ["chr1"]), "held out twice"),
        ((["chr1", "chr2", "chr3"],), "no chromosome is left for training"),
    ):
        with pytest.raises(ValueError, match=message):
            split_by_chromosome(chroms, *arguments)
    with pytest.raises(TypeError, match="must be lists of names"):
        split_by_chromosome(chroms, "chr1")


def test_a_leak_is_told_by_its_kind():
    random = np.random.default_rng(2)
    train = ["".join(random.choice(list("ACGT"), 100)) for _ in range(6)]
    changed = train[2][:50] + {"A": "C", "C": "G", "G": "T", "T": "A"}[train[2][50]] + train[2][51:]
    new = "".join(random.choice(list("ACGT"), 100))
    mosaic = train[3][:45] + train[4][:45]
    test = [train[0].lower(), reverse_complement(train[1]), changed, reverse_complement(changed), new, mosaic, "N" * 90]
    report = leak_report(train, test)
    assert [(leak.test, leak.train, leak.share) for leak in report.exact] == [(0, 0, 1.0)]
    assert [(leak.test, leak.train) for leak in report.reverse_complement] == [(1, 1)]
    shares = [(leak.test, leak.train, leak.share) for leak in report.near]
    assert shares == [(2, 2, pytest.approx(69 / 85)), (3, 2, pytest.approx(69 / 85))]
    # Neither half of the mosaic is half of it, both together are most.
    assert report.covered == 5
    assert report.n_leaks == 4
    assert "4 of 7 test sequences are like one of 6 training" in str(report)
    assert "reverse complements: 1: test 1 '1' = train 1 '1'" in str(report)
    assert "near copies (share 50% or more of their 16-mers with one): 2: test 2 '2' = train 2 '2' (81%)" in str(report)
    with pytest.raises(ValueError, match="1 exact copies, 1 reverse complements and 2 near .* first is test 0 '0'"):
        report.raise_if_leaking()
    leak_report(train, [new]).raise_if_leaking()


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([5, 9, 16]), st.sampled_from([0.2, 0.5, 0.9]))
def test_near_copies_are_those_of_a_loop(seed, k, threshold):
    strings = relatives(np.random.default_rng(seed), 16)
    train, test = strings[:8], strings[8:]
    report = leak_report(train, test, k=k, threshold=threshold)
    found = {leak.test: leak.share for leak in (*report.exact, *report.reverse_complement, *report.near)}
    sets = [set(kmers_of(bases, k)) for bases in train]
    known, covered = set().union(*sets), 0
    for i, bases in enumerate(test):
        own = set(kmers_of(bases, k))
        shares = [len(own & other) / min(len(own), len(other)) if own and other else 0 for other in sets]
        same = any(bases.upper() in (one.upper(), reverse_complement(one.upper())) for one in train)
        assert (i in found) == (same or max(shares) >= threshold)
        if not same and i in found:
            assert found[i] == pytest.approx(max(shares))
        covered += bool(own) and len(own & known) >= threshold * len(own)
    assert report.covered == covered


@needs_data
def test_leaks_of_real_sets_are_those_of_their_description():
    table = pd.read_csv(DATA / "deepstarr_sample_regression.csv.gz", keep_default_na=False)
    report = leak_report(table[table.split == "train"], table[table.split == "test"])
    assert len(report.exact) == 12
    splice = pd.read_csv(DATA / "splice_uci.csv.gz", keep_default_na=False)
    report = leak_report(splice[splice.split == "train"], splice[splice.split == "test"])
    assert report.n_leaks == 0


def test_chromosomes_are_one_whether_they_begin_with_chr_or_not():
    chroms = ["1", "chr1", "2", "3", "chrM", "MT", "Chr2"]
    assert [part.tolist() for part in split_by_chromosome(chroms, ["1"])] == [[2, 3, 4, 5, 6], [0, 1]]
    parts = split_by_chromosome(chroms, ["M"], validation=["chr2"])
    assert [part.tolist() for part in parts] == [[0, 1, 3], [2, 6], [4, 5]]
    with pytest.raises(ValueError, match="a chromosome is held out twice: 'chr1' and '1' are one"):
        split_by_chromosome(chroms, ["chr1"], ["1"])
    with pytest.raises(ValueError, match="no window is on 'chr9'; there are '1', 'chr1', '2'"):
        split_by_chromosome(chroms, ["2", "chr9"])


def test_chromosomes_may_be_integers():
    numbers = [1, 2, 1, 3]
    intervals = [Interval(number, 0, 5) for number in numbers]
    for chroms in (numbers, np.array(numbers), intervals, [f"chr{number}" for number in numbers]):
        for test in ([1], ["1"], np.array([1]), ["chr1"]):
            assert [part.tolist() for part in split_by_chromosome(chroms, test)] == [[1, 3], [0, 2]]
    with pytest.raises(TypeError, match="must be lists of names"):
        split_by_chromosome([1, 2], 1)


def test_whatever_holds_sequences_is_grouped_and_split():
    strings = relatives(np.random.default_rng(3), 40)
    sequences = read_sequences(strings)
    assert homology_groups(strings).tolist() == homology_groups(sequences).tolist()
    assert homology_groups(pd.DataFrame({"sequence": strings})).tolist() == homology_groups(sequences).tolist()
    parts = split_by_homology(strings, random_state=0)
    assert [p.tolist() for p in parts] == [p.tolist() for p in split_by_homology(sequences, random_state=0)]
    for wrong in (homology_groups, split_by_homology):
        with pytest.raises(ValueError, match="data is empty; it needs at least one sequence"):
            wrong([])
