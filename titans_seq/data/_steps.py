"""Counting and taking steps of each kind of frequency, on int64 arrays.

A counter takes (step, anchor, start, at) and returns (steps from start to at, whether `at` is on
the grid); a mover takes (step, anchor, start, count) and returns where `count` steps lead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import _calendar as calendar
from titans_seq.data._calendar import Int64Array

Counter = Callable[[int, int, Int64Array, Int64Array], tuple[Int64Array, NDArray[np.bool_]]]
Mover = Callable[[int, int, Int64Array, Int64Array], Int64Array]


def _count_multiples(step: int, anchor: int, start: Int64Array, at: Int64Array) -> tuple[Int64Array, NDArray[np.bool_]]:
    # Quotients first: `at - start` of dates 300 years apart does not fit in int64 nanoseconds.
    return at // step - start // step, at % step == start % step


def _count_months(step: int, anchor: int, start: Int64Array, at: Int64Array) -> tuple[Int64Array, NDArray[np.bool_]]:
    (start_day, start_time), (day, time) = calendar.split_days(start), calendar.split_days(at)
    months = calendar.months_since_1970(day)
    distance = months - calendar.months_since_1970(start_day)
    expected = np.minimum(anchor, calendar.days_in_month(months))
    on_grid = (distance % step == 0) & (calendar.day_of_month(day) == expected) & (time == start_time)
    return distance // step, on_grid


def _count_business_months(
    step: int, anchor: int, start: Int64Array, at: Int64Array
) -> tuple[Int64Array, NDArray[np.bool_]]:
    (start_day, start_time), (day, time) = calendar.split_days(start), calendar.split_days(at)
    months = calendar.months_since_1970(day)
    distance = months - calendar.months_since_1970(start_day)
    on_edge = day == calendar.business_edge(months, anchor)
    return distance // step, (distance % step == 0) & on_edge & (time == start_time)


def _count_business_days(
    step: int, anchor: int, start: Int64Array, at: Int64Array
) -> tuple[Int64Array, NDArray[np.bool_]]:
    (start_day, start_time), (day, time) = calendar.split_days(start), calendar.split_days(at)
    steps = calendar.business_days_since(day) - calendar.business_days_since(start_day)
    return steps, (calendar.weekday(day) < 5) & (time == start_time)


def _move_multiples(step: int, anchor: int, start: Int64Array, count: Int64Array) -> Int64Array:
    moved: Int64Array = start + count * step
    if np.any(np.abs(start + count * float(step)) > 9.2e18):
        raise ValueError("times leave what 64-bit integers (of nanoseconds, for dates) can hold")
    return moved


def _move_months(step: int, anchor: int, start: Int64Array, count: Int64Array) -> Int64Array:
    day, time = calendar.split_days(start)
    months = calendar.months_since_1970(day) + count * step
    into = np.minimum(anchor, calendar.days_in_month(months)) - 1
    return calendar.join_days(calendar.first_day(months) + into, time)


def _move_business_months(step: int, anchor: int, start: Int64Array, count: Int64Array) -> Int64Array:
    day, time = calendar.split_days(start)
    months = calendar.months_since_1970(day) + count * step
    return calendar.join_days(calendar.business_edge(months, anchor), time)


def _move_business_days(step: int, anchor: int, start: Int64Array, count: Int64Array) -> Int64Array:
    day, time = calendar.split_days(start)
    return calendar.join_days(calendar.business_day(calendar.business_days_since(day) + count), time)


COUNTERS = {
    "integer": _count_multiples,
    "duration": _count_multiples,
    "month": _count_months,
    "business_day": _count_business_days,
    "business_month": _count_business_months,
}
MOVERS = {
    "integer": _move_multiples,
    "duration": _move_multiples,
    "month": _move_months,
    "business_day": _move_business_days,
    "business_month": _move_business_months,
}
