"""Series of long frames as GluonTS entries."""

from __future__ import annotations

from typing import Any

import pandas as pd


def as_entries(frame: pd.DataFrame, freq: str = "h") -> list[dict[str, Any]]:
    """Return one entry per series of a long frame, in the order of first appearance."""
    return [
        {"start": pd.Period(part["ds"].iloc[0], freq), "target": part["y"].to_numpy(), "item_id": name}
        for name, part in frame.groupby("unique_id", sort=False)
    ]
