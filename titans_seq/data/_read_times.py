"""The time column of a frame: dates, datetimes, integers, ISO text or periods to int64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import _calendar as calendar
from titans_seq.data._calendar import Int64Array
from titans_seq.data._columns import type_name
from titans_seq.data._times import TimeFormat

_TEXT_PATTERNS = (
    "%Y",
    "%Y-%m",
    "%Y%m%d",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
)


def read_times(column: Any, place: Callable[[int], str]) -> tuple[Int64Array, TimeFormat]:
    """Read a time column.

    Parameters
    ----------
    column : narwhals Series
        Dates, datetimes (any unit, with or without time zone), integers, ISO text or (pandas) periods.
    place : callable
        Row number to the words that name it in a message.

    Returns
    -------
    ds : int64 array
        Integers as they are; all else in nanoseconds since 1970, UTC where there is a time zone.
    format : TimeFormat

    Raises
    ------
    ValueError
        A missing timestamp, text that is no ISO date, a date outside 1677 to 2262.
    TypeError
        A column of another type.
    """
    import narwhals as nw

    missing = column.is_null().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(f"{place(row)}: {column.name} is missing; drop or complete the row")
    dtype = column.dtype
    if dtype.is_integer():
        return _read_integers(column, place)
    if isinstance(dtype, nw.Datetime):
        zone = _zone_name(dtype.time_zone, column.name)
        form = TimeFormat("datetime", dtype.time_unit, zone, _pandas_type(column))
        return _to_nanoseconds(column.to_numpy(), column.name, place), form
    if dtype == nw.Date:
        days = np.asarray(column.to_numpy(), dtype="datetime64[D]")
        return _to_nanoseconds(days, column.name, place), TimeFormat("date", form=_pandas_type(column))
    if dtype == nw.String:
        return _read_text(column, place)
    return _read_unusual(column, place)


def _read_integers(column: Any, place: Callable[[int], str]) -> tuple[Int64Array, TimeFormat]:
    import narwhals as nw

    largest = np.iinfo(np.int64).max
    if column.max() > largest:
        row, value = next((i, value) for i, value in enumerate(column.to_list()) if value > largest)
        raise ValueError(f"{place(row)}: {column.name} {value} does not fit in a 64-bit integer")
    values: Int64Array = np.array(column.cast(nw.Int64).to_numpy(), dtype=np.int64)
    return values, TimeFormat("integer", form=str(column.to_native().dtype))


def _to_nanoseconds(stamps: NDArray[Any], name: str, place: Callable[[int], str]) -> Int64Array:
    days = stamps.astype("datetime64[D]").astype(np.int64)
    outside = (days < calendar.FIRST_DAY) | (days > calendar.LAST_DAY)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(_out_of_range(place(row), name, stamps[row]))
    return calendar.to_integers(stamps)


def _out_of_range(place: str, name: str, stamp: Any) -> str:
    return f"{place}: {name} {stamp} lies outside 1677-09-22 to 2262-04-10; use integers instead"


def _read_text(column: Any, place: Callable[[int], str]) -> tuple[Int64Array, TimeFormat]:
    import pandas as pd

    codes, texts = pd.factorize(np.asarray(column.to_numpy(), dtype=object))
    stamps = pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601", errors="coerce", utc=True)
    bad = stamps.isna().to_numpy()[codes]
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{place(row)}: {column.name} {texts[codes[row]]!r} is not an ISO date such as 2024-01-31 or "
            "2024-01-31 06:00; convert the column to dates first"
        )
    longest = max(texts, key=len)
    if ":" in longest and (longest[-1] in "Zz" or "+" in longest or "-" in longest[10:]):
        raise ValueError(f"{place(0)}: {column.name} {longest!r} carries a UTC offset; convert the column to datetimes")
    plain = stamps.dt.tz_localize(None)
    pattern = _text_pattern(longest, plain[list(texts).index(longest)])
    form = TimeFormat("text", form=_pandas_type(column), pattern=pattern)
    return plain.to_numpy().astype("datetime64[ns]").astype(np.int64)[codes], form


def _text_pattern(text: str, stamp: Any) -> str:
    """Return the strftime pattern that writes `stamp` as `text`; a full ISO pattern when none does."""
    return next((pattern for pattern in _TEXT_PATTERNS if stamp.strftime(pattern) == text), "%Y-%m-%d %H:%M:%S.%f")


def _read_unusual(column: Any, place: Callable[[int], str]) -> tuple[Int64Array, TimeFormat]:
    """Read categories, and the pandas columns of Python objects and of periods."""
    import narwhals as nw

    if column.dtype in (nw.Categorical, nw.Enum):
        native = column.to_native()
        plain = native.astype(native.cat.categories.dtype) if hasattr(native, "array") else native.cast(str)
        return read_times(nw.from_native(plain, series_only=True), place)
    if column.implementation.is_pandas():
        import pandas as pd

        native = column.to_native()
        if isinstance(native.dtype, pd.DatetimeTZDtype):
            return _read_zoned(native, place)
        if isinstance(native.dtype, pd.PeriodDtype):
            stamps = native.dt.to_timestamp(how="start").to_numpy()
            # pandas writes the frequency of periods (M) otherwise than that of dates (ME).
            form = TimeFormat("period", form=str(native.dtype).removeprefix("period[").removesuffix("]"))
            return _to_nanoseconds(stamps, column.name, place), form
        if native.dtype == object:
            return _read_objects(native, place)
    raise TypeError(
        f"column {column.name!r} is {column.to_native().dtype}; times must be dates, datetimes, integers "
        "or ISO text; convert it"
    )


def _read_zoned(native: Any, place: Callable[[int], str]) -> tuple[Int64Array, TimeFormat]:
    """Read a pandas column with a time zone; narwhals knows only zones of plain letters."""
    stamps = native.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    zone = _zone_name(str(native.dtype.tz), native.name)
    form = TimeFormat("datetime", native.dtype.unit, zone, str(native.dtype))
    return _to_nanoseconds(stamps, native.name, place), form


def _read_objects(native: Any, place: Callable[[int], str]) -> tuple[Int64Array, TimeFormat]:
    import narwhals as nw
    import pandas as pd

    held = pd.api.types.infer_dtype(native)
    if held == "date":
        days = native.to_numpy().astype("datetime64[D]")
        return _to_nanoseconds(days, native.name, place), TimeFormat("date")
    if held in ("datetime", "datetime64"):
        try:
            typed = pd.Series(pd.to_datetime(native.to_list()), name=native.name)
        except pd.errors.OutOfBoundsDatetime:
            row = next(i for i, value in enumerate(native) if not 1678 <= pd.Period(value, "Y").year <= 2261)
            raise ValueError(_out_of_range(place(row), native.name, native.iloc[row])) from None
        except ValueError as error:
            raise ValueError(f"column {native.name!r}: {error}".splitlines()[0]) from None
    elif held == "integer":
        typed = pd.Series(_python_integers(native, place), name=native.name)
    else:
        types = native.map(type)
        row = int((types != types.iloc[0]).to_numpy().argmax())
        raise TypeError(
            f"{place(row)}: {native.name} {native.iloc[row]!r} is {types.iloc[row].__name__}; times must all "
            "be dates, datetimes, integers or ISO text; convert it"
        )
    return read_times(nw.from_native(typed, series_only=True), place)


def _python_integers(native: Any, place: Callable[[int], str]) -> Int64Array:
    limits = np.iinfo(np.int64)
    for row, value in enumerate(native):
        if not limits.min <= value <= limits.max:
            raise ValueError(f"{place(row)}: {native.name} {value} does not fit in a 64-bit integer")
    values: Int64Array = native.to_numpy().astype(np.int64)
    return values


def _zone_name(timezone: str | None, name: str) -> str | None:
    """Return a zone name that pandas can look up again (a dateutil zone has none)."""
    if timezone is None:
        return None
    import pandas as pd

    try:
        pd.Timestamp(0, tz=timezone)
    except Exception:  # the type differs between zone libraries
        raise TypeError(
            f"column {name!r}: time zone {timezone!r} cannot be looked up by name; convert the column to a "
            "named one such as 'Europe/Berlin' or 'UTC'"
        ) from None
    return timezone


def _pandas_type(column: Any) -> str:
    if not column.implementation.is_pandas():
        return ""
    return type_name(column.to_native().dtype)
