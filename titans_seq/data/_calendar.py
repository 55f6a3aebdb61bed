"""Calendar arithmetic on int64 nanoseconds since 1970 (no time zone), vectorised.

Everything here works on plain integers so that a month or a business day costs what a
subtraction costs, and so that no library's frequency strings are involved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

MONTH_END = 31

# The days that int64 nanoseconds can hold in full: 1677-09-22 to 2262-04-10.
FIRST_DAY = -106_751
LAST_DAY = 106_750


def to_integers(ds: Any) -> Int64Array:
    """Return timestamps (datetime64 of any unit, or integers) as int64; dates become nanoseconds."""
    array = np.asarray(ds)
    if array.dtype.kind == "M":
        return array.astype("datetime64[ns]").astype(np.int64)
    return array.astype(np.int64)


def split_days(ds: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return (days since 1970, nanoseconds since midnight)."""
    days = ds // DAY
    return days, ds - days * DAY


def join_days(days: Int64Array, time_of_day: Int64Array) -> Int64Array:
    """Return nanoseconds; ValueError where the date cannot be held in nanoseconds."""
    if days.size and (days.min() < FIRST_DAY or days.max() > LAST_DAY):
        raise ValueError("dates leave the range 1677-09-22 to 2262-04-10 that nanoseconds can hold")
    joined: Int64Array = days * DAY + time_of_day
    return joined


def months_since_1970(days: Int64Array) -> Int64Array:
    """Return the number of the calendar month each day lies in (January 1970 is 0)."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def first_day(months: Int64Array) -> Int64Array:
    """Return the day (since 1970) on which each calendar month begins."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def days_in_month(months: Int64Array) -> Int64Array:
    """Return 28 to 31 for each calendar month."""
    return first_day(months + 1) - first_day(months)


def business_edge(months: Int64Array, anchor: int) -> Int64Array:
    """Return the last Monday to Friday of each calendar month, or with the anchor 1 the first one."""
    if anchor == MONTH_END:
        last = first_day(months + 1) - 1
        return last - np.maximum(weekday(last) - 4, 0)
    first = first_day(months)
    return first + np.where(weekday(first) > 4, 7 - weekday(first), 0)


def day_of_month(days: Int64Array) -> Int64Array:
    """Return 1 to 31 for each day."""
    return days - first_day(months_since_1970(days)) + 1


def weekday(days: Int64Array) -> Int64Array:
    """Return 0 (Monday) to 6 (Sunday); 1970-01-01 was a Thursday."""
    return (days + 3) % 7


def business_days_since(days: Int64Array) -> Int64Array:
    """Return the number of Mondays to Fridays from Monday 1969-12-29 up to (not with) each day."""
    weeks = (days + 3) // 7
    return weeks * 5 + np.minimum(weekday(days), 5)


def business_day(count: Int64Array) -> Int64Array:
    """Return the day with the given business-day number; inverse of `business_days_since` on Mon-Fri."""
    weeks = count // 5
    return weeks * 7 + (count - weeks * 5) - 3
