"""Linear models of sparse features: ridge and logistic regressions, one of them for each label."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.training.objectives import Objective

FloatArray = NDArray[np.float64]

_ITERATIONS = 200
_ABSENT = -20.0
"""Score of a class that no sequence has which is learned from."""


def solve(
    features: Any,
    targets: NDArray[Any],
    weight: FloatArray,
    objective: Objective,
    penalty: float,
    start: Any,
    late: Callable[[], bool],
) -> tuple[FloatArray, FloatArray, Any]:
    """Fit logistic regressions, or a ridge regression for numbers.

    Parameters
    ----------
    features : scipy CSR matrix (n, n_features)
    targets, weight : arrays (n, ...) and (n,)
    objective : Objective
    penalty : float
        Of squared weights.
    start : object, optional
        What the fit with another penalty returned last.
    late : callable
        Whether no further label is to be fitted; it keeps what it had, or says how often it occurs.

    Returns
    -------
    weights : float array (n_features, n_outputs)
    bias : float array (n_outputs,)
    start : object
        For the next fit.
    """
    if objective.kind == "values":
        return *_ridge(features, targets, weight, penalty), None
    if objective.kind == "classes":
        return _logistic(features, targets, weight, objective.n_outputs, penalty, start)
    starts = start or [None] * objective.n_outputs
    each = [
        _logistic(features, labels.astype(np.int64), weight, 2, penalty, starts[i], fit=not (i and late()))
        for i, labels in enumerate(targets.T)
    ]
    weights, bias = (np.stack([found[i][..., 1] - found[i][..., 0] for found in each], -1) for i in range(2))
    return weights, bias, [found[2] for found in each]


def _ridge(features: Any, targets: NDArray[Any], weight: FloatArray, penalty: float) -> tuple[FloatArray, FloatArray]:
    from sklearn.linear_model import Ridge

    fitted = Ridge(alpha=penalty, solver="sparse_cg", tol=1e-5)
    fitted.fit(features, targets.reshape(len(targets), -1), sample_weight=weight)
    return fitted.coef_.reshape(-1, features.shape[1]).T, np.asarray(fitted.intercept_, dtype=np.float64).reshape(-1)


def _logistic(
    features: Any, labels: Int64Array, weight: FloatArray, n_classes: int, penalty: float, start: Any, fit: bool = True
) -> tuple[FloatArray, FloatArray, Any]:
    """Return weights (n_features, n_classes) and bias of a logistic regression, and itself, to start the next one."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.zeros((features.shape[1], n_classes)), np.full(n_classes, _ABSENT)
    present = np.unique(labels)
    if len(present) == 1:
        bias[present] = 0.0
        return weights, bias, None
    if not (fit or start):  # nothing but how often each class occurs
        bias[present] = np.log([np.average(labels == k, weights=weight) for k in present])
        return weights, bias, None
    model = start or LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
    model.set_params(C=1 / penalty)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops where it is good enough
        if fit:
            model.fit(features, labels, sample_weight=weight)
    signs = np.array([-0.5, 0.5])
    weights[:, present] = model.coef_.T * signs if len(present) == 2 else model.coef_.T
    bias[present] = model.intercept_ * signs if len(present) == 2 else model.intercept_
    return weights, bias, model
