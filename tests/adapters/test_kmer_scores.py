"""Scores that are linear in k-mers, against sums over strings of letters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from titans_seq.adapters import kmer_scores
from titans_seq.adapters.dna import BaseBatch, BaseFeatures, MixtureBatch, pad_batch
from titans_seq.adapters.kmer_scores import Kmers, KmerScores
from titans_seq.data import read_sequences
from titans_seq.data.sequences.alphabet import _STANDS_FOR

TEXTS = ["ACGTTGCAACGT", "ACGNTGRAACGT", "TTTTTTTTTTTT", "NNNNNNNNNNNN", "acgtYGCAACGB", "GATTACAGATTA"]
SHORTER = [*TEXTS, "AC", "A", "N", "ACGTTGCAACGTACG"]
LENGTH = 12


def drawn(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(sum(shape)).normal(size=shape))


def made(*wheres: str, k: int = 3) -> KmerScores:
    numbers = torch.tensor([3, 7, 20, 41, 63])
    shapes = {"anywhere": (4**k, 2), "chosen": (len(numbers), 2), "placed": (LENGTH - k + 1, 4**k, 2)}
    weights = {Kmers(k, where): drawn(*shapes[where]) for where in wheres}  # type: ignore[arg-type]
    lengths = (LENGTH, LENGTH) if "placed" in wheres else (1, 15)
    return KmerScores(weights, drawn(2), lengths, {k: numbers} if "chosen" in wheres else None).double()


def readings(kmer: str) -> Iterator[str]:
    """What a k-mer may stand for; nothing with N."""
    if "N" not in kmer:
        yield from map("".join, itertools.product(*(_STANDS_FOR[letter] for letter in kmer)))


def weight_of(scores: KmerScores, kind: Kmers, kmer: str, place: int) -> torch.Tensor:
    number = sum("ACGT".index(base) * 4 ** (kind.k - 1 - j) for j, base in enumerate(kmer))
    table = getattr(scores, kind.name)
    if kind.where == "placed":
        return table[place, number]
    if kind.where == "anywhere":
        return table[number]
    numbers = getattr(scores, f"numbers_{kind.k}").tolist()
    return table[numbers.index(number)] if number in numbers else torch.zeros(2, dtype=torch.float64)


def expected(scores: KmerScores, text: str) -> torch.Tensor:
    total = scores.bias.clone()
    for kind in scores.kinds:
        room = max(1, len(text) - kind.k + 1)
        for place in range(len(text) - kind.k + 1):
            found = [weight_of(scores, kind, x, place) for x in readings(text[place : place + kind.k].upper())]
            if found:
                total = total + torch.stack(found).mean(0) / (1 if kind.where == "placed" else room)
    return total


def batch_of(texts: list[str]) -> BaseBatch:
    return pad_batch(read_sequences(texts), np.arange(len(texts)))


def mixture_of(texts: list[str]) -> MixtureBatch:
    batch = batch_of(texts)
    return MixtureBatch(BaseFeatures()(batch).double(), batch.lengths)


@pytest.mark.parametrize("wheres", [("anywhere",), ("chosen",), ("placed",), ("anywhere", "placed")])
@pytest.mark.parametrize("at_once", [1, 100, 2**22])
def test_scores_are_the_sums_over_strings(
    wheres: tuple[str, ...], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kmer_scores, "_NUMBERS_AT_ONCE", at_once)
    scores = made(*wheres)
    texts = TEXTS if "placed" in wheres else SHORTER
    reference = torch.stack([expected(scores, text) for text in texts])
    torch.testing.assert_close(scores(batch_of(texts)), reference, rtol=0, atol=1e-6)  # thirds are of single precision
    torch.testing.assert_close(
        scores(mixture_of(texts)), reference, rtol=0, atol=1e-6
    )  # thirds are of single precision


@pytest.mark.parametrize("wheres", [("anywhere", "placed"), ("chosen",)])
def test_gradients_are_those_of_finite_differences(wheres: tuple[str, ...]) -> None:
    scores, batch = made(*wheres), mixture_of(TEXTS[:2])
    features = (batch.features * 0.7 + 0.05).requires_grad_()

    def said(x: torch.Tensor) -> torch.Tensor:
        return scores(MixtureBatch(x, batch.lengths))

    assert torch.autograd.gradcheck(said, (features,), atol=1e-7)


def test_it_is_put_together_again_from_its_tensors() -> None:
    scores = made("anywhere", "chosen", "placed")
    again = KmerScores.from_tensors(scores.state_dict())
    assert again is not None and again.kinds == scores.kinds and again.lengths.tolist() == [LENGTH, LENGTH]
    torch.testing.assert_close(again.double()(batch_of(TEXTS)), scores(batch_of(TEXTS)), rtol=0, atol=1e-6)
    assert KmerScores.from_tensors({}) is None
    for name in ("anywhere_3", "placed_3", "numbers_3", "bias"):
        with pytest.raises(ValueError, match="the weights of .*_3 have shape"):
            KmerScores.from_tensors(scores.state_dict() | {name: scores.state_dict()[name][..., :1]})


def test_scores_stay_within_their_limits() -> None:
    free = made("anywhere")
    said = free(batch_of(TEXTS))
    limits = torch.stack((said.min(0).values + 0.1, said.max(0).values - 0.1))
    tensors = free.state_dict() | {"limits": limits}
    kept = KmerScores.from_tensors(tensors)
    assert kept is not None
    expected = said.clamp(limits[0], limits[1])
    torch.testing.assert_close(kept.double()(batch_of(TEXTS)), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(kept(mixture_of(TEXTS)), expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="the limits have shape"):
        KmerScores.from_tensors(tensors | {"limits": limits[:1]})
    old = KmerScores.from_tensors({name: x for name, x in tensors.items() if name != "limits"})
    assert old is not None and old.limits.tolist() == [[-np.inf] * 2, [np.inf] * 2], "saved before there were any"


def test_the_order_of_tensors_in_a_file_changes_no_bit() -> None:
    scores = made("anywhere", "chosen", "placed").float()
    tensors = scores.state_dict()
    for names in (sorted(tensors), sorted(tensors, reverse=True)):
        again = KmerScores.from_tensors({name: tensors[name] for name in names})
        assert again is not None and again.kinds == scores.kinds
        assert torch.equal(again(batch_of(TEXTS)), scores(batch_of(TEXTS)))


def test_it_knows_sequences_of_about_the_lengths_it_is_fitted_to() -> None:
    lengths = torch.tensor([9, 10, 11, 12, 13, 14])
    assert made("placed").fits(lengths).tolist() == [False, False, False, True, False, False]
    weights = {Kmers(3): drawn(64, 2)}
    assert KmerScores(weights, drawn(2), (11, 12)).fits(lengths).tolist() == [False, True, True, True, True, False]
