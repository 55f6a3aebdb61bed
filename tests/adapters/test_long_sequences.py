"""Long sequences read in pieces: what is said of them is what is said of them read whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titans_seq.adapters import long_sequences
from titans_seq.adapters.dna import N_FEATURES, BaseBatch, BaseFeatures
from titans_seq.adapters.kmer_scores import Kmers, KmerScores
from titans_seq.adapters.long_sequences import pieces_of, read_in_pieces, represent_in_pieces
from titans_seq.adapters.sequence_network import NetworkShape, SequenceModel, SequenceNetwork

BACKBONE = {"d_model": 8, "n_layers": 2, "n_heads": 2, "chunk_size": 4, "window_size": 4, "n_persistent": 2}


def model(length: int | None = None, pooling: int = 2, stride: int = 3, variant: str = "mag") -> SequenceModel:
    torch.manual_seed(0)
    shape = NetworkShape(
        N_FEATURES, 3, length, pooling, stride, channels=6, hidden=8, backbone={**BACKBONE, "variant": variant}
    )
    made = SequenceModel(BaseFeatures(), SequenceNetwork(shape)).double().eval()
    with torch.no_grad():
        for p in made.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return made


def sequence(length: int, seed: int = 0) -> BaseBatch:
    codes = np.random.default_rng(seed).integers(0, 5, (1, length)).astype(np.uint8)
    return BaseBatch(torch.from_numpy(codes), torch.tensor([length]))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_sequences, "TOKENS_AT_ONCE", 16)


@pytest.mark.parametrize("length", [2, 95, 500])
def test_k_mers_are_read_whole_beside_the_pieces(length: int) -> None:
    found = model()
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 3)))
    found.kmers = KmerScores({Kmers(3): weights}, torch.ones(3), (1, 500)).double()
    batch = sequence(length)
    torch.testing.assert_close(read_in_pieces(found, batch), found(batch), rtol=1e-9, atol=1e-9)
    assert found(batch).shape == (1, found.n_heads, 3) == (1, 2, 3)


@pytest.mark.parametrize("length", [1, 5, 95, 96, 97, 500, 1003])
@pytest.mark.parametrize(("pooling", "stride"), [(1, 1), (2, 3), (8, 1)])
def test_pieces_say_what_the_whole_says(length: int, pooling: int, stride: int) -> None:
    network, batch = model(None, pooling, stride), sequence(length)
    torch.testing.assert_close(read_in_pieces(network, batch), network(batch), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm", "swa", "attention"])
def test_every_variant_is_read_in_pieces(variant: str) -> None:
    network, batch = model(variant=variant), sequence(400)
    torch.testing.assert_close(read_in_pieces(network, batch), network(batch), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("length", [400, 401])
def test_the_head_that_keeps_places_is_part_of_it(length: int) -> None:
    network, batch = model(400), sequence(length)
    torch.testing.assert_close(read_in_pieces(network, batch), network(batch), rtol=1e-6, atol=1e-8)


def test_one_base_anywhere_changes_the_answer() -> None:
    network, batch = model(pooling=8, stride=1), sequence(1200)
    whole = read_in_pieces(network, batch)
    for place in (0, 3, 511, 700, 1199):
        codes = batch.codes.clone()
        codes[0, place] = (codes[0, place] + 1) % 4
        assert (read_in_pieces(network, BaseBatch(codes, batch.lengths)) - whole).abs().max() > 1e-9


def test_pieces_get_longer_before_there_are_too_many() -> None:
    pieces = pieces_of(16 * long_sequences.MOST_STATES * 3 + 5)
    assert len(pieces) <= long_sequences.MOST_STATES
    assert pieces[0].first == 0 and all(a.last == b.first for a, b in zip(pieces, pieces[1:], strict=False))
    assert pieces[-1].last == 16 * long_sequences.MOST_STATES * 3 + 5


def test_the_representation_is_that_of_the_whole() -> None:
    network, batch = model(), sequence(500)
    torch.testing.assert_close(represent_in_pieces(network, batch), network.represent(batch), rtol=1e-6, atol=1e-8)
