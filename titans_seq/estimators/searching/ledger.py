"""Which trials count, who takes the next one, and what becomes of those whose process was killed.

A study has a place for each trial that was asked for. A trial takes one unless it failed: another combination then
gets its place. A trial that was given up (its process is gone) keeps its place until its combination is queued again.
Where two processes ask for the last place at the same moment, the trial of the higher number is surplus: it is never
evaluated.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from titans_seq.estimators.searching.liveness import Pulse, Watch
from titans_seq.estimators.searching.outcome import Outcome
from titans_seq.estimators.searching.space import Space

MOST_ATTEMPTS = 3
"""A combination whose process was killed so often is not tried again: it counts as failed."""
_OPEN = (TrialState.WAITING, TrialState.RUNNING)


class Ledger:
    """The trials of a study, as one process sees them.

    Parameters
    ----------
    study : optuna.Study
    space : Space
    n_trials : int
        Trials that are to be completed or pruned. Fewer are where there are not so many combinations, or where as many
        have failed: then the study ends.
    """

    def __init__(self, study: optuna.Study, space: Space, n_trials: int) -> None:
        self.study, self.space, self.n_trials = study, space, n_trials
        self.pulse, self._watch, self._lock = Pulse(study), Watch(), threading.RLock()

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that are part of the study, failed ones among them, in the order of their numbers."""
        return [trial for trial in standing(self._all()) if not is_pending(trial)]

    def is_complete(self) -> bool:
        """Whether there is nothing left to do, neither here nor in other processes."""
        placed, places, broken = self._places()
        if broken:
            return not any(trial.state == TrialState.RUNNING for trial in placed)
        return len(placed) >= places and not any(_is_open(trial) for trial in placed[:places])

    def _all(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _places(self) -> tuple[list[FrozenTrial], int, bool]:
        """Return the trials that take places, how many places there are, and whether too many have failed."""
        trials = standing(self._all())
        placed = [trial for trial in trials if trial.state != TrialState.FAIL or is_pending(trial)]
        failed = len(trials) - len(placed)
        places = self.n_trials if self.space.size is None else min(self.n_trials, self.space.size - failed)
        return placed, places, failed >= self.n_trials

    def queue_first(self, values: dict[str, Any]) -> None:
        """Let the first trial be of these values, unless there was one."""
        with self._lock:
            if not any("first" in trial.user_attrs for trial in self.study.get_trials(deepcopy=False)):
                self.study.enqueue_trial(values, user_attrs={"first": True, "copy_of": "first"})

    def claim(self) -> Trial | None:
        """Take the next trial; None if there is none to take now."""
        with self._lock:
            while True:
                placed, places, broken = self._places()
                waiting = any(trial.state == TrialState.WAITING for trial in placed[:places])
                if broken or (len(placed) >= places and not waiting):
                    return None
                trial = self.study.ask(self.space.distributions)
                trial.set_user_attr("process", self.pulse.name)
                placed, places, _ = self._places()
                if trial.number in {other.number for other in placed[:places]}:
                    return trial
                trial.set_user_attr("surplus", True)
                self._end(trial, TrialState.FAIL)

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Note an intermediate value; return whether to prune."""
        with self._lock:
            if len(self.study.directions) > 1:
                return False
            try:
                trial.report(value, step)
            except UpdateFinishedTrialError:  # others gave this process up: what it does is of no use any more
                return True
            return trial.should_prune()

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """Note how a trial ended."""
        with self._lock:
            with suppress(UpdateFinishedTrialError):  # others gave this process up: the trial is theirs now
                for name, value in outcome.facts.items():
                    trial.set_user_attr(name, value)
                if outcome.fault is not None:
                    trial.set_user_attr("fault", outcome.fault)
            if outcome.values is not None:
                self._end(trial, TrialState.COMPLETE, outcome.values)
            else:
                self._end(trial, TrialState.PRUNED if outcome.pruned else TrialState.FAIL)

    def give_up(self, trial: Trial | FrozenTrial) -> None:
        """Free the place of a trial that nobody works on any more, and queue its combination again."""
        with self._lock, suppress(UpdateFinishedTrialError):
            frozen = self.study.trials[trial.number]
            self.study._storage.set_trial_user_attr(frozen._trial_id, "given_up", True)
            if self._end(trial, TrialState.FAIL):
                self.reclaim()

    def reclaim(self) -> None:
        """Give up the trials of processes that are gone, and queue what was given up without being queued again."""
        with self._lock:
            for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                process = trial.user_attrs.get("process")
                if process != self.pulse.name and self._watch.is_gone(process, self.study.user_attrs, trial.number):
                    self.give_up(trial)
            trials = self.study.get_trials(deepcopy=False)
            queued = {trial.user_attrs.get("copy_of") for trial in trials}
            for trial in trials:
                if is_pending(trial) and trial.number not in queued:
                    self._queue_again(trial)

    def _queue_again(self, trial: FrozenTrial) -> None:
        first = {"first": True} if "first" in trial.user_attrs else {}
        about = {"copy_of": trial.number, "attempt": attempt_of(trial) + 1, **first}
        self.study.enqueue_trial(combination_of(trial), user_attrs=about)

    def _end(self, trial: Trial | FrozenTrial, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set the state of a trial; return False if it has ended already."""
        try:
            self.study.tell(trial.number, values, state)
        except (ValueError, UpdateFinishedTrialError):
            if self.study.trials[trial.number].state in _OPEN:
                raise
            return False
        return True


def standing(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that count, in the order of their numbers: those neither surplus nor queued again."""
    copied = {trial.user_attrs.get("copy_of") for trial in trials}
    found, copies = [], set()
    for trial in sorted(trials, key=lambda trial: trial.number):
        copy_of = trial.user_attrs.get("copy_of")
        if "surplus" in trial.user_attrs or (copy_of is not None and copy_of in copies):
            continue
        copies.add(copy_of)
        if not (_is_freed(trial) and (trial.number in copied or not combination_of(trial))):
            found.append(trial)
    return found


def is_pending(trial: FrozenTrial) -> bool:
    """Whether a trial was given up and its combination is to be queued again."""
    return _is_freed(trial) and "surplus" not in trial.user_attrs and bool(combination_of(trial))


def _is_freed(trial: FrozenTrial) -> bool:
    given_up = trial.state == TrialState.FAIL and "given_up" in trial.user_attrs
    return given_up and attempt_of(trial) < MOST_ATTEMPTS


def _is_open(trial: FrozenTrial) -> bool:
    return trial.state in _OPEN or is_pending(trial)


def attempt_of(trial: FrozenTrial) -> int:
    """Return how often the combination of a trial was begun, this time included."""
    return int(trial.user_attrs.get("attempt", 1))


def combination_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return the values of a trial, those it is queued with among them."""
    return dict(trial.system_attrs.get("fixed_params", {}) | trial.params)


def seconds_of(trial: FrozenTrial) -> float | None:
    """Return how long a trial took."""
    begun, ended = trial.datetime_start, trial.datetime_complete
    if not isinstance(begun, datetime) or not isinstance(ended, datetime):
        return None
    return (ended - begun).total_seconds()
