"""How much is left of the time that a fit may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["NO_LIMIT", "Clock"]


def _own(decision: Any) -> Any:
    return decision


@dataclass(frozen=True)
class Clock:
    """A deadline; what would go beyond it is done with less, or not at all.

    Attributes
    ----------
    deadline : float
        In seconds of `time.monotonic`; infinity: there is none, and nothing is done with less.
    same : callable
        What processes that fit together make of a decision: that of the first of them.
    """

    deadline: float = math.inf
    same: Callable[[Any], Any] = field(default=_own, compare=False)

    @classmethod
    def after(cls, began: float, minutes: float | None, same: Callable[[Any], Any] = _own) -> Clock:
        """Return the clock of a fit that began at ``began`` and may take ``minutes``; None: no limit."""
        return cls() if minutes is None else cls(began + 60.0 * minutes, same)

    def sooner(self, share: float) -> Clock:
        """Return the clock of a part that may take a share of what is left."""
        return replace(self, deadline=self.deadline - (1 - share) * self.left) if self.limited else self

    def less(self, seconds: float) -> Clock:
        """Return the clock of which some seconds were spent before it was set."""
        return replace(self, deadline=self.deadline - seconds)

    @property
    def limited(self) -> bool:
        """Whether there is a deadline."""
        return self.deadline < math.inf

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def allows(self, seconds: float, share: float = 1.0) -> bool:
        """Whether something that takes so long takes no more than a share of what is left."""
        return not self.limited or bool(self.same(bool(seconds <= share * self.left)))

    def most(self, wanted: int, seconds_each: float, share: float, *, least: int = 1) -> int:
        """Return how many things of so many seconds each fit into a share of what is left."""
        if not self.limited:
            return wanted
        return int(self.same(min(wanted, max(least, int(share * self.left / max(seconds_each, 1e-9))))))


NO_LIMIT = Clock()
