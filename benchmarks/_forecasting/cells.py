"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ETT = ("ETTh1", "ETTh2", "ETTm1", "ETTm2")
SETS = (*ETT, "exchange_rate", "national_illness")
LONG, SHORT = (96, 192, 336, 720), (24, 36, 48, 60)


@dataclass(frozen=True)
class Cell:
    """One data set, horizon, model and seed.

    Attributes
    ----------
    name : str
        Also the name of its file.
    data, model : str
    horizon, seed : int
    mode : {"windowed", "streaming"}
    options : dict
        Of the model.
    """

    data: str
    horizon: int
    model: str
    mode: str
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.mode}_{self.data}_{self.horizon}_{self.model}_s{self.seed}"

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return measure.measure(self, quick=quick)


def _horizons(data: str) -> tuple[int, ...]:
    return SHORT if data == "national_illness" else LONG


def _all() -> list[Cell]:
    cells = []
    for data in SETS:
        for horizon in _horizons(data):
            cells += [Cell(data, horizon, model, "windowed") for model in ("naive", "seasonal_naive", "ridge")]
            if data in ETT:
                cells.append(Cell(data, horizon, "ridge_96", "windowed", options={"context_length": 96}))
            cells += [Cell(data, horizon, "mag", "windowed", seed) for seed in range(3)]
    for data in ETT:
        cells.append(Cell(data, 96, "online_ridge", "streaming"))
        cells += [Cell(data, 96, "mag", "streaming", seed) for seed in range(3)]
    return cells


CELLS: tuple[Cell, ...] = tuple(_all())
