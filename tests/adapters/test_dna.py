"""Bases to tokens: padding, batch-mates and their order never change what a sequence gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_seq.adapters.dna import N_FEATURES, BaseTokens, length_batches, pad_batch
from titans_seq.data import Sequences, read_sequences
from titans_seq.nn import Backbone

BASES = st.text("ACGTNRYSWKMBDHVacgtn", min_size=1, max_size=30)
MANY = st.lists(BASES, min_size=1, max_size=6)


def all_of(strings: list[str]):
    sequences = read_sequences(strings)
    return pad_batch(sequences, np.arange(len(sequences)))


def tokens(d_model: int = 8, **options: int) -> BaseTokens:
    torch.manual_seed(0)
    return BaseTokens(d_model, **options).double().eval()


def test_a_base_is_its_mixture_a_soft_mask_and_whether_it_is_unknown():
    features = tokens().features(all_of(["AnRg", "A"]))
    assert features.shape == (2, 4, N_FEATURES)
    expected = [[1, 0, 0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25, 1, 1], [0.5, 0, 0.5, 0, 0, 0], [0, 0, 1, 0, 1, 0]]
    assert features[0].tolist() == expected
    assert features[1, 1:].abs().sum() == 0


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(MANY, st.sampled_from([(1, 1), (5, 1), (9, 4), (9, 9)]))
def test_a_sequence_gives_the_same_tokens_alone_and_beside_longer_ones(strings, sizes):
    model = tokens(width=sizes[0], stride=sizes[1])
    found, lengths = model(all_of(strings))
    assert lengths.tolist() == [-(-len(bases) // sizes[1]) for bases in strings]
    for i, bases in enumerate(strings):
        alone, (n,) = model(all_of([bases]))
        assert alone.shape[1] == n
        torch.testing.assert_close(found[i, :n], alone[0], rtol=0, atol=1e-12)
        assert found[i, n:].abs().sum() == 0


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@settings(max_examples=10)
@given(MANY, st.sampled_from(["mag", "mal", "mac", "lmm"]))
def test_a_backbone_reads_a_sequence_alike_alone_and_beside_longer_ones(strings, variant):
    model = tokens(width=5, stride=2)
    backbone = Backbone(d_model=8, n_layers=1, chunk_size=4, window_size=5, n_persistent=2, variant=variant)
    backbone = backbone.double().eval()
    x, lengths = model(all_of(strings))
    hidden = backbone(x, lengths=lengths)[0]
    for i, bases in enumerate(strings):
        alone, n = model(all_of([bases]))
        expected = backbone(alone, lengths=n)[0][0]
        torch.testing.assert_close(hidden[i, : len(expected)], expected, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(MANY)
def test_the_opposite_strand_of_a_batch_is_that_of_its_sequences(strings):
    sequences = read_sequences(strings)
    turned = all_of(strings).reverse_complement()
    expected = pad_batch(sequences.reverse_complement(), np.arange(len(sequences)))
    assert torch.equal(turned.codes, expected.codes)
    assert torch.equal(turned.lengths, expected.lengths)
    assert torch.equal(turned.reverse_complement().codes, all_of(strings).codes)


@pytest.mark.parametrize(("width", "stride"), [(1, 1), (3, 2), (9, 1), (9, 4), (9, 8), (9, 9), (11, 4)])
@pytest.mark.parametrize("length", [61, 64])
def test_every_base_reaches_its_own_token_and_its_neighbours_alike(width, stride, length):
    model = tokens(width=width, stride=stride)
    whole = model(all_of(["A" * length]))[0]
    for at in range(length):
        changed = model(all_of(["A" * at + "C" + "A" * (length - 1 - at)]))[0]
        seen = (changed - whole).abs().amax((0, 2)) > 1e-6
        assert seen[at // stride]
        if stride == 1:
            reached = [at + step for step in range(-(width // 2), width // 2 + 1) if 0 <= at + step < length]
            assert seen.nonzero().ravel().tolist() == reached


@given(
    st.lists(st.integers(0, 50), max_size=30), st.integers(1, 7), st.integers(1, 120), st.none() | st.integers(0, 99)
)
def test_every_sequence_is_in_one_batch_that_fits(lengths, batch_size, max_bases, seed):
    sizes = np.array(lengths, dtype=np.int64)
    random = None if seed is None else np.random.default_rng(seed)
    batches = list(length_batches(sizes, batch_size, max_bases, random))
    assert sorted(np.concatenate([*batches, np.zeros(0, dtype=np.int64)]).tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert 1 <= len(rows) <= batch_size
        assert len(rows) == 1 or len(rows) * sizes[rows].max() <= max_bases
    if seed is None:
        assert [sizes[rows].max() for rows in batches] == sorted((sizes[rows].max() for rows in batches), reverse=True)


def test_lengths_of_a_batch_are_near_each_other_and_shuffles_differ():
    lengths = np.random.default_rng(0).integers(50, 1_000, 2_000)
    batches = list(length_batches(lengths, 16, 100_000, np.random.default_rng(1)))
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    assert padded < 1.02 * lengths.sum()
    equal = np.full(100, 41)
    first = np.concatenate(list(length_batches(equal, 16, 10_000, np.random.default_rng(1))))
    assert first.tolist() == np.concatenate(list(length_batches(equal, 16, 10_000, np.random.default_rng(1)))).tolist()
    assert first.tolist() != np.concatenate(list(length_batches(equal, 16, 10_000, np.random.default_rng(2)))).tolist()


def test_a_batch_without_bases_has_no_tokens():
    nothing = Sequences(np.zeros(0, dtype=np.uint8), np.zeros(3, dtype=np.int64), ["a", "b"])
    found, lengths = tokens()(pad_batch(nothing, np.arange(2)))
    assert found.shape == (2, 0, 8)
    assert lengths.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 4}, "width must be odd and positive, got 4"),
        ({"width": 3, "stride": 4}, "stride must be from 1 to the width of 3, got 4"),
        ({"stride": 0}, "stride must be from 1"),
    ],
)
def test_a_stem_that_would_miss_bases_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BaseTokens(8, **options)
    with pytest.raises(ValueError, match="batch_size and max_bases must be at least 1"):
        next(length_batches(np.array([1]), 0, 5))
