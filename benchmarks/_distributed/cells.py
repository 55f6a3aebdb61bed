"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MetricsCell:
    """A recipe run by one process and by several; its name is also that of its file."""

    name: str
    recipe: str
    strategy: str
    settings: tuple[str, ...] = ()
    processes: int = 2

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import metrics

        return metrics.measure(self, quick=quick)


@dataclass(frozen=True)
class RowsCell:
    """A prediction of many rows by several processes."""

    name: str
    kind: str
    rows: int
    processes: int = 2

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import rows

        return rows.measure(self, quick=quick)


Cell = MetricsCell | RowsCell
FORECAST = "train.max_minutes=60"  # the clock has no part in it
CELLS: tuple[Cell, ...] = (
    MetricsCell("metrics_forecast_ddp", "quickstart", "ddp", (FORECAST,)),
    MetricsCell("metrics_forecast_odd_ddp", "quickstart", "ddp", (FORECAST, "train.batch_size=7")),
    MetricsCell("metrics_forecast_fsdp", "quickstart", "fsdp", (FORECAST,)),
    MetricsCell("metrics_dna_ddp", "dna_quickstart", "ddp", ("model.dropout=0.0",)),
    RowsCell("rows_series", "series", 1001),
    RowsCell("rows_sequences", "sequences", 1001),
    RowsCell("rows_arrays", "arrays", 1001),
    RowsCell("rows_fewer_than_processes", "series", 2, processes=3),
)
