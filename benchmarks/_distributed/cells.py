"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MetricsCell:
    """A recipe run by one process and by several; its name is also that of its file.

    Attributes
    ----------
    name, recipe, strategy : str
    settings : tuple of str
        Keys of the recipe that are set.
    processes : int
    control : str, optional
        Instead of several processes: one, with this key set, which is to make next to no difference.
    double : bool
        Whether networks are in double precision.
    """

    name: str
    recipe: str
    strategy: str
    settings: tuple[str, ...] = ()
    processes: int = 2
    control: str | None = None
    double: bool = False

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
DNA = ("model.dropout=0.0",)
NUDGED = "train.learning_rate=0.0030000003"  # by one part in ten million, about the rounding of single precision
CELLS: tuple[Cell, ...] = (
    MetricsCell("metrics_forecast_ddp", "quickstart", "ddp", (FORECAST,)),
    MetricsCell("metrics_forecast_odd_ddp", "quickstart", "ddp", (FORECAST, "train.batch_size=7")),
    MetricsCell("metrics_forecast_fsdp", "quickstart", "fsdp", (FORECAST,)),
    MetricsCell("metrics_dna_ddp", "dna_quickstart", "ddp", DNA),
    MetricsCell("metrics_dna_control", "dna_quickstart", "auto", DNA, 1, control=NUDGED),
    MetricsCell("metrics_dna_double_ddp", "dna_quickstart", "ddp", DNA, double=True),
    RowsCell("rows_series", "series", 1001),
    RowsCell("rows_sequences", "sequences", 1001),
    RowsCell("rows_arrays", "arrays", 1001),
    RowsCell("rows_fewer_than_processes", "series", 2, processes=3),
)
