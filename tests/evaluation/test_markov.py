"""Markov models of bases: against a loop, never a look ahead, nothing scored that is not a base."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_seq.data import Sequences, read_sequences
from titans_seq.evaluation.markov import SMOOTHING, MarkovMixture, MarkovModel, bits_per_base

BASES = st.text("ACGTACGTN", min_size=2, max_size=60)
OPPOSITE = {"A": "T", "C": "G", "G": "C", "T": "A"}


class Loop:
    """A Markov model of both strands as a loop over the bases."""

    def __init__(self, order: int, smoothing: float) -> None:
        self.order, self.smoothing, self.seen = order, smoothing, {}

    def count(self, text: str, t: int) -> None:
        word = text[max(0, t - self.order) : t + 1]
        if len(word) == self.order + 1 and "N" not in word:
            for one in (word, "".join(OPPOSITE[b] for b in reversed(word))):
                self.seen[one] = self.seen.get(one, 0) + 1

    def probability(self, text: str, t: int, base: str) -> float:
        context = text[max(0, t - self.order) : t]
        known = len(context) == self.order and "N" not in context
        n = {b: self.seen.get(context + b, 0) if known else 0 for b in "ACGT"}
        return (n[base] + self.smoothing) / (sum(n.values()) + 4 * self.smoothing)


def bits_by_loop(train: str, test: str, order: int, smoothing: float, adaptive: bool) -> list[float]:
    model, bits = Loop(order, smoothing), []
    for t in range(len(train)):
        model.count(train, t)
    for t, base in enumerate(test):
        bits.append(np.nan if base == "N" else -np.log2(model.probability(test, t, base)))
        if adaptive:
            model.count(test, t)
    return bits


@given(BASES, BASES, st.integers(0, 4), st.booleans())
def test_bits_are_those_of_a_loop(train: str, test: str, order: int, adaptive: bool) -> None:
    model = MarkovModel(order, smoothing=0.25).fit(read_sequences([train]))
    found = model.bits(read_sequences([test]), adaptive=adaptive)
    np.testing.assert_allclose(found, bits_by_loop(train, test, order, 0.25, adaptive), rtol=1e-12)


@settings(max_examples=20)
@given(BASES, BASES)
def test_the_mixture_is_the_discounted_bayesian_one_of_a_loop(train: str, test: str) -> None:
    orders, smoothing, decay = (0, 2), (1.0, 0.25), 0.9
    experts = [Loop(k, a) for k in orders for a in smoothing]
    for expert in experts:
        for t in range(len(train)):
            expert.count(train, t)
    evidence, expected = np.zeros(4), []
    for t, base in enumerate(test):
        p = np.array([1.0 if base == "N" else expert.probability(test, t, base) for expert in experts])
        weights = np.exp(evidence) / np.exp(evidence).sum()
        expected.append(np.nan if base == "N" else -np.log2(weights @ p))
        evidence = decay * evidence + np.log(p)
        for expert in experts:
            expert.count(test, t)
    mixture = MarkovMixture(orders, smoothing, decay).fit(read_sequences([train]))
    np.testing.assert_allclose(mixture.bits(read_sequences([test])), expected, rtol=1e-9)


@pytest.mark.parametrize("model", [MarkovModel(2), MarkovMixture((1, 2, 4))])
def test_a_base_changes_no_prediction_before_it(model: MarkovModel | MarkovMixture) -> None:
    text = "".join(np.random.default_rng(0).choice(list("ACGT"), 300))
    model.fit(read_sequences([text[:150]]))
    before = model.bits(read_sequences([text]))
    after = model.bits(read_sequences([text[:200] + ("A" if text[200] != "A" else "C") + text[201:]]))
    assert np.array_equal(before[:200], after[:200])
    assert before[200] != after[200]


def test_bits_of_pieces_and_of_several_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    texts = ["".join(random.choice(list("ACGTN"), n)) for n in (40, 1, 25)]
    models = [MarkovModel(2), MarkovMixture((0, 3))]
    whole = [model.fit(read_sequences(texts)).bits(read_sequences(texts)) for model in models]
    monkeypatch.setattr("titans_seq.evaluation.markov._PIECE", 7)
    for model, expected in zip(models, whole, strict=True):
        assert len(expected) == 66
        np.testing.assert_allclose(model.fit(read_sequences(texts)).bits(read_sequences(texts)), expected)


def test_several_smoothings_at_once_are_those_of_models_of_their_own() -> None:
    train, test = read_sequences(["ACGTTGCA" * 20]), read_sequences(["ACGGNTT" * 10])
    found = MarkovModel(2, 1.0).fit(train).bits_at(test, [4.0, 0.5])
    for row, a in zip(found, (4.0, 0.5), strict=True):
        assert np.array_equal(row, MarkovModel(2, a).fit(train).bits(test), equal_nan=True)


def test_reading_changes_no_model() -> None:
    model = MarkovModel(3).fit(read_sequences(["ACGTTGCA" * 20]))
    first = model.bits(read_sequences(["GGGGCCCC" * 10]))
    assert np.array_equal(first, model.bits(read_sequences(["GGGGCCCC" * 10])))


def test_smoothing_is_chosen_on_the_training_sequences() -> None:
    random = np.random.default_rng(2)
    repeats = MarkovModel(8).fit(read_sequences(["".join(random.choice(list("ACGT"), 200)) * 5]))
    noise = MarkovModel(8).fit(read_sequences(["".join(random.choice(list("ACGT"), 4000))]))
    assert repeats.smoothing_ == min(SMOOTHING)
    assert noise.smoothing_ == max(SMOOTHING)


def test_adaptation_and_the_opposite_strand_pay_where_they_can() -> None:
    text = "".join(np.random.default_rng(3).choice(list("ACGT"), 400))
    there = read_sequences([text])
    back = Sequences.concat([there, there.reverse_complement()])
    one, both = (MarkovModel(6, 0.1, both_strands=b).fit(read_sequences(["A"])).bits(back) for b in (False, True))
    static = MarkovModel(6, 0.1).fit(read_sequences(["A"])).bits(back, adaptive=False)
    assert both[400:].mean() < 1 < one[400:].mean()
    assert static == pytest.approx(2.0)


def test_what_is_no_base_is_not_scored() -> None:
    bits = MarkovModel(1, 1.0).fit(read_sequences(["ACGT"])).bits(read_sequences(["ANRNC"]))
    assert np.isnan(bits).tolist() == [False, True, True, True, False]
    assert bits_per_base(bits) == 2.0
    assert np.isnan(bits_per_base(bits[1:2]))
