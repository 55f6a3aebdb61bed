"""`TitansRegressor`: numbers of numeric series."""

from __future__ import annotations

import time
from typing import Any, Self

from titans_seq.adapters.values import ValueExamples
from titans_seq.estimators._sequence_answers import Measuring
from titans_seq.estimators._sequence_targets import ValueTargets, read_numbers, row_weights
from titans_seq.estimators._values import ValueEstimator


class TitansRegressor(Measuring, ValueEstimator):
    """Measures series of numbers with the network of `DNAClassifier`.

    Arrays are read as by `TitansClassifier`. Targets are standardised, and what is minimised is the squared error.

    Parameters
    ----------
    variant, stride, channels, dropout, n_members, max_epochs, max_minutes
        As in `TitansClassifier`, and so are the others.

    Attributes
    ----------
    n_features_in_ : int
        Columns, or steps of three-dimensional arrays.
    placed_share_, validation_score_, history_, n_parameters_, fit_seconds_
        As of `DNAClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.sin(np.arange(40)[:, None] + np.arange(12))
    >>> TitansRegressor(max_epochs=3, random_state=0).fit(X, X[:, 0]).predict(X[:2]).shape
    (2,)
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit on series and their numbers.

        Parameters
        ----------
        X : array-like (n, columns) or (n, time, channels)
        y : array-like (n,) or (n, n_targets)
        sample_weight : array-like (n,), optional
            What each row counts; only ratios matter, and a row of weight 0 is left out.

        Raises
        ------
        TypeError, ValueError
            For arguments or data that can't be used; the message names the argument or row.
        """
        began = time.monotonic()
        self._check_arguments()
        values = self._read(X)
        numbers = read_numbers(y, len(values))
        weight = row_weights(sample_weight, len(values))
        targets = ValueTargets.of(numbers, weight)
        return self._fit(ValueExamples(values), self._encoder(values), targets, numbers, weight, values.shape[2], began)
