"""The value type: windows, choices, strands, against plain strings."""

from __future__ import annotations

import numpy as np
import pytest
from Bio.Seq import reverse_complement
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, train_test_split

from titans_seq.data import Sequences, read_sequences

BASES = st.text("ACGTNRYSWKMBDHVacgtnryswkmbdhv", min_size=1, max_size=40)
MANY = st.lists(BASES, min_size=1, max_size=8)


def graded(strings):
    """Sequences whose qualities tell their places."""
    plain = read_sequences(strings)
    return Sequences(plain.codes, plain.offsets, plain.ids, np.arange(len(plain.codes), dtype=np.uint8))


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(MANY)
def test_strings_go_in_and_come_out(strings):
    found = read_sequences(strings)
    assert found.to_strings() == list(found) == strings
    assert [found[i] for i in range(len(found))] == strings
    assert found[-1] == strings[-1]
    assert found.lengths.tolist() == [len(bases) for bases in strings]


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(MANY)
def test_the_opposite_strand_is_biopythons_and_twice_it_is_the_first(strings):
    found = graded(strings)
    turned = found.reverse_complement()
    assert turned.to_strings() == [reverse_complement(bases) for bases in strings]
    assert all(turned.qualities_of(i).tolist() == found.qualities_of(i).tolist()[::-1] for i in range(len(found)))
    assert turned.reverse_complement().equals(found)


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(MANY, st.data())
def test_chosen_sequences_keep_ids_and_qualities(strings, data):
    places = data.draw(st.lists(st.integers(0, len(strings) - 1), max_size=6))
    found = graded(strings)
    part = found[places]
    assert part.to_strings() == [strings[i] for i in places]
    assert list(part.ids) == [str(i) for i in places]
    assert [part.qualities_of(j).tolist() for j in range(len(part))] == [found.qualities_of(i).tolist() for i in places]


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(MANY, st.data())
def test_gathered_windows_are_the_bases_and_n_outside(strings, data):
    wanted = data.draw(st.lists(st.tuples(st.integers(0, len(strings) - 1), st.integers(-9, 45)), max_size=5))
    found = read_sequences(strings)
    codes, inside = found.gather([i for i, _ in wanted], [at for _, at in wanted], 7)
    assert codes.shape == inside.shape == (len(wanted), 7)
    for (i, start), row, seen in zip(wanted, codes, inside, strict=True):
        expected = [strings[i][at] if 0 <= at < len(strings[i]) else None for at in range(start, start + 7)]
        letters = ["ACGTNRYSWKMBDHV "[code & 15] for code in row]
        assert letters == ["N" if letter is None else letter.upper() for letter in expected]
        assert seen.tolist() == [letter is not None for letter in expected]


def test_slices_and_masks_choose_like_numpy():
    found = read_sequences(["A", "CC", "GGG", "TTTT"])
    assert found[1:3].to_strings() == ["CC", "GGG"]
    assert found[::-1].to_strings() == ["TTTT", "GGG", "CC", "A"]
    assert found[np.array([True, False, False, True])].to_strings() == ["A", "TTTT"]
    assert len(found[[]]) == 0
    assert found[[]].to_strings() == []
    with pytest.raises(IndexError):
        found[4]


def test_long_records_are_chosen_as_short_ones_are():
    random = np.random.default_rng(0)
    strings = ["".join(random.choice(list("ACGT"), n)) for n in (3_000, 1, 2_000)]
    found = read_sequences(strings)
    assert found[[2, 0, 1, 2]].to_strings() == [strings[i] for i in (2, 0, 1, 2)]
    assert found.reverse_complement().to_strings() == [reverse_complement(bases) for bases in strings]


def test_mixtures_have_a_row_for_each_base():
    found = read_sequences(["A", "TRn"])
    np.testing.assert_array_equal(found.one_hot(1), [[0, 0, 0, 1], [0.5, 0, 0.5, 0], [0.25] * 4])
    assert found.one_hot(1).dtype == np.float32


def test_the_soft_mask_is_kept_folded_or_masked():
    assert read_sequences(["AcgTr"]).soft_masked(0).tolist() == [False, True, True, False, True]
    for how, expected in (("keep", "AcgTr"), ("fold", "ACGTR"), ("mask", "ANNTN")):
        assert read_sequences(["AcgTr"], soft_mask=how)[0] == expected
    with pytest.raises(ValueError, match="soft_mask must be 'keep', 'fold' or 'mask', got 'drop'"):
        read_sequences(["A"], soft_mask="drop")


def test_joined_sequences_keep_what_all_of_them_have():
    first, second = graded(["AC"]), graded(["GGT", "N"])
    assert Sequences.concat([first, second]).to_strings() == ["AC", "GGT", "N"]
    assert Sequences.concat([first, second]).qualities.tolist() == [0, 1, 0, 1, 2, 3]
    assert Sequences.concat([first, read_sequences(["A"])]).qualities is None


def test_a_splitter_of_scikit_learn_splits_sequences():
    found = read_sequences(["A", "CC", "GGG", "TTTT"])
    train, test = next(KFold(2).split(found))
    assert found[test].to_strings() == ["A", "CC"]
    assert found[train].to_strings() == ["GGG", "TTTT"]
    kept, held, labels, _ = train_test_split(found, [1, 2, 3, 4], random_state=0)
    assert [len(bases) for bases in kept] == labels
    assert sorted([*kept, *held]) == sorted(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 3])}, "2 ids need 3 offsets"),
        ({"offsets": np.array([0, 4, 3])}, "begin at 0 and do not decrease"),
        ({"codes": np.zeros(3)}, "offsets end at 3; codes must be uint8"),
        ({"qualities": np.zeros(2, dtype=np.uint8)}, "3 bases need as many qualities"),
        ({"features": ((),)}, "2 sequences need as many tuples of features"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(change, message):
    good = {"codes": np.zeros(3, dtype=np.uint8), "offsets": np.array([0, 1, 3]), "ids": ["a", "b"]}
    assert list(Sequences(**good).ids) == ["a", "b"]
    with pytest.raises(ValueError, match=message):
        Sequences(**good | change)


def test_qualities_that_are_not_there_are_said_to_be_missing():
    with pytest.raises(ValueError, match="these sequences have no qualities"):
        read_sequences(["A"]).qualities_of(0)
