"""What a model of labelled sequences has to be better than: counts and places, read by linear models and by trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Sequences
from titans_seq.evaluation import sequence_baselines as linear
from titans_seq.evaluation.sequence_counts import kmer_counts, position_one_hot

FloatArray = NDArray[np.float64]
TREES = {"max_iter": 60, "max_bins": 32, "early_stopping": False, "random_state": 0}


def answers_of(
    model: str, train: Sequences, answers: NDArray[Any], test: Sequences, *, numbers: bool
) -> FloatArray:  # fmt: skip
    """Fit a baseline and ask it: probabilities (n_test, n_classes), or numbers (n_test,)."""
    if model == "majority":
        return linear.majority(answers, len(test))
    if model.endswith("_hgb"):
        return _trees(model.removesuffix("_hgb"), train, answers, test, numbers)
    if model == "one_hot":
        return (linear.position_ridge if numbers else linear.position_logistic)(train, answers, test)
    return (linear.kmer_ridge if numbers else linear.kmer_logistic)(train, answers, test, k=_k(model))


def _trees(features: str, train: Sequences, answers: NDArray[Any], test: Sequences, numbers: bool) -> FloatArray:
    """Gradient-boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    before, asked = _features(features, train), _features(features, test)
    if numbers:
        return np.asarray(HistGradientBoostingRegressor(**TREES).fit(before, answers).predict(asked))
    return np.asarray(HistGradientBoostingClassifier(**TREES).fit(before, answers).predict_proba(asked))


def _features(name: str, sequences: Sequences) -> NDArray[np.float32]:
    found = position_one_hot(sequences) if name == "one_hot" else kmer_counts(sequences, _k(name))
    return found.astype(np.float32).toarray()


def _k(name: str) -> int:
    return int(name.removeprefix("kmer_"))
