"""What a study found."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState


def best_trial(trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """Return the completed trial whose first objective is smallest, the earliest of several; None if there is none.

    With several objectives no other trial is better in one and at least as good in all others.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return min(complete, key=lambda trial: (*trial.values, trial.number), default=None)


def front(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the completed trials that no other one is better than in one objective and as good in all others."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return [trial for trial in complete if not any(_dominates(other, trial) for other in complete)]


def _dominates(one: FrozenTrial, other: FrozenTrial) -> bool:
    pairs = list(zip(one.values, other.values, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
