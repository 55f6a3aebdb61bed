"""Inference of the frequency from timestamps; see `Frequency.infer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import _calendar as calendar
from titans_seq.data._calendar import DAY, MONTH_END, Int64Array
from titans_seq.data.frequency import Frequency, OffGridError

# A difference seen less often than this is taken for a fault in the data, not for the step.
_RARE = 0.05
# Share of rows that must stand on one day of the month for the data to count as monthly.
_MONTHLY = 0.9


def infer_frequency(
    ds: NDArray[Any], offsets: Int64Array, ids: Sequence[str | int] | None, on_gap: str = "raise"
) -> Frequency:
    """Do the work of `Frequency.infer`."""
    names = range(len(offsets) - 1) if ids is None else ids
    lengths = np.diff(offsets)
    if len(lengths) == 0 or lengths.min() < 2:
        _refuse_short(lengths, names)
    at = calendar.to_integers(ds)
    later = np.delete(np.arange(len(at)), offsets[:-1])
    if ds.dtype.kind != "M":
        frequency = Frequency("integer", _pick_step(at[later] - at[later - 1]))
    else:
        frequency = _infer_from_dates(at, later)
    if len(lengths) > 1:
        _refuse_mixed(frequency, ds, offsets, names, later, on_gap)
    return frequency


def _infer_from_dates(at: Int64Array, later: Int64Array) -> Frequency:
    step = _pick_step(at[later] - at[later - 1])
    days, _ = calendar.split_days(at)
    if step >= 28 * DAY:
        months = calendar.months_since_1970(days)
        kind, anchor = _month_anchor(days, months)
        if anchor:
            return Frequency(kind, _pick_step(months[later] - months[later - 1]), anchor)
    if step == DAY and _skips_weekends(days, later):
        return Frequency("business_day", 1)
    return Frequency("duration", step)


def _pick_step(differences: Int64Array) -> int:
    """Return the smallest positive difference, or the commonest one where the smallest looks like a fault."""
    sizes, counts = np.unique(differences[differences > 0], return_counts=True)
    if len(sizes) == 0:
        return 1
    smallest, commonest = int(sizes[0]), int(sizes[np.argmax(counts)])
    plausible = commonest % smallest == 0 and counts[0] >= _RARE * counts.sum()
    return smallest if plausible else commonest


def _month_anchor(days: Int64Array, months: Int64Array) -> tuple[str, int]:
    """Return kind and anchor of the day of the month nearly all rows stand on, anchor 0 if there is none."""
    day, lengths = calendar.day_of_month(days), calendar.days_in_month(months)
    # Month end first: on a tie (every row on 28 February) it is the likelier meaning. Business months last.
    candidates = [("month", anchor) for anchor in (MONTH_END, int(day.max()), int(np.argmax(np.bincount(day))))]
    shares = [float(np.mean(day == np.minimum(anchor, lengths))) for _, anchor in candidates]
    for anchor in (MONTH_END, 1):
        candidates.append(("business_month", anchor))
        shares.append(float(np.mean(days == calendar.business_edge(months, anchor))))
    best = int(np.argmax(shares))
    return candidates[best] if shares[best] >= _MONTHLY else ("month", 0)


def _skips_weekends(days: Int64Array, later: Int64Array) -> bool:
    """Whether no row is a Saturday or Sunday and some Friday is followed by its Monday."""
    week_day = calendar.weekday(days)
    weekends = (week_day[later - 1] == 4) & (days[later] - days[later - 1] == 3)
    return bool((week_day < 5).all() and weekends.any())


def _refuse_short(lengths: Int64Array, names: Sequence[str | int]) -> None:
    if len(lengths) == 0:
        raise ValueError("there is no series to infer a frequency from")
    i = int(np.argmin(lengths))
    rows = "one row" if lengths[i] == 1 else "no rows"
    raise ValueError(f"series {names[i]!r} has {rows}; at least two are needed to see its frequency")


def _refuse_mixed(
    frequency: Frequency,
    ds: NDArray[Any],
    offsets: Int64Array,
    names: Sequence[str | int],
    later: Int64Array,
    on_gap: str,
) -> None:
    """Raise for the first series whose own step is another one than the frame's.

    A series in which the frame's step occurs at all is taken to have gaps or single faults,
    which the reader reports by row; so is one of two rows whose distance is whole steps, and one
    that has no regular step. Where gaps are masked, several steps of the frame are no other step.
    """
    differences = _in_units(frequency, calendar.to_integers(ds), later)
    starts = offsets[:-1] - np.arange(len(offsets) - 1)
    smallest = np.minimum.reduceat(differences, starts)
    for i in np.flatnonzero(smallest != frequency.step).tolist():
        own = differences[starts[i] : starts[i] + offsets[i + 1] - offsets[i] - 1]
        gap = len(own) == 1 and own[0] > 0 and own[0] % frequency.step == 0
        if gap or (own == frequency.step).any():
            continue
        part = ds[offsets[i] : offsets[i + 1]]
        step, sparse = infer_frequency(part, np.array([0, len(part)]), None), _on_grid(frequency, part)
        if not _on_grid(step, part) or (sparse and on_gap == "mask"):
            continue
        hint = ", or pass on_gap='mask' to take the rows between as missing" if sparse else ""
        raise ValueError(
            f"mixed frequencies: series {names[i]!r} steps by {step.alias} and the others by {frequency.alias}; "
            f"fit them separately or resample to one frequency{hint}"
        )


def _on_grid(frequency: Frequency, ds: NDArray[Any]) -> bool:
    """Whether all timestamps of a series are whole steps from its first."""
    try:
        frequency.steps_between(ds[0], ds)
    except OffGridError:
        return False
    return True


def _in_units(frequency: Frequency, at: Int64Array, later: Int64Array) -> Int64Array:
    """Return neighbouring differences in what the frequency's step counts."""
    if frequency.kind in ("month", "business_month"):
        at = calendar.months_since_1970(at // DAY)
    elif frequency.kind == "business_day":
        at = calendar.business_days_since(at // DAY)
    return at[later] - at[later - 1]
