"""Sequences longer than a batch holds: read in pieces, they get the answers of sequences read whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titans_seq import DNAClassifier
from titans_seq.adapters import long_sequences
from titans_seq.adapters.dna import DNAExamples
from titans_seq.adapters.long_sequences import read_in_pieces
from titans_seq.data import read_sequences
from titans_seq.estimators import _sequence_predicting

LONG = 1500


def sequences(n: int, length: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), length)) for _ in range(n)]


@pytest.fixture(scope="module")
def classifier() -> DNAClassifier:
    X = sequences(40, 200)
    X[::2] = [x[:90] + "TGACTCATGACTCA" + x[104:] for x in X[::2]]
    made = DNAClassifier(
        stride=8, max_epochs=2, n_members=2, channels=8, d_model=8, reverse_complement=True, random_state=0, verbose=0
    )
    return made.fit(X, [0, 1] * 20)


def test_they_get_the_answers_of_sequences_read_whole(
    classifier: DNAClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = [*sequences(2, LONG, 1), *sequences(2, 200, 2), "ACGTN" * 100]
    whole, embedded = classifier.predict_proba(X), classifier.embed(X)
    monkeypatch.setattr(_sequence_predicting, "MAX_POSITIONS", 300)
    monkeypatch.setattr(long_sequences, "TOKENS_AT_ONCE", 20)
    read: list[int] = []
    honest = _sequence_predicting.read_in_pieces
    monkeypatch.setattr(
        _sequence_predicting, "read_in_pieces", lambda model, batch: read.append(1) or honest(model, batch)
    )
    np.testing.assert_allclose(classifier.predict_proba(X), whole, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(classifier.embed(X), embedded, rtol=1e-8, atol=1e-8)
    assert len(read) == 3 * 2 * 2  # three are long; two members read two strands


def test_before_long_sequences_it_says_what_they_will_take(
    classifier: DNAClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _sequence_predicting.announcement(classifier._members, np.array([100, 2**18]), both_strands=True)
    assert said is not None and "1 of 2 sequences are long: about " in said and "GB" in said
    assert _sequence_predicting.announcement(classifier._members, np.array([100, 2**17]), both_strands=True) is None


@pytest.mark.slow
def test_one_base_of_half_a_million_changes_the_answer_and_memory_stays_flat(classifier: DNAClassifier) -> None:
    import resource

    model = classifier._members[0].model

    def answer(sequence: str) -> torch.Tensor:
        return read_in_pieces(model, DNAExamples(read_sequences([sequence])).batch(np.array([0])))

    answer(sequences(1, 2**17, 3)[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    long, place = sequences(1, 2**19, 4)[0], 377_777
    one = answer(long)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100 * 1024, f"{grown} KB more for four times the bases"
    other = answer(long[:place] + ("A" if long[place] != "A" else "C") + long[place + 1 :])
    assert not torch.equal(one, other)
