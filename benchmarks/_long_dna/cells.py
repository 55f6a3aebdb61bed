"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One measurement; its name is also that of its file."""

    name: str

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return getattr(measure, self.name)(quick=quick)  # type: ignore[no-any-return]


CELLS: tuple[Cell, ...] = (Cell("whole"), Cell("scan"))
