"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A shipped recipe, what is changed of it, and how many runs of it are killed."""

    name: str
    recipe: str
    changes: tuple[str, ...]
    runs: int
    seed: int = 0

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return measure.measure(self, quick=quick)


# No limit of minutes: where the clock stops a training, no two runs are alike.
CELLS: tuple[Cell, ...] = (
    Cell("forecast", "quickstart", ("train.max_epochs=4", "train.max_minutes=600"), 8),
    Cell(
        "two_processes", "quickstart",
        ("train.max_epochs=4", "train.max_minutes=600", "train.devices=2", "train.strategy=ddp"), 4,
    ),
    Cell("classify", "dna_quickstart", ("train.max_epochs=4", "data.simulated.n=600", "model.n_members=2"), 6),
    Cell(
        "recall", "recall_pairs",
        (
            "train.curriculum=[[64, 50], [128, 10]]",
            "train.tokens_per_step=1024",
            "evaluate.lengths=[{length: 256, trials: 16}, {length: 2048, trials: 16}]",
        ), 6,
    ),
)  # fmt: skip
