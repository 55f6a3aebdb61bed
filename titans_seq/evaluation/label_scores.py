"""How well classes and numbers were told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

CLASS_SCORES = ("accuracy", "mcc", "auroc", "auprc", "log_loss")
VALUE_SCORES = ("pearson", "spearman", "mse")


def class_scores(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[Any], *, positive: Any = None
) -> dict[str, float]:
    """Measure probabilities of classes.

    Parameters
    ----------
    labels : array (n,)
        Each among ``classes``, at least two of which occur.
    probabilities : float array (n, n_classes)
    classes : sequence
        In the order of the columns.
    positive : class, optional
        Of two classes, the one whose precision and recall `auprc` is about; default the second. `auroc` is the same for
        both.

    Returns
    -------
    dict
        - accuracy: share of rows whose likeliest class is right;
        - mcc: Matthews' correlation, of several classes R_K of Gorodkin (2004);
        - auroc: area under the ROC curve; of several classes the mean over classes that occur, each against the rest;
        - auprc: average precision, likewise;
        - log_loss: mean of -log p of the right class, in nats; p is at least 2e-16.

    Raises
    ------
    ValueError
        Arrays whose shapes do not belong together, an unknown label, or one class only.
    """
    from sklearn.metrics import accuracy_score, average_precision_score, log_loss, matthews_corrcoef, roc_auc_score

    y, p, names = np.asarray(labels), np.asarray(probabilities, dtype=np.float64), np.asarray(classes)
    where = _places(y, p, names)
    there = [i for i in range(len(names)) if (where == i).any()]
    if len(there) < 2:
        raise ValueError(f"all {len(y)} labels are {y.tolist()[0]!r}; scores need at least two classes")
    if len(names) == 2:
        there = [1 if positive is None else _place_of(positive, names)]
    likeliest = p.argmax(1)
    return {
        "accuracy": float(accuracy_score(where, likeliest)),
        "mcc": float(matthews_corrcoef(where, likeliest)),
        "auroc": float(np.mean([roc_auc_score(where == i, p[:, i]) for i in there])),
        "auprc": float(np.mean([average_precision_score(where == i, p[:, i]) for i in there])),
        "log_loss": float(log_loss(where, p, labels=np.arange(len(names)))),
    }


def value_scores(actual: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Measure numbers.

    Parameters
    ----------
    actual, predicted : float arrays (n,)

    Returns
    -------
    dict
        pearson: linear correlation; spearman: that of the ranks; mse: mean squared error. Correlations of what does not
        vary are undefined, and left out.

    Raises
    ------
    ValueError
        Arrays whose shapes differ, or of fewer than two numbers.
    """
    from scipy.stats import pearsonr, spearmanr

    y, f = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.shape != f.shape or y.ndim != 1 or len(y) < 2:
        raise ValueError(f"scores need two rows of at least two numbers, got shapes {y.shape} and {f.shape}")
    mse = {"mse": float(np.mean((y - f) ** 2))}
    if np.ptp(y) == 0 or np.ptp(f) == 0:
        return mse
    return {"pearson": float(pearsonr(y, f).statistic), "spearman": float(spearmanr(y, f).statistic), **mse}


def _places(y: NDArray[Any], p: FloatArray, classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the column of each label."""
    if p.shape != (len(y), len(classes)) or y.ndim != 1:
        raise ValueError(f"{len(y)} labels and {len(classes)} classes need as many rows and columns, got {p.shape}")
    matches = y[:, None] == classes[None, :]
    unknown = ~matches.any(1)
    if unknown.any():
        row = int(unknown.argmax())
        raise ValueError(
            f"row {row}: the label {y.tolist()[row]!r} is none of {', '.join(map(repr, classes.tolist()))}"
        )
    return matches.argmax(1)


def _place_of(label: Any, classes: NDArray[Any]) -> int:
    found = np.flatnonzero(classes == label)
    if not len(found):
        raise ValueError(f"positive {label!r} is none of {', '.join(map(repr, classes.tolist()))}")
    return int(found[0])
