"""A study's loop: claim a trial, evaluate it, note how it ended; in several threads, each with a process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from titans_seq.estimators.searching.evaluation import Report
from titans_seq.estimators.searching.ledger import Ledger
from titans_seq.estimators.searching.outcome import Outcome

_POLL_SECONDS = 0.5


class Evaluator(Protocol):
    """A `Fitting`, or an `Isolated` one."""

    def evaluate(self, values: Mapping[str, Any], report: Report) -> Outcome:
        """Evaluate a trial."""


class Loop:
    """Runs trials until every place of the ledger has one that has ended, or the time is up.

    Parameters
    ----------
    ledger : Ledger
    deadline : float or None
        Time of `time.monotonic` after which no trial begins; those that run are finished.
    on_change : callable
        Called whenever a trial has ended; from any thread.
    """

    def __init__(self, ledger: Ledger, deadline: float | None, on_change: Callable[[], object]) -> None:
        self.ledger, self.deadline, self.on_change = ledger, deadline, on_change
        self._stop = threading.Event()
        self._faults: list[BaseException] = []

    def run_here(self, evaluator: Evaluator) -> None:
        """Evaluate in this thread."""
        self.ledger.pulse.start()
        try:
            self._work(evaluator)
        finally:
            self.ledger.pulse.stop()

    def run_isolated(self, evaluators: Sequence[Any]) -> None:
        """Evaluate with each of several `Isolated` in a thread of its own."""
        threads = [threading.Thread(target=self._work_or_note, args=(e,), daemon=True) for e in evaluators]
        self.ledger.pulse.start()
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and not self._faults:
                for thread in threads:
                    thread.join(0.1)
        finally:
            self._stop.set()
            for evaluator in evaluators:
                evaluator.stop()
            for thread in threads:
                thread.join()
            for evaluator in evaluators:
                evaluator.close()
            self.ledger.pulse.stop()
        if self._faults:
            raise self._faults[0]

    def _work_or_note(self, evaluator: Evaluator) -> None:
        try:
            self._work(evaluator)
        except BaseException as error:
            if not self._stop.is_set():
                self._faults.append(error)

    def _work(self, evaluator: Evaluator) -> None:
        while not self._stop.is_set():
            self.ledger.reclaim()
            trial = None if self._time_is_up() else self.ledger.claim()
            if trial is None:
                if self._time_is_up() or self.ledger.is_complete():
                    return
                self._stop.wait(_POLL_SECONDS)  # others are at the last trials; if they die, these are ours
                continue
            try:
                outcome = evaluator.evaluate(trial.params, lambda e, v, trial=trial: self.ledger.report(trial, e, v))  # type: ignore[misc]
                self.ledger.finish(trial, outcome)
            except BaseException:
                self.ledger.give_up(trial)
                raise
            self.on_change()

    def _time_is_up(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline
