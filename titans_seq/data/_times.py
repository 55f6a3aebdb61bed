"""How a frame wrote its timestamps, and timestamps back in exactly that form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import _calendar as calendar
from titans_seq.data._calendar import DAY, Int64Array
from titans_seq.data.frequency import Frequency, show_timestamp


@dataclass(frozen=True)
class TimeFormat:
    """How timestamps looked in the user's frame.

    Parameters
    ----------
    kind : {"integer", "datetime", "date", "text", "period"}
    unit : str, default "ns"
        Resolution of a datetime column.
    timezone : str, optional
        Zone of a datetime column, such as "Europe/Berlin"; None without one.
    form : str, default ""
        Type name of the column in the frame's library; for periods their frequency.
    pattern : str, default ""
        Text only: the strftime pattern.
    """

    kind: str
    unit: str = "ns"
    timezone: str | None = None
    form: str = ""
    pattern: str = ""

    def show(self, value: Any, *, wall_clock: bool = True) -> str:
        """Return a timestamp as text for messages; with a zone, `wall_clock` says what `value` is."""
        if self.kind == "integer":
            return str(int(value))
        if self.timezone is None or wall_clock:
            return show_timestamp(int(value))
        import pandas as pd

        return str(pd.Timestamp(int(value), tz="UTC").tz_convert(self.timezone))

    def native(self, ds: NDArray[Any], frequency: Frequency, backend: str) -> Any:
        """Return timestamps (n,) as a pandas or polars column of this format."""
        values = calendar.to_integers(ds)
        if self.timezone is not None and frequency.follows_wall_clock:
            values = from_wall_clock(values, self.timezone)
        build = _to_polars if backend == "polars" else _to_pandas
        return build(self, values)


def to_wall_clock(utc: Int64Array, timezone: str) -> Int64Array:
    """Return local time for UTC nanoseconds.

    Where daylight saving skips the usual time of day (a midnight that does not exist), the row
    is given that time nevertheless, so that daily data stay daily.
    """
    import pandas as pd

    index = pd.DatetimeIndex(utc.astype("datetime64[ns]"), tz="UTC").tz_convert(timezone)
    wall = index.tz_localize(None).to_numpy().astype(np.int64)
    times, counts = np.unique(wall % DAY, return_counts=True)
    odd = np.flatnonzero(wall % DAY != times[np.argmax(counts)])
    usual = wall[odd] // DAY * DAY + times[np.argmax(counts)]
    same = from_wall_clock(usual, timezone) == utc[odd]
    wall[odd[same]] = usual[same]
    return wall


def from_wall_clock(wall: Int64Array, timezone: str) -> Int64Array:
    """Return UTC nanoseconds for local time: the first of two, or the next one where it does not exist."""
    import pandas as pd

    index = pd.DatetimeIndex(wall.astype("datetime64[ns]"))
    first = np.ones(len(index), dtype=bool)
    zoned = index.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")
    return zoned.tz_convert("UTC").tz_localize(None).to_numpy().astype(np.int64)


def _to_pandas(form: TimeFormat, values: Int64Array) -> Any:
    import pandas as pd

    if form.kind == "integer":
        integers: Any = pd.Series(values)
        return integers.astype(form.form if _fits(values, form.form) else "int64")
    stamps = values.astype("datetime64[ns]")
    if form.kind == "date":
        days: Any = pd.Series(stamps.astype("datetime64[D]").astype(object), dtype=object)
        return days.astype(form.form) if "pyarrow" in form.form else days
    index = pd.DatetimeIndex(stamps)
    if form.kind == "text":
        text: Any = pd.Series(index.strftime(form.pattern), dtype=object)
        return text.astype(form.form)
    if form.kind == "period":
        return pd.Series(index.to_period(form.form))
    index = index.as_unit(form.unit)  # type: ignore[arg-type]
    if form.timezone is not None:
        index = index.tz_localize("UTC").tz_convert(form.timezone)
    column: Any = pd.Series(index)
    return column.astype(form.form) if "pyarrow" in form.form else column


def _to_polars(form: TimeFormat, values: Int64Array) -> Any:
    import polars as pl

    if form.kind == "integer":
        return pl.Series(values, dtype=getattr(pl, form.form) if _fits(values, form.form) else pl.Int64)
    stamps = values.astype("datetime64[ns]")
    if form.kind == "date":
        return pl.Series(stamps.astype("datetime64[D]"))
    column = pl.Series(stamps)
    if form.kind == "text":
        return column.dt.strftime(form.pattern.replace("%S.%f", "%S%.6f"))
    column = column.cast(pl.Datetime(form.unit))  # type: ignore[arg-type]
    if form.timezone is None:
        return column
    return column.dt.replace_time_zone("UTC").dt.convert_time_zone(form.timezone)


def _fits(values: Int64Array, type_name: str) -> bool:
    """Whether an integer type such as "int32", "UInt8" or "Int64[pyarrow]" holds all values."""
    name = type_name.lower().split("[")[0]
    if name not in ("int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"):
        return True
    limits = np.iinfo(name)
    return not len(values) or bool(limits.min <= values.min() and values.max() <= limits.max)
