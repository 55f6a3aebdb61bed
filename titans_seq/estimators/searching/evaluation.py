"""One trial: an estimator with its arguments, fitted, judged by its validation rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import clone

from titans_seq.estimators.searching.outcome import Outcome

Report = Callable[[int, float], bool]
"""Takes an epoch and its validation error; returns whether to go no further."""

MOST_ROWS = 256
_REPEATS = 3


class Pruned(Exception):  # noqa: N818  (no error)
    """The training of a trial that is not worth its time."""


@dataclass(frozen=True)
class Fitting:
    """What every trial does; it can be sent to another process.

    Attributes
    ----------
    estimator : estimator
        Is cloned and never changed.
    X, y : what its `fit` takes
        ``y`` is None for forecasters.
    objectives : tuple of str
        Names of `OBJECTIVES`.
    arguments : dict
        Keywords of `fit`.
    """

    estimator: Any
    X: Any
    y: Any
    objectives: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def fit(self, values: Mapping[str, Any], **own: Any) -> Any:
        """Return a fitted clone of the estimator with these arguments."""
        model = clone(self.estimator).set_params(**values, **own)
        return model.fit(self.X, self.y, **self.arguments)

    def evaluate(self, values: Mapping[str, Any], report: Report) -> Outcome:
        """Fit with these arguments, and return how good that is. Errors are part of the answer."""
        from titans_seq.training.watching import watching

        began = time.monotonic()
        epochs = _Epochs(report)
        try:
            with watching(epochs):
                model = self.fit(values, verbose=0)
            found = [OBJECTIVES[name](model, self.X) for name in self.objectives]
            facts = {"validation_error": float(model.validation_score_), "n_parameters": int(model.n_parameters_)}
            return Outcome(found, facts=_finite(facts | {"seconds": time.monotonic() - began, "epochs": epochs.most}))
        except Pruned:
            return Outcome(pruned=True, facts={"seconds": time.monotonic() - began, "epochs": epochs.most})
        except Exception as error:
            fault = " ".join(f"{type(error).__name__}: {error}".split())
            return Outcome(fault=f"{fault:.500}", facts={"seconds": time.monotonic() - began})


class _Epochs:
    """Hands on the validation errors of the first network; others of an estimator have validation rows of their own."""

    def __init__(self, report: Report) -> None:
        self.report, self.networks, self.most = report, 0, 0

    def __call__(self, epoch: int, validation_error: float) -> None:
        self.networks += epoch == 0
        self.most = max(self.most, epoch)
        if self.networks == 1 and math.isfinite(validation_error) and self.report(epoch, float(validation_error)):
            raise Pruned


def _validation_error(model: Any, X: Any) -> float:
    error = float(model.validation_score_)
    if math.isnan(error):
        raise ValueError("there are no validation rows to judge by; give more data, or a larger validation_fraction")
    if math.isinf(error):
        raise ValueError("the validation error is infinite")
    return error


def _predict_seconds(model: Any, X: Any) -> float:
    given = () if hasattr(model, "horizon") else (_first(X),)
    taken = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        model.predict(*given)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _first(X: Any) -> Any:
    """Return the first rows; what can't be cut, such as the path of a file, stays whole."""
    return X if isinstance(X, str) or not hasattr(X, "__len__") else X[:MOST_ROWS]


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if not isinstance(value, float) or math.isfinite(value)}


OBJECTIVES: Mapping[str, Callable[[Any, Any], float]] = {
    "validation_error": _validation_error,
    "predict_seconds": _predict_seconds,
    "n_parameters": lambda model, X: float(model.n_parameters_),
}
"""What can be asked to be small: the validation error, the time of one `predict`, learned numbers."""


def check_objectives(given: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Return the names of objectives.

    Raises
    ------
    ValueError
        If one is unknown or stands twice, or there is none.
    """
    names = (given,) if isinstance(given, str) else tuple(given)
    unknown = next((name for name in names if name not in OBJECTIVES), None)
    if unknown is not None or not names or len(set(names)) < len(names):
        known = ", ".join(map(repr, OBJECTIVES))
        raise ValueError(f"objectives must be some of {known}, each once, found {given!r}")
    return names
