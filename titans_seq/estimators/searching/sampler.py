"""Which combination a trial gets: TPE, seeded by trial, and none that another trial has."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from titans_seq.estimators.searching.space import Space

STARTUP = 8
"""Trials drawn at random before there is a model of what is good."""
_DRAWS = 50


class TrialSampler(BaseSampler):
    """Tree-structured Parzen estimator (Bergstra et al. 2011) whose draws depend on the seed and on the trial's number.

    So processes on one study draw differently although they have the same seed, and a study that was interrupted goes
    on as it would have. A combination that another trial has is drawn again, as long as there are others.
    """

    def __init__(self, seed: int, space: Space) -> None:
        self.seed, self.space = seed, space

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the whole space: all arguments are drawn together."""
        return self.space.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw a combination."""
        tpe = self._tpe(trial.number)
        taken = {combination(known) for known in study.get_trials(deepcopy=False) if known.number != trial.number}
        for _ in range(_DRAWS):
            drawn = {name: tpe.sample_independent(study, trial, name, axis) for name, axis in search_space.items()}
            if _key(drawn) not in taken:
                break
        return drawn

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one argument; Optuna asks where a queued trial leaves one open."""
        return self._tpe(trial.number).sample_independent(study, trial, param_name, param_distribution)

    def _tpe(self, number: int) -> TPESampler:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=True)


def combination(trial: FrozenTrial) -> tuple[tuple[str, str], ...]:
    """Return the values of a trial, those it is queued with among them, as something to compare."""
    return _key(trial.system_attrs.get("fixed_params", {}) | trial.params)


def _key(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in values.items()))
