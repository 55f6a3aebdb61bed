"""How a trial ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: with values, pruned, or with a fault.

    Attributes
    ----------
    values : list of float, optional
        Of the objectives, in their order.
    pruned : bool
    fault : str, optional
        What went wrong, in one line.
    facts : dict
        What else is known of it, ready for JSON.
    """

    values: list[float] | None = None
    pruned: bool = False
    fault: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
