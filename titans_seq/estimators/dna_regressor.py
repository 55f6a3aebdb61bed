"""`DNARegressor`: numbers of DNA sequences."""

from __future__ import annotations

import time
from typing import Any, Self

from titans_seq.adapters.dna import N_FEATURES
from titans_seq.estimators._dna import DNAEstimator
from titans_seq.estimators._sequence_answers import Measuring
from titans_seq.estimators._sequence_targets import ValueTargets, read_groups, read_numbers, row_weights
from titans_seq.training.checkpoint import Checkpoint


class DNARegressor(Measuring, DNAEstimator):
    """Measures DNA sequences with the network of `DNAClassifier`.

    Targets are standardised, and what is minimised is the squared error. The validation score is the squared error
    over the variance, plus what Pearson's r lacks to 1.

    Parameters
    ----------
    reverse_complement, kmers, variant, stride, channels, dropout, n_members, max_epochs, max_minutes
        As in `DNAClassifier`, and so are the others.

    Attributes
    ----------
    both_strands_, median_length_, placed_share_, kmer_share_, validation_score_, history_, n_parameters_, fit_seconds_
        As of `DNAClassifier`.

    Examples
    --------
    >>> X = ["ACGTTATAAAGC", "GCGCGGCCATGC"] * 20
    >>> DNARegressor(max_epochs=3, random_state=0).fit(X, [1.5, 0.2] * 20).predict(X[:1]).shape
    (1,)
    """

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, init: Any = None, *,
        _checkpoint: Checkpoint | None = None,
    ) -> Self:  # fmt: skip
        """Fit on sequences and their numbers.

        Parameters
        ----------
        X : path, strings, records, frame or Sequences
            What `titans_seq.data.read_sequences` takes.
        y : array-like (n,) or (n, n_targets)
            Numbers in the order of the sequences.
        sample_weight : array-like (n,), optional
            What each row counts; only ratios matter, and a row of weight 0 is left out.
        groups : array-like (n,), optional
            Rows of one group are all trained on or all validated on: homologues (`titans_seq.data.homology_groups`),
            donors, chromosomes. Default: every row is a group of its own.
        init : DNAClassifier, DNARegressor, DNALanguageModel or path, optional
            Fitted model to start from, or where one was saved. Of a classifier or regressor the networks go on
            learning: their shape is taken over (arguments may not say otherwise), and the last layer is new where
            classes or targets are others. What is taken over from a regressor is its network, whose answers are
            standardised: they are read in the mean and spread of the new ``y``, not in those of the earlier one, also
            with ``max_epochs=0``. Of a `DNALanguageModel` (`pretrain`), what it says of each base is read
            beside the base: its hidden tokens and probabilities from both ends, up to 8,192 bases away. It stays as
            it is, and is saved within this model.

        Raises
        ------
        TypeError, ValueError
            For arguments or data that can't be used; the message names the argument, or the record or row.
        """
        began = time.monotonic()
        self._check_arguments()
        examples, start = self._begin(X, init)
        n = len(examples.sequences)
        numbers = read_numbers(y, n)
        weight = row_weights(sample_weight, n)
        targets, together = ValueTargets.of(numbers, weight), read_groups(groups, n)
        return self._fit(
            examples, start.encoder, targets, numbers, weight, N_FEATURES, began, together, start, _checkpoint
        )
