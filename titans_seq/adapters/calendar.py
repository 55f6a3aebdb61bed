"""Calendar features of a time step: where it stands in its day, week and year."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data.frequency import Frequency

_HOUR = 3_600_000_000_000
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_YEAR = 365.2425 * _DAY
_MONDAY = np.datetime64("1969-12-29", "ns").astype(np.int64)


_NANOSECONDS = {"day": float(_DAY), "week": float(_WEEK), "year": _YEAR}


def calendar_periods(frequency: Frequency, rows: int) -> tuple[str, ...]:
    """Periods within which steps of this frequency differ, and of which ``rows`` steps show at least two.

    A period seen once is not a pattern: what the network made of it would be forecast into the next one.

    Returns
    -------
    tuple of {"day", "week", "year"}
        Empty for integer steps, which have no calendar.
    """
    if frequency.kind == "integer":
        return ()
    month = _YEAR / 12 * frequency.step
    steps = {"month": month, "business_month": month, "business_day": 7 / 5 * _DAY}
    step = steps.get(frequency.kind, frequency.step)
    shortest = 1.9 * step
    return tuple(name for name, period in _NANOSECONDS.items() if shortest <= period <= rows * step / 2)


def calendar_features(
    frequency: Frequency, periods: tuple[str, ...], origins: NDArray[Any], steps: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Sine and cosine of the phase within each calendar period.

    Parameters
    ----------
    frequency : Frequency
    periods : tuple of {"day", "week", "year"}
    origins : array (n,)
        Timestamp of each series' first row.
    steps : int array (n, k)
        Steps after the origin.

    Returns
    -------
    float32 array (n, k, 2 × number of periods)
    """
    if not periods:
        return np.zeros((*steps.shape, 0), dtype=np.float32)
    ds = frequency.advance(origins[:, None], steps).astype("datetime64[ns]").astype(np.int64)
    lengths = [_NANOSECONDS[name] for name in periods]
    phases = np.stack([((ds - _MONDAY) % length) / length for length in lengths], axis=-1)
    return np.concatenate([np.sin(2 * np.pi * phases), np.cos(2 * np.pi * phases)], axis=-1).astype(np.float32)
