"""What classifiers and regressors of sequences share."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from titans_seq.adapters.sequence_network import Examples, NetworkShape
from titans_seq.estimators import _sequence_fitting, _sequence_persistence
from titans_seq.estimators._length_warning import warn_of_lengths
from titans_seq.estimators._processes import default_device, present, started
from titans_seq.estimators._sequence_predicting import Member, answers
from titans_seq.estimators._sequence_settings import check_arguments, network_shape
from titans_seq.estimators._sequence_targets import ClassTargets, ValueTargets
from titans_seq.training.checkpoint import Checkpoint
from titans_seq.training.examples import Labelled
from titans_seq.training.launch import is_main

if TYPE_CHECKING:
    from titans_seq.estimators._sequence_starting import Start


class SequenceEstimator(BaseEstimator):
    """Training, answering, saving and loading; what is read, and as what, is up to the classes below it."""

    # Of the constructors below.
    variant: str
    stride: int | None
    d_model: int
    n_members: int | None
    max_epochs: int | None
    max_minutes: float | None
    learning_rate: float
    weight_decay: float
    batch_size: int
    channels: int
    n_persistent: int
    dropout: float
    rule: str
    validation_fraction: float
    early_stopping_patience: int
    device: str
    precision: str
    devices: int
    num_nodes: int
    strategy: str
    random_state: int | np.random.RandomState | None
    verbose: int

    _members: list[Member]
    _shape: NetworkShape
    _targets: ClassTargets | ValueTargets

    def _fit(
        self, examples: Examples, encoder: Any, targets: ClassTargets | ValueTargets, y: NDArray[Any],
        weight: NDArray[np.float64], n_features: int, began: float, groups: NDArray[np.int64] | None = None,
        start: Start | None = None, checkpoint: Checkpoint | None = None,
    ) -> Self:  # fmt: skip
        """Train on what was read; ``y`` as it is to be encoded, ``weight`` of each row, ``groups`` kept together."""
        objective = targets.objective
        ranks = started(self, self._device())
        if checkpoint is not None:
            checkpoint.join(ranks)
            began -= checkpoint.earlier
        ranks.check_same("X", examples.lengths, weight)
        deadline = None if self.max_minutes is None else began + 60 * self.max_minutes
        about = (self, examples.lengths, n_features, objective.n_outputs)
        shape = network_shape(*about) if start is None else start.shape_for(*about)
        seed = ranks.same(int(check_random_state(self.random_state).randint(2**31 - 1)))
        labelled = Labelled(examples, targets.encode(y), weight)
        warm = None if start is None else partial(start.warm, targets=targets)
        keep = start is not None and start.says_the_same(targets)
        plan = _sequence_fitting.Plan(
            labelled, objective, shape, encoder, deadline, groups, warm, keep, ranks, checkpoint, self._uses_kmers(),
            None if start is None else partial(start.earlier, targets=targets),
        )  # fmt: skip
        fitted = _sequence_fitting.fit(self, plan, seed)
        self._members, self._shape, self._targets = fitted.members, shape, targets
        self.both_strands_, self.history_ = fitted.both_strands, fitted.history
        self.median_length_: int | None = int(np.median(examples.lengths))
        self._set_derived()
        self.fit_seconds_ = time.monotonic() - began
        return self

    def _set_derived(self) -> None:
        """Set what follows from the rest."""
        if isinstance(self._targets, ClassTargets):
            self.classes_ = self._targets.classes
        self.validation_score_ = float(np.mean([member.choice.score for member in self._members]))
        self.placed_share_ = [member.choice.placed_share for member in self._members]
        self.temperature_ = [member.choice.temperature for member in self._members]
        self.n_parameters_ = sum(member.model.n_parameters() for member in self._members)
        self.n_iter_ = max(len(run) - 1 for run in self.history_)

    def _answers(self, X: Any) -> NDArray[np.float64]:
        """Return logits or standardised numbers of every row, (n, n_outputs)."""
        check_is_fitted(self, "_members", msg="this %(name)s is not fitted yet; call fit first")
        examples = self._examples(X)
        warn_of_lengths(self._members, examples.lengths)
        self._announce(examples.lengths)
        device = self._device()
        ranks = present(self, device)
        ranks.check_same("X", examples.lengths)
        return answers(self._members, examples, both_strands=self.both_strands_, device=device, ranks=ranks)

    def _announce(self, lengths: NDArray[np.int64]) -> None:
        """Say what it will take to read these, if it is long."""

    def _examples(self, X: Any) -> Examples:
        raise NotImplementedError

    def _uses_kmers(self) -> bool:
        """Whether k-mers may count beside the networks."""
        return False

    def _both_strands(self) -> bool | None:
        """Return whether both strands are read; None leaves it to validation."""
        return False

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a folder with ``model.safetensors`` and ``model.json``, whole or not at all.

        Raises
        ------
        NotFittedError
            Before `fit`.
        FileExistsError
            If ``path`` exists and is not a saved model.
        """
        check_is_fitted(self, "_members", msg="this %(name)s is not fitted yet; call fit first")
        _sequence_persistence.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; no code in the files is run.

        Raises
        ------
        FileNotFoundError
            If there is no saved model.
        ValueError
            If a file is damaged, or holds another estimator.
        """
        return _sequence_persistence.load(cls, path)

    def _own_tensors(self) -> dict[str, Tensor]:
        """Return what is saved beside the members."""
        return {}

    def _check_arguments(self) -> None:
        check_arguments(self)

    def _device(self) -> torch.device:
        return default_device() if self.device == "auto" else torch.device(self.device)

    def _show_progress(self) -> bool:
        return bool(self.verbose) and is_main() and sys.stdout.isatty() and sys.stderr.isatty()
