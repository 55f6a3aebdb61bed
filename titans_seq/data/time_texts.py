"""Times as files write them: patterns, ISO with a UTC offset, seconds since 1970, quarters and weeks, read and written.

What comes out are times without a zone, on the clock of one zone (default UTC), as `read_panel` takes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

ISO, QUARTER, WEEK = "iso", "quarter", "iso_week"
EPOCHS = {"epoch_s": 10**9, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}
"""Nanoseconds of a unit."""
NAMED = (ISO, *EPOCHS, QUARTER, WEEK)

_QUARTER = re.compile(r"^(?:(?P<y1>\d{4})[-_ ./]?[Qq](?P<q1>[1-4])|[Qq](?P<q2>[1-4])[-_ ./]?(?P<y2>\d{4}))$")
_WEEK = re.compile(r"^(?P<year>\d{4})-?[Ww](?P<week>\d{1,2})$")
_INTEGER = re.compile(r"^[+-]?\d+(?:\.0*)?$")


def check_time_format(name: str) -> None:
    """Refuse what is neither one of `NAMED` nor a pattern.

    Raises
    ------
    ValueError
    """
    if name in NAMED:
        return
    directives = re.findall(r"%.", name)
    unknown = [one for one in directives if one[1] not in "YymdHIMSfpbBjz%aA"]
    if unknown or not {"%Y", "%y"} & set(directives):
        what = f"has the unknown {unknown[0]}" if unknown else "has no year (%Y or %y)"
        raise ValueError(f"must be a pattern such as %d.%m.%Y or one of {', '.join(NAMED)}; {name!r} {what}")


def parse_times(texts: pd.Series[Any], form: str, timezone: str | None = None) -> NDArray[Any]:
    """Return the times that stand in a column of text.

    Parameters
    ----------
    texts : Series of str (n,)
    form : str
        A pattern of strptime, or one of `NAMED`.
    timezone : str, optional
        Zone on whose clock times with an offset are given back; default UTC.

    Returns
    -------
    datetime64[ns] array (n,)
        NaT where a text is not of this form. Months, quarters and weeks are their first days.
    """
    import pandas as pd

    codes, different = pd.factorize(texts.astype(str).str.strip())
    found = _parse(pd.Series(different, dtype=object), form, timezone)
    return found[codes] if len(different) else np.zeros(0, dtype="datetime64[ns]")


def _parse(texts: pd.Series[Any], form: str, timezone: str | None) -> NDArray[Any]:
    import pandas as pd

    if form in EPOCHS:
        return _parse_epochs(texts, EPOCHS[form])
    if form in (QUARTER, WEEK):
        first = _quarter_day if form == QUARTER else _week_day
        return np.array([first(text) for text in texts], dtype="datetime64[D]").astype("datetime64[ns]")
    zoned = form == ISO or "%z" in form
    pattern = "ISO8601" if form == ISO else form
    stamps = pd.to_datetime(texts, format=pattern, errors="coerce", utc=zoned)
    if zoned:
        stamps = stamps.dt.tz_convert(timezone or "UTC").dt.tz_localize(None)
    return np.asarray(stamps.to_numpy(), dtype="datetime64[ns]")


def _parse_epochs(texts: pd.Series[Any], unit: int) -> NDArray[Any]:
    stamps = np.full(len(texts), np.datetime64("NaT"), dtype="datetime64[ns]")
    for i, text in enumerate(texts):
        value = int(text.partition(".")[0]) * unit if _INTEGER.match(text) else None
        if value is not None and abs(value) < 2**63 - 1:
            stamps[i] = np.datetime64(value, "ns")
    return stamps


def _quarter_day(text: str) -> np.datetime64:
    found = _QUARTER.match(text)
    if found is None:
        return np.datetime64("NaT", "D")
    year, quarter = found["y1"] or found["y2"], int(found["q1"] or found["q2"])
    return np.datetime64(f"{year}-{3 * quarter - 2:02d}-01", "D")


def _week_day(text: str) -> np.datetime64:
    import datetime

    found = _WEEK.match(text)
    if found is None:
        return np.datetime64("NaT", "D")
    try:
        monday = datetime.date.fromisocalendar(int(found["year"]), int(found["week"]), 1)
    except ValueError:  # a week that this year has not
        return np.datetime64("NaT", "D")
    return np.datetime64(monday.isoformat(), "D")


def write_times(times: NDArray[Any], form: str | None) -> NDArray[np.str_] | NDArray[np.int64]:
    """Return times (n,) as a file of this form writes them; what has a UTC offset is written in UTC."""
    import pandas as pd

    if times.dtype.kind != "M":
        return times
    stamps = times.astype("datetime64[ns]")
    if form in EPOCHS:
        return stamps.astype(np.int64) // EPOCHS[form]
    index = pd.DatetimeIndex(stamps)
    if form == QUARTER:
        return np.array([f"{t.year}Q{t.quarter}" for t in index], dtype=np.str_)
    if form == WEEK:
        weeks = index.isocalendar()
        return np.array([f"{y}-W{w:02d}" for y, w in zip(weeks["year"], weeks["week"], strict=True)], dtype=np.str_)
    pattern = form if form not in (None, ISO) else _plain_pattern(index)
    return index.strftime(pattern.replace("%z", "+0000")).to_numpy(dtype=np.str_)


def _plain_pattern(index: pd.DatetimeIndex) -> str:
    """Return the shortest ISO pattern that loses nothing."""
    if (index == index.normalize()).all():
        return "%Y-%m-%d"
    if (index == index.floor("s")).all():
        return "%Y-%m-%d %H:%M:%S" if (index.second != 0).any() else "%Y-%m-%d %H:%M"
    return "%Y-%m-%d %H:%M:%S.%f"
