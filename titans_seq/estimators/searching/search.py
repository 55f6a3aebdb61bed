"""A search from beginning to end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from titans_seq.estimators.searching.evaluation import Fitting
from titans_seq.estimators.searching.isolated import Isolated
from titans_seq.estimators.searching.ledger import Ledger
from titans_seq.estimators.searching.loop import Loop
from titans_seq.estimators.searching.progress import Progress
from titans_seq.estimators.searching.sampler import TrialSampler
from titans_seq.estimators.searching.space import Space
from titans_seq.estimators.searching.storage import open_storage, open_study


@dataclass(frozen=True)
class Settings:
    """How to search.

    Attributes
    ----------
    n_trials : int
    pruner : {"median", "halving", "none"}
    storage : str, optional
        See `open_storage`.
    name : str
        Of the study: the same name in the same storage is the same study.
    n_jobs : int, optional
        Processes for trials; None: they run in this one.
    minutes : float, optional
        Time after which no trial begins.
    seed : int
    shown : bool
        Whether to show progress in a terminal.
    """

    n_trials: int
    pruner: str
    storage: str | None
    name: str
    n_jobs: int | None
    minutes: float | None
    seed: int
    shown: bool = False


def search(fitting: Fitting, space: Space, settings: Settings) -> tuple[optuna.Study, list[FrozenTrial]]:
    """Evaluate combinations until the study has as many trials as asked for; return it, and its trials."""
    deadline = None if settings.minutes is None else time.monotonic() + 60 * settings.minutes
    study = open_study(
        open_storage(settings.storage), settings.name, TrialSampler(settings.seed, space), settings.pruner,
        len(fitting.objectives),
    )  # fmt: skip
    ledger = Ledger(study, space, settings.n_trials)
    own = plain_arguments(fitting.estimator, space)
    if space.holds(own):
        ledger.queue_first(own)
    with Progress(ledger, settings.shown) as progress:
        loop = Loop(ledger, deadline, progress.update)
        if settings.n_jobs is None:
            loop.run_here(fitting)
        else:
            loop.run_isolated([Isolated(fitting, settings.n_jobs) for _ in range(settings.n_jobs)])
    return study, ledger.trials()


def plain_arguments(estimator: Any, space: Space) -> dict[str, Any]:
    """Return the estimator's own values of what is searched; numpy's as Python's."""
    given = estimator.get_params(deep=False)
    return {
        name: value.item() if isinstance(value := given[name], np.generic) else value
        for name in space.axes
        if name in given
    }
