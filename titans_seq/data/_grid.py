"""From timestamps to a regular grid: order, frequency, gaps, and errors that name the place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import HOUR, Int64Array
from titans_seq.data._times import TimeFormat, to_wall_clock
from titans_seq.data.frequency import Frequency, OffGridError

# A gap this many times the size of the data is a wrong date, not a stretch of missing values.
_MAX_GROWTH = 1_000
_ALWAYS_ALLOWED = 10_000_000


class RepeatedTimeError(ValueError):
    """Two rows of one series have the same timestamp."""


@dataclass(frozen=True)
class Stamps:
    """Timestamps of all series, one series after another, each in order of time, with what messages need.

    Parameters
    ----------
    ds : int64 array (total,)
        Integers or nanoseconds (UTC where the format has a time zone, until `to_grid` settles it).
    offsets : int64 array (n_series + 1,)
    ids : tuple, or None for a wide frame, whose series share one time column
    rows : int array (total,)
        Row of the user's frame each timestamp came from.
    time_format : TimeFormat
    time_col : str
    """

    ds: Int64Array
    offsets: Int64Array
    ids: tuple[str | int, ...] | None
    rows: Int64Array
    time_format: TimeFormat
    time_col: str
    wall_clock: bool = False

    def place(self, position: int) -> str:
        """Return "series 'a', row 5" for a position in `ds` (or "row 5" in a wide frame)."""
        return f"{self.series_at(position)}row {self.rows[position]}"

    def series_at(self, position: int) -> str:
        """Return "series 'a', ", or nothing in a wide frame."""
        if self.ids is None:
            return ""
        return f"series {self.ids[int(np.searchsorted(self.offsets, position, side='right')) - 1]!r}, "

    def show(self, position: int) -> str:
        """Return the timestamp at a position as text."""
        return self.time_format.show(self.ds[position], wall_clock=self.wall_clock)

    def show_before(self, position: int) -> str:
        """Return the timestamp of the row before, with that row's number in the frame."""
        return f"{self.show(position - 1)} (row {self.rows[position - 1]})"

    def neighbours(self) -> Int64Array:
        """Return the positions that have an earlier row of the same series before them."""
        return np.delete(np.arange(len(self.ds)), self.offsets[:-1])


@dataclass(frozen=True)
class Grid:
    """Where the rows of a frame stand on the regular grid.

    `position[k]` is where row k (in the order of `Stamps.ds`) goes in arrays of `offsets[-1]`
    entries; the other entries are gaps. `origins` are datetime64[ns] or int64.
    """

    frequency: Frequency
    origins: NDArray[Any]
    offsets: Int64Array
    position: Int64Array


def rows_by_time(codes: Int64Array, ds: Int64Array) -> Int64Array:
    """Return the rows of a frame, one series after another, each in order of time; rows of one time as they came.

    ``codes`` and ``ds`` (rows,) are the series and the time of each row.
    """
    rows = np.argsort(codes, kind="stable")
    series, at = codes[rows], ds[rows]
    sorted_already = ((at[1:] >= at[:-1]) | (series[1:] != series[:-1])).all()
    return rows if sorted_already else np.lexsort((ds, codes))


def to_grid(stamps: Stamps, frequency: Frequency | None, on_gap: str) -> Grid:
    """Check the timestamps and place them on a regular grid.

    Raises
    ------
    ValueError
        Rows repeated, a series of one row when `frequency` is None, mixed frequencies, a row off the
        grid, or a gap with ``on_gap="raise"``.
    """
    _refuse_repeated(stamps)
    if frequency is None:
        _check_two_rows(stamps)
    stamps, frequency = _settle(stamps, frequency, on_gap)
    steps = _count_steps(stamps, frequency)
    lengths = steps[stamps.offsets[1:] - 1] + 1
    if on_gap == "raise":
        _refuse_gap(stamps, steps, frequency)
    else:
        _refuse_absurd_gap(stamps, steps, int(lengths.astype(float).sum()))
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    position = steps + np.repeat(offsets[:-1], np.diff(stamps.offsets))
    return Grid(frequency, _typed(stamps.ds[stamps.offsets[:-1]], stamps), offsets, position)


def _refuse_repeated(stamps: Stamps) -> None:
    later = stamps.neighbours()
    twice = later[stamps.ds[later] == stamps.ds[later - 1]]
    if len(twice):
        k, key = int(twice[0]), "time" if stamps.ids is None else "id and time"
        raise RepeatedTimeError(
            f"{stamps.place(k)}: {stamps.time_col} {stamps.show(k)} is there twice (first in row "
            f"{stamps.rows[k - 1]}); keep one row per {key}"
        )


def _check_two_rows(stamps: Stamps) -> None:
    short = np.flatnonzero(np.diff(stamps.offsets) < 2)
    if len(short):
        k = int(stamps.offsets[short[0]])
        who = "the frame" if stamps.ids is None else f"series {stamps.ids[short[0]]!r}"
        raise ValueError(
            f"{who} has one row (row {stamps.rows[k]}, {stamps.time_col} {stamps.show(k)}); "
            "at least two are needed to see the frequency; add rows or drop it"
        )


def _settle(stamps: Stamps, frequency: Frequency | None, on_gap: str) -> tuple[Stamps, Frequency]:
    """Fix the frequency and, with a time zone, the clock: local dates from a day up, else elapsed time."""
    dates = stamps.time_format.kind != "integer"
    if frequency is not None and dates != (frequency.kind != "integer"):
        found, before = ("dates", "integers") if dates else ("integers", "dates")
        raise ValueError(
            f"{stamps.place(0)}: {stamps.time_col} holds {found}, but the earlier rows had {before}; convert the column"
        )
    if stamps.time_format.timezone is None:
        return replace(stamps, wall_clock=True), frequency or _infer(stamps, on_gap)
    if frequency is None:
        later = stamps.neighbours()
        # 22 hours: the shortest day around a change of clocks.
        if (stamps.ds[later] - stamps.ds[later - 1]).min() < 22 * HOUR:
            frequency = _infer(stamps, on_gap)
    if frequency is not None and not frequency.follows_wall_clock:
        return stamps, frequency
    local = replace(stamps, ds=to_wall_clock(stamps.ds, stamps.time_format.timezone), wall_clock=True)
    frequency = frequency or _infer(local, on_gap)
    return (local if frequency.follows_wall_clock else stamps), frequency


def _infer(stamps: Stamps, on_gap: str) -> Frequency:
    return Frequency.infer(_typed(stamps.ds, stamps), stamps.offsets, stamps.ids, on_gap=on_gap)


def _typed(ds: Int64Array, stamps: Stamps) -> NDArray[Any]:
    """Return integers as they are and dates as datetime64[ns]."""
    return ds if stamps.time_format.kind == "integer" else ds.astype("datetime64[ns]")


def _count_steps(stamps: Stamps, frequency: Frequency) -> Int64Array:
    begin = stamps.offsets[:-1]
    origins = np.repeat(stamps.ds[begin], np.diff(stamps.offsets))
    try:
        return frequency.steps_between(origins, stamps.ds)
    except OffGridError as error:
        k = error.position
        first = int(begin[np.searchsorted(stamps.offsets, k, side="right") - 1])
        raise ValueError(
            f"{stamps.place(k)}: {stamps.time_col} {stamps.show(k)} does not lie on the grid of step "
            f"{frequency.alias} from {stamps.show(first)}; correct it or resample to a regular grid"
        ) from None


def _refuse_gap(stamps: Stamps, steps: Int64Array, frequency: Frequency) -> None:
    later = stamps.neighbours()
    missing = steps[later] - steps[later - 1] - 1
    if not missing.any():
        return
    k = int(later[np.argmax(missing > 0)])
    count = int(steps[k] - steps[k - 1] - 1)
    rows = "1 row is" if count == 1 else f"{count} rows are"
    raise ValueError(
        f"{stamps.place(k)}: {rows} missing between {stamps.time_col} {stamps.show_before(k)} and "
        f"{stamps.show(k)} (step {frequency.alias}); add them, or pass on_gap='mask' to take them as "
        "missing values"
    )


def _refuse_absurd_gap(stamps: Stamps, steps: Int64Array, total: int) -> None:
    if total <= max(_ALWAYS_ALLOWED, _MAX_GROWTH * len(steps)):
        return
    later = stamps.neighbours()
    k = int(later[np.argmax(steps[later] - steps[later - 1])])
    raise ValueError(
        f"{stamps.place(k)}: {steps[k] - steps[k - 1] - 1} rows are missing between {stamps.time_col} "
        f"{stamps.show_before(k)} and {stamps.show(k)}, far more than there are; correct the times"
    )
