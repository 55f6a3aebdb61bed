"""Pandas periods, the starts of GluonTS entries, as a frequency and as rows on its grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titans_seq.data import _calendar as calendar
from titans_seq.data._calendar import WEEK, Int64Array
from titans_seq.data.frequency import Frequency

Origins = Mapping[str | int, Any]

_MONTHS = {"MonthEnd": 1, "QuarterEnd": 3, "YearEnd": 12}


@dataclass(frozen=True)
class PeriodStep:
    """The step of a period such as "2h" or "Q-DEC": `count` units, each of which is one period long.

    Attributes
    ----------
    kind : {"duration", "month", "business_day"}
    unit : int
        Nanoseconds, months, or 1 for business days.
    count : int
    """

    kind: str
    unit: int
    count: int

    @property
    def frequency(self) -> Frequency:
        """Step from the first instant of one period to that of the next."""
        return Frequency(self.kind, self.unit * self.count, int(self.kind == "month"))

    def fits(self, frequency: Frequency) -> bool:
        """Whether rows of `frequency` can be such periods, whatever day of the month they stand on."""
        kind = "month" if frequency.kind == "business_month" else frequency.kind
        return (self.kind, self.unit * self.count) == (kind, frequency.step)


def period_step(offset: Any) -> PeriodStep:
    """Return the step of a period's ``freq``; ValueError if rows cannot step like that."""
    from pandas.tseries.offsets import BusinessDay, Tick, Week

    if isinstance(offset, Tick):
        return PeriodStep("duration", int(offset.nanos) // offset.n, offset.n)
    if isinstance(offset, Week):
        return PeriodStep("duration", WEEK, offset.n)
    if type(offset).__name__ in _MONTHS:
        return PeriodStep("month", _MONTHS[type(offset).__name__], offset.n)
    if isinstance(offset, BusinessDay) and offset.n == 1:
        return PeriodStep("business_day", 1, 1)
    raise ValueError(f"its step {offset.freqstr!r} can't be read; resample to hours, days, weeks, months or the like")


def first_instant(period: Any) -> int:
    """Return the beginning of a pandas Period in nanoseconds."""
    if type(period.freq).__name__ == "BusinessDay":  # pandas can still convert them, but warns each time
        import pandas as pd

        return int(pd.Timestamp(period.year, period.month, period.day).value)
    return int(period.start_time.value)


def place(
    starts: Int64Array, step: PeriodStep, frequency: Frequency, ids: Sequence[str | int], origins: Origins | None
) -> Int64Array:
    """Return the timestamp of the row that each period stands for.

    Parameters
    ----------
    starts : int64 array (n,)
        First instants of the periods, nanoseconds.
    step : PeriodStep
    frequency : Frequency
        Of the rows; `step` fits it.
    ids : sequence (n,)
    origins : dict of id to timestamp, optional
        Where earlier series stand on the grid. A period that covers a month may stand for a row on its last
        day; series not among the earlier ones follow the first of them.

    Returns
    -------
    int64 array (n,)
    """
    unit = Frequency(frequency.kind, step.unit, frequency.anchor)
    if origins:
        first = next(iter(origins.values()))
        at = calendar.to_integers(np.array([origins.get(name, first) for name in ids]))
    elif step.kind == "month":
        unit, one = replace(frequency, step=1), np.zeros(1, dtype=np.int64)
        at = one + (frequency.anchor - 1) * calendar.DAY
        at = at if frequency.kind == "month" else calendar.business_edge(one, frequency.anchor) * calendar.DAY
    else:
        return starts
    return calendar.to_integers(unit.first_from(at, starts.astype("datetime64[ns]")))
