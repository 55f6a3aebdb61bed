"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A panel of one size; its name is also that of its file."""

    n_series: int
    rows: int
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.n_series}x{self.rows}"

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return measure.measure(self, quick=quick)


CELLS: tuple[Cell, ...] = (Cell(5_000, 200), Cell(1, 1_000_000), Cell(50, 20_000))
