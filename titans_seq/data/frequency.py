"""How one row follows another: steps between timestamps as exact integer arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import _calendar as calendar
from titans_seq.data._calendar import DAY, HOUR, MINUTE, MONTH_END, SECOND, WEEK, Int64Array
from titans_seq.data._steps import COUNTERS, MOVERS

KINDS = ("integer", "duration", "month", "business_day", "business_month")

_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_UNITS = (
    ("W", WEEK),
    ("D", DAY),
    ("h", HOUR),
    ("min", MINUTE),
    ("s", SECOND),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
)


class OffGridError(ValueError):
    """A timestamp is not a whole number of steps from its origin.

    Attributes
    ----------
    position : int
        Index of the first such timestamp in the (flattened) array that was passed.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Frequency:
    """The step between two neighbouring rows.

    Where a series stands on the grid (which weekday, which quarter) is not part of the
    frequency but of each series' first timestamp: every step is counted from there.

    Parameters
    ----------
    kind : {"integer", "duration", "month", "business_day", "business_month"}
        What is counted: integers, elapsed nanoseconds, calendar months, Mondays to Fridays, or calendar
        months by their first or last Monday to Friday.
    step : int
        Size of one step: integers, nanoseconds, months, or 1 for business days.
    anchor : int, default 0
        Months only: the day of the month, 1 to 31. In a shorter month it means the last day,
        so 31 is "month end". Business months: 1 (the first) or 31 (the last). 0 for the other kinds.

    Raises
    ------
    ValueError
        Unknown kind, a step below 1, or an anchor that does not fit the kind.
    """

    kind: str
    step: int
    anchor: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"frequency kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.step < 1 or (self.kind == "business_day" and self.step != 1):
            raise ValueError(f"a {self.kind} frequency cannot step by {self.step}")
        anchors = {"month": range(1, MONTH_END + 1), "business_month": (1, MONTH_END)}.get(self.kind, (0,))
        if self.anchor not in anchors:
            raise ValueError(f"a {self.kind} frequency cannot have the anchor {self.anchor}")

    @staticmethod
    def infer(
        ds: NDArray[Any],
        offsets: NDArray[np.int64],
        ids: Sequence[str | int] | None = None,
        *,
        on_gap: str = "raise",
    ) -> Frequency:
        """Find the one frequency of all series.

        Parameters
        ----------
        ds : array (total,)
            datetime64 or integers, increasing within each series, one series after another.
        offsets : int array (n_series + 1,)
            Series i is ``ds[offsets[i]:offsets[i + 1]]``.
        ids : sequence, optional
            Names of the series, for messages.
        on_gap : {"raise", "mask"}, default "raise"
            Whether a series may step regularly by several steps of the others.

        Returns
        -------
        Frequency
            Gaps are allowed: the step is the smallest difference that is not a rare oddity.

        Raises
        ------
        ValueError
            A series has fewer than two rows, or series step differently (each is named).
        """
        from titans_seq.data._infer import infer_frequency  # that module imports this one

        return infer_frequency(np.asarray(ds), np.asarray(offsets, dtype=np.int64), ids, on_gap)

    def steps_between(self, origin: Any, ds: Any) -> Int64Array:
        """Count the steps from `origin` to each timestamp.

        Parameters
        ----------
        origin : datetime64, int, or array that broadcasts to `ds`
        ds : datetime64 or int array

        Returns
        -------
        int64 array of the shape of `ds`
            Negative before the origin.

        Raises
        ------
        OffGridError
            (a ValueError) when a timestamp lies between two steps; names the first.
        """
        start, at = np.broadcast_arrays(calendar.to_integers(origin), calendar.to_integers(ds))
        steps, on_grid = COUNTERS[self.kind](self.step, self.anchor, start, at)
        if not on_grid.all():
            position = int(np.argmin(on_grid.ravel()))
            shown, first = self.show(at.ravel()[position]), self.show(start.ravel()[position])
            message = f"{shown} is not a whole number of steps ({self.alias}) from {first}"
            raise OffGridError(message, position)
        return steps

    def steps_at_most(self, origin: Any, ds: Any) -> Int64Array:
        """Count as `steps_between` does, but for a timestamp between two steps a number that is not too small."""
        start, at = np.broadcast_arrays(calendar.to_integers(origin), calendar.to_integers(ds))
        steps, on_grid = COUNTERS[self.kind](self.step, self.anchor, start, at)
        return np.where(on_grid, steps, steps + 1)

    def advance(self, origin: Any, steps: Any) -> NDArray[Any]:
        """Return the timestamps `steps` steps after `origin`.

        Parameters
        ----------
        origin : datetime64, int, or array
            Must lie on the grid (see `anchor`).
        steps : int or int array, broadcast against `origin`
            Negative goes back.

        Returns
        -------
        datetime64[ns] array, or int64 for the kind "integer"

        Raises
        ------
        ValueError
            The result leaves what int64 or nanoseconds (years 1677 to 2262) can hold.
        """
        start, count = np.broadcast_arrays(calendar.to_integers(origin), np.asarray(steps, dtype=np.int64))
        moved = MOVERS[self.kind](self.step, self.anchor, start, count)
        return moved if self.kind == "integer" else moved.astype("datetime64[ns]")

    def first_from(self, origin: Any, ds: Any) -> NDArray[Any]:
        """Return the first timestamp at or after `ds` that is a whole number of steps from `origin`.

        Parameters
        ----------
        origin : datetime64, int, or array that broadcasts to `ds`
            On the grid (see `anchor`); it may be later than `ds`.
        ds : datetime64 or int array
            Need not be on the grid.

        Returns
        -------
        datetime64[ns] array, or int64 for the kind "integer", of the shape of `ds`

        Raises
        ------
        ValueError
            As for `advance`.
        """
        start, at = np.broadcast_arrays(calendar.to_integers(origin), calendar.to_integers(ds))
        near, _ = COUNTERS[self.kind](self.step, self.anchor, start, at)
        # Counts round down: off the grid they lead to the last row before, or to the first one after.
        before = calendar.to_integers(self.advance(start, near)) < at
        return self.advance(start, near + before)

    @property
    def follows_wall_clock(self) -> bool:
        """Whether a step is one of local dates (days and longer) rather than of elapsed time.

        With a time zone this decides what a day with 23 or 25 hours means.
        """
        return self.kind in ("month", "business_day", "business_month") or (
            self.kind == "duration" and self.step % DAY == 0
        )

    @property
    def season_length(self) -> int:
        """Steps in the season that data of this frequency usually have; 1 means none.

        Hourly 24, 15 minutes 96, seconds 3600 (an hour), below a second 1, daily 7, business days 5,
        weekly 52, monthly 12, quarterly 4, yearly and integers 1.
        """
        if self.kind == "integer":
            return 1
        if self.kind == "business_day":
            return 5
        if self.kind in ("month", "business_month"):
            return _whole(12, self.step)
        if self.step % WEEK == 0:
            return _whole(52, self.step // WEEK)
        if self.step < SECOND:
            return 1
        for period, largest_step in ((HOUR, MINUTE), (DAY, DAY), (WEEK, WEEK)):
            if self.step < largest_step:
                return _whole(period, self.step)
        return 1

    @property
    def alias(self) -> str:
        """A pandas-style alias for display, such as "h", "15min", "W", "MS", "QE" or "B".

        It carries no weekday and no month, see `alias_at`. Months on a day that is neither the
        first nor the last have no pandas alias and read "MS on day 15".
        """
        if self.kind == "integer":
            return str(self.step)
        if self.kind == "business_day":
            return "B"
        return self._duration_alias() if self.kind == "duration" else self._month_alias()

    def alias_at(self, origin: Any) -> str:
        """Return the pandas alias with the weekday or month of `origin`, e.g. "W-SAT", "QE-DEC", "YS-APR"."""
        if self.kind == "duration" and self.step % WEEK == 0:
            day = calendar.to_integers(origin) // DAY
            return f"{self.alias}-{_WEEKDAYS[int(calendar.weekday(day))]}"
        if self.kind in ("month", "business_month") and self.anchor in (1, MONTH_END) and self.step % 3 == 0:
            month = int(calendar.months_since_1970(calendar.to_integers(origin) // DAY)) % 12
            if self.step % 12 == 0:
                return f"{self.alias}-{_MONTHS[month]}"
            if self.alias.endswith(("QS", "QE")):
                return f"{self.alias}-{_MONTHS[month % 3 + (9 if self.anchor == MONTH_END else 0)]}"
        return self.alias

    def show(self, ds: Any) -> str:
        """Return one timestamp as text for messages: "7", "2024-01-31" or "2024-01-31 06:00"."""
        value = int(calendar.to_integers(ds))
        return str(value) if self.kind == "integer" else show_timestamp(value)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Frequency:
        """Rebuild what `to_dict` returned."""
        return cls(kind=str(data["kind"]), step=int(data["step"]), anchor=int(data["anchor"]))

    def _month_alias(self) -> str:
        edge = "E" if self.anchor == MONTH_END else "S"
        for letter, months in (("Y", 12), ("Q", 3), ("M", 1)):
            if self.step % months == 0 and (months != 3 or self.step == 3):
                count = self.step // months
                day = "" if self.anchor in (1, MONTH_END) else f" on day {self.anchor}"
                business = "B" if self.kind == "business_month" else ""
                return f"{count if count > 1 else ''}{business}{letter}{edge}{day}"
        raise AssertionError("every step is a whole number of months")

    def _duration_alias(self) -> str:
        for letter, size in _UNITS:
            if self.step % size == 0:
                count = self.step // size
                return f"{count if count > 1 else ''}{letter}"
        raise AssertionError("every step is a whole number of nanoseconds")


def show_timestamp(nanoseconds: int) -> str:
    """Return an ISO date for midnight, else date and time without trailing zeros: 2024-01-31 06:00."""
    whole = np.datetime64(nanoseconds, "ns")
    if nanoseconds % DAY == 0:
        return str(whole.astype("datetime64[D]"))
    for unit, size in (("m", MINUTE), ("s", SECOND)):
        if nanoseconds % size == 0:
            return str(whole.astype(f"datetime64[{unit}]")).replace("T", " ")
    return str(whole).replace("T", " ").rstrip("0")


def _whole(period: int, step: int) -> int:
    return period // step if period % step == 0 else 1
