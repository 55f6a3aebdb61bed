"""What a user's frame looked like: enough to hand forecasts back in the same form."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from titans_seq.data._columns import IdFormat
from titans_seq.data._times import TimeFormat


@dataclass(frozen=True)
class FrameFormat:
    """Form of the data a panel was read from.

    Parameters
    ----------
    kind : {"long", "wide", "numpy"}
        One row per series and time; one row per time and a column per series; an array.
    backend : {"pandas", "polars", "numpy"}
    id_col, time_col, target_col : str
        Column names. `id_col` and `target_col` matter for long frames only.
    time : TimeFormat
        Type of the time column.
    ids : IdFormat
        Type of the id column (long frames).
    """

    kind: str
    backend: str
    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: str = "y"
    time: TimeFormat = field(default_factory=lambda: TimeFormat("integer", form="int64"))
    ids: IdFormat = field(default_factory=IdFormat)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` is its inverse."""
        data = asdict(self)
        categories = data["ids"]["categories"]
        data["ids"]["categories"] = None if categories is None else list(categories)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FrameFormat:
        """Rebuild what `to_dict` returned."""
        categories = data["ids"]["categories"]
        ids = IdFormat(**{**data["ids"], "categories": None if categories is None else tuple(categories)})
        return cls(**{**data, "time": TimeFormat(**data["time"]), "ids": ids})
