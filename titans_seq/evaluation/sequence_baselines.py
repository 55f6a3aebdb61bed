"""What models of labelled DNA sequences are measured against: linear models, each with one fixed setting.

Each is fitted on training sequences and answers for test sequences. Classes are those of `numpy.unique` of the training
labels; numbers come back in their own units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.data import Sequences
from titans_seq.evaluation.sequence_counts import kmer_counts, position_one_hot

FloatArray = NDArray[np.float64]

_ITERATIONS = 2000


def majority(labels: ArrayLike, n: int) -> FloatArray:
    """Return the shares of the classes in training as the probabilities of ``n`` sequences, (n, n_classes)."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    return np.tile(counts / counts.sum(), (n, 1))


def kmer_logistic(
    train: Sequences, labels: ArrayLike, test: Sequences, *, k: int = 5, both_strands: bool = False
) -> FloatArray:
    """Return probabilities of a logistic regression on k-mer counts.

    Counts are divided by the largest of each k-mer in training; penalty C = 1.

    Parameters
    ----------
    train : Sequences
    labels : array (n_train,)
    test : Sequences
    k, both_strands
        As in `kmer_counts`.

    Returns
    -------
    float array (n_test, n_classes)
    """
    before, asked = (kmer_counts(part, k, both_strands=both_strands) for part in (train, test))
    return _logistic(before, asked, labels, penalty=1.0)


def position_logistic(train: Sequences, labels: ArrayLike, test: Sequences) -> FloatArray:
    """Return probabilities of a logistic regression on which base stands where, (n_test, n_classes).

    For sequences of one length; penalty C = 0.05.
    """
    return _logistic(*_one_hot(train, test), labels, penalty=0.05)


def kmer_ridge(
    train: Sequences, numbers: ArrayLike, test: Sequences, *, k: int = 5, both_strands: bool = False
) -> FloatArray:
    """Return the numbers of a ridge on k-mer counts, (n_test,); counts as in `kmer_logistic`, penalty 1."""
    before, asked = (kmer_counts(part, k, both_strands=both_strands) for part in (train, test))
    return _ridge(before, asked, numbers, penalty=1.0)


def position_ridge(train: Sequences, numbers: ArrayLike, test: Sequences) -> FloatArray:
    """Return the numbers of a ridge on which base stands where, (n_test,).

    For sequences of one length; penalty 10.
    """
    return _ridge(*_one_hot(train, test), numbers, penalty=10.0)


def _one_hot(train: Sequences, test: Sequences) -> tuple[Any, Any]:
    both = position_one_hot(Sequences.concat([train, test]))
    return both[: len(train)], both[len(train) :]


def _logistic(train: Any, test: Any, labels: ArrayLike, *, penalty: float) -> FloatArray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    model = make_pipeline(MaxAbsScaler(), LogisticRegression(C=penalty, max_iter=_ITERATIONS))
    return np.asarray(model.fit(train, np.asarray(labels)).predict_proba(test), dtype=np.float64)


def _ridge(train: Any, test: Any, numbers: ArrayLike, *, penalty: float) -> FloatArray:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    model = make_pipeline(MaxAbsScaler(), Ridge(alpha=penalty, solver="sparse_cg"))
    return np.asarray(model.fit(train, np.asarray(numbers, dtype=np.float64)).predict(test), dtype=np.float64)
