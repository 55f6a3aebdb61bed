"""Probes: a linear one and a small network, on all that varies in a state."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
COMPONENTS = 256


def probed(states: Array, labels: Array, train: Array) -> dict[str, int]:
    """Right answers of each probe on the states that it was not trained on.

    Parameters
    ----------
    states : array (n, numbers)
    labels : array (n,)
    train : bool array (n,)
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    seen, unseen = components(states[train], states[~train])
    probes = {
        "logistic regression": LogisticRegression(C=0.1, max_iter=500),
        "network of 64": MLPClassifier((64,), alpha=0.1, max_iter=100, random_state=0),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return {
            name: int((probe.fit(seen, labels[train]).predict(unseen) == labels[~train]).sum())
            for name, probe in probes.items()
        }


def components(seen: Array, unseen: Array) -> tuple[Array, Array]:
    """Principal components of the standardised numbers, found on those seen.

    What has no spread has no part in them. Without loss where there are fewer states than components.
    """
    mean, spread = seen.mean(0), seen.std(0)
    varied = spread > 0
    if not varied.any():
        return np.zeros((len(seen), 1)), np.zeros((len(unseen), 1))
    a, b = ((x[:, varied] - mean[varied]) / spread[varied] for x in (seen, unseen))
    values, vectors = np.linalg.eigh((a @ a.T).astype(np.float64))
    best = np.argsort(-values)[: min(COMPONENTS, int((values > 1e-9 * values[-1]).sum()))]
    scale = np.sqrt(values[best])
    basis = vectors[:, best] / scale
    unit = np.sqrt(len(seen)) / scale.max()
    return (a @ (a.T @ basis)) * unit, (b @ (a.T @ basis)) * unit
