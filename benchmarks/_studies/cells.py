"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PLAIN = {
    "model.memory_depth": 2, "model.chunk_size": 16, "model.initial_theta": "null", "model.initial_alpha": 0.0025,
    "model.hold_eta": "null", "model.surprise_threshold": 0.0,
}  # fmt: skip
"""What the memory is where nothing was searched: the defaults of the estimators."""


@dataclass(frozen=True)
class Cell:
    """The search of a shipped recipe, and what its winner scores.

    Attributes
    ----------
    recipe : str
    score : str
        Of the test rows, in metrics.json.
    learning_rate : float
        Chosen by hand, or the estimator's.
    """

    recipe: str
    score: str
    learning_rate: float

    @property
    def name(self) -> str:
        return self.recipe

    @property
    def by_hand(self) -> list[str]:
        """Settings without what was found: the search begins there."""
        values = PLAIN | {"train.learning_rate": self.learning_rate}
        return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return measure.measure(self, quick=quick)


CELLS = (
    Cell("quickstart", "mse", 0.003),
    Cell("etth1_tune", "mse", 0.001),
    Cell("dna_quickstart", "log_loss", 0.003),
    Cell("dna_splice", "log_loss", 0.002),
)
