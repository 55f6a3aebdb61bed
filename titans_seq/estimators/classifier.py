"""`TitansClassifier`: labels of numeric series."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np

from titans_seq.adapters.values import ValueExamples
from titans_seq.estimators._sequence_answers import Classifying
from titans_seq.estimators._sequence_targets import ClassTargets, class_weights, read_labels, row_weights
from titans_seq.estimators._values import ValueEstimator


class TitansClassifier(Classifying, ValueEstimator):
    """Tells series of numbers apart with the network of `DNAClassifier`.

    An array (n, columns) is read as n series of one channel, a column a step, each column standardised by itself; an
    array (n, time, channels) as n series of several channels, each standardised over all its steps.

    Parameters
    ----------
    class_weight : {"balanced"}, dict or None, default None
        What the rows of a class count, as in scikit-learn.
    variant, stride, channels, dropout, max_epochs, max_minutes, validation_fraction, early_stopping_patience
        As in `DNAClassifier`, and so are the others; the network is smaller by default.
    n_members : int, default 1
        Networks whose answers are averaged; None for 3 where there are few numbers.

    Attributes
    ----------
    classes_ : array
        Classes, of the type they came in; 0, 1, … of several labels.
    n_features_in_ : int
        Columns, or steps of three-dimensional arrays.
    placed_share_, temperature_, validation_score_, history_, n_parameters_, fit_seconds_
        As of `DNAClassifier`.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.sin(np.arange(40)[:, None] + np.arange(12))
    >>> TitansClassifier(max_epochs=3, random_state=0).fit(X, X[:, 0] > 0).predict(X[:2]).dtype
    dtype('bool')
    """

    def __init__(
        self,
        *,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        variant: str = "mag",
        stride: int | None = None,
        channels: int = 32,
        d_model: int = 16,
        n_layers: int = 1,
        n_heads: int = 2,
        memory_depth: int = 2,
        memory_expansion: int = 2,
        chunk_size: int = 16,
        window_size: int = 16,
        n_persistent: int = 4,
        dropout: float = 0.1,
        rule: str = "bounded",
        surprise_threshold: float = 0.0,
        initial_theta: float | None = None,
        initial_eta: float = 0.5,
        initial_alpha: float = 0.0025,
        hold_eta: float | None = None,
        n_members: int | None = 1,
        max_epochs: int | None = None,
        max_minutes: float | None = None,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.02,
        batch_size: int = 64,
        validation_fraction: float = 0.15,
        early_stopping_patience: int = 6,
        device: str = "auto",
        precision: str = "32",
        devices: int = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__(
            variant=variant, stride=stride, channels=channels, d_model=d_model, n_layers=n_layers, n_heads=n_heads,
            memory_depth=memory_depth, memory_expansion=memory_expansion, chunk_size=chunk_size,
            window_size=window_size, n_persistent=n_persistent, dropout=dropout, rule=rule,
            surprise_threshold=surprise_threshold, initial_theta=initial_theta, initial_eta=initial_eta,
            initial_alpha=initial_alpha, hold_eta=hold_eta, n_members=n_members,
            max_epochs=max_epochs, max_minutes=max_minutes, learning_rate=learning_rate, weight_decay=weight_decay,
            batch_size=batch_size, validation_fraction=validation_fraction,
            early_stopping_patience=early_stopping_patience, device=device, precision=precision, devices=devices,
            num_nodes=num_nodes, strategy=strategy, random_state=random_state, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit on series and their labels.

        Parameters
        ----------
        X : array-like (n, columns) or (n, time, channels)
        y : array-like (n,) or (n, n_labels)
            Labels: integers, text or booleans. Two dimensions of 0 and 1: several labels, each there or not.
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
        labels = read_labels(y, len(values))
        targets = ClassTargets.of(labels)
        weight = class_weights(self.class_weight, labels, row_weights(sample_weight, len(values)))
        return self._fit(ValueExamples(values), self._encoder(values), targets, labels, weight, values.shape[2], began)
