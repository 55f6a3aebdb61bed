"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """The search of a shipped recipe, and what its winner scores."""

    recipe: str
    score: str
    """Of the test rows, in metrics.json."""

    @property
    def name(self) -> str:
        return self.recipe

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return measure.measure(self, quick=quick)


CELLS = (
    Cell("quickstart", "mse"),
    Cell("etth1_tune", "mse"),
    Cell("dna_quickstart", "log_loss"),
    Cell("dna_splice", "log_loss"),
)
