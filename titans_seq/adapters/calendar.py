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


def calendar_periods(frequency: Frequency) -> tuple[float, ...]:
    """Periods, in nanoseconds, within which steps of this frequency differ: day, week, year as they apply.

    Integers have no calendar: an empty tuple.
    """
    if frequency.kind == "integer":
        return ()
    if frequency.kind == "month":
        return (_YEAR,) if frequency.step % 12 else ()
    step = _DAY if frequency.kind == "business_day" else frequency.step
    return tuple(float(period) for period in (_DAY, _WEEK, _YEAR) if step * 2 <= period)


def n_calendar_features(frequency: Frequency) -> int:
    """Columns that `calendar_features` returns."""
    return 2 * len(calendar_periods(frequency))


def calendar_features(frequency: Frequency, origins: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[np.float32]:
    """Sine and cosine of the phase within each calendar period.

    Parameters
    ----------
    frequency : Frequency
    origins : array (n,)
        Timestamp of each series' first row.
    steps : int array (n, k)
        Steps after the origin.

    Returns
    -------
    float32 array (n, k, 2 × number of periods)
    """
    periods = calendar_periods(frequency)
    if not periods:
        return np.zeros((*steps.shape, 0), dtype=np.float32)
    ds = frequency.advance(origins[:, None], steps).astype("datetime64[ns]").astype(np.int64)
    phases = np.stack([((ds - _MONDAY) % period) / period for period in periods], axis=-1)
    return np.concatenate([np.sin(2 * np.pi * phases), np.cos(2 * np.pi * phases)], axis=-1).astype(np.float32)
