"""Classifying and measuring: what an answer of the networks is called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from titans_seq.estimators._sequence_base import SequenceEstimator
from titans_seq.estimators._sequence_targets import ClassTargets, ValueTargets


class Classifying(ClassifierMixin, SequenceEstimator):
    """Classes, probabilities and logits."""

    _targets: ClassTargets

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class of each sequence.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        array (n,), or (n, n_labels) of 0 and 1
            Of the type of the labels of `fit`; of several labels, those whose probability is above a half.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            For sequences that can't be read.
        """
        answers = self._answers(X)
        return self._targets.decode(answers)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, in the order of `classes_`.

        Calibrated: logits are divided by the temperature that fits validation rows best (Guo et al. 2017, section
        4.2).

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        float array (n, n_classes)
            Rows sum to 1. Of several labels: (n, n_labels), the probability of each.
        """
        logits = self._answers(X)
        return self._targets.probabilities(logits)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return calibrated logits: of two classes the log odds of the second, (n,); otherwise (n, n_classes)."""
        logits = self._answers(X)
        if self._targets.many or logits.shape[1] > 2:
            return logits
        return logits[:, 1] - logits[:, 0]


class Measuring(RegressorMixin, SequenceEstimator):
    """Numbers."""

    _targets: ValueTargets

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the number of each sequence.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        float array (n,), or (n, n_targets) if the targets of `fit` had two dimensions

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            For sequences that can't be read.
        """
        answers = self._answers(X)
        return self._targets.decode(answers)
