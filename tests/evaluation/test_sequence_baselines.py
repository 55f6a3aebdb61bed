"""Linear baselines find what they can see, and nothing that they can't."""

from __future__ import annotations

import numpy as np
from planted_motifs import planted

from titans_seq.data import Sequences, read_sequences
from titans_seq.evaluation import kmer_logistic, kmer_ridge, position_logistic, position_ridge, value_scores
from titans_seq.evaluation.sequence_baselines import majority


def split(strings: list[str], holds: np.ndarray, n: int) -> tuple[Sequences, np.ndarray, Sequences, np.ndarray]:
    sequences = read_sequences(strings)
    rows = np.arange(len(strings))
    return sequences[rows < n], holds[:n], sequences[rows >= n], holds[n:]


def right(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return float((probabilities.argmax(1) == truth).mean())


def test_kmers_find_a_motif_anywhere_and_places_do_not() -> None:
    train, labels, test, truth = split(*planted(900), 700)
    assert right(kmer_logistic(train, labels, test, k=4), truth) > 0.85
    assert right(position_logistic(train, labels, test), truth) < 0.7


def test_places_find_a_motif_at_its_place() -> None:
    train, labels, test, truth = split(*planted(400, at=11), 300)
    assert right(position_logistic(train, labels, test), truth) > 0.97


def test_both_strands_find_a_motif_on_either() -> None:
    strings, holds = planted(900, both=True)
    train, labels, test, truth = split(strings, holds, 700)
    one, both = (right(kmer_logistic(train, labels, test, k=4, both_strands=b), truth) for b in (False, True))
    assert both > 0.85
    assert both >= one
    turned = test.reverse_complement()
    np.testing.assert_allclose(
        kmer_logistic(train, labels, test, k=4, both_strands=True),
        kmer_logistic(train, labels, turned, k=4, both_strands=True),
    )


def test_probabilities_are_of_the_classes_in_order() -> None:
    train, labels, test, truth = split(*planted(400, at=11), 300)
    names = np.where(labels, "a motif", "none")
    found = position_logistic(train, names, test)
    np.testing.assert_allclose(found.sum(1), 1)
    assert found[truth, 0].mean() > 0.8 > 0.2 > found[~truth, 0].mean()


def test_the_majority_says_the_shares_of_training() -> None:
    np.testing.assert_allclose(majority(["b", "a", "b", "b"], 2), [[0.25, 0.75]] * 2)


def test_ridges_measure_what_is_linear_in_what_they_read() -> None:
    random = np.random.default_rng(0)
    strings = ["".join(random.choice(list("ACGT"), 60)) for _ in range(500)]
    sequences, rows = read_sequences(strings), np.arange(500)
    numbers = np.array([text.count("GC") for text in strings]) + 0.1 * random.standard_normal(500)
    train, test = sequences[rows < 400], sequences[rows >= 400]
    assert value_scores(numbers[400:], kmer_ridge(train, numbers[:400], test, k=2))["pearson"] > 0.95
    placed = np.array([float(text[30] == "A") - float(text[2] == "C") for text in strings])
    assert value_scores(placed[400:], position_ridge(train, placed[:400], test))["pearson"] > 0.9
