"""How far to forecast, how to split and how to score: from the rows that there are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Frequency, Panel
from titans_seq.data._align import align_ends, align_times

FEWEST_ROWS = 12
_MOST_TEST_ROWS = 5000
_PEAK = 0.3
_MOST_SEASON = 2000
_MOST_LOOKED_AT = 20


@dataclass(frozen=True)
class Plan:
    """Horizon, season and split, in rows, and why.

    Attributes
    ----------
    horizon, season_length : int
    split : (int, int, int)
        Train, validation, test.
    season_note : str
        Where the season comes from.
    kept : int array
        Places of the series that can be trained on and tested.
    """

    horizon: int
    season_length: int
    split: tuple[int, int, int]
    season_note: str
    kept: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Series of one length, and what a recipe calls how that was made: None where they were."""

    panel: Panel
    how: str | None


def aligned_panel(panel: Panel) -> Aligned:
    """Make series one length: over all of their time, unless the last rows of each leave more values to use."""
    if len(np.unique(panel.lengths)) == 1 and len(np.unique(panel.origins)) == 1:
        return Aligned(panel, None)
    found = []
    with suppress(ValueError):  # no one grid
        by_time = align_times(panel)
        found.append((_values_used(by_time), Aligned(by_time, "time")))
    lengths = np.sort(panel.lengths)
    most = int(lengths[np.argmax(lengths * np.arange(len(lengths), 0, -1))])  # rows times series that have so many
    by_end = align_ends(panel.select(np.flatnonzero(panel.lengths >= most)))
    found.append((_values_used(by_end), Aligned(by_end, "end")))
    return max(found, key=lambda entry: entry[0])[1]


def _values_used(panel: Panel) -> int:
    """Return the number of values of the series that a split in three would keep."""
    rows = int(panel.lengths.min())
    test = max(1, rows // 5)
    kept = _usable(panel, (max(1, rows - 2 * test), test, test))
    return sum(int(panel.series(i)[1].sum()) for i in kept)


def make_plan(panel: Panel, horizon: int | None, what: str) -> Plan:
    """Plan a run on series of one length.

    Parameters
    ----------
    panel : Panel
    horizon : int, optional
        Default: about one season, and at most a tenth of the rows.
    what : str
        Names the data, for messages.

    Raises
    ------
    ValueError
        Too few rows, or no series with values in train and test rows.
    """
    rows = int(panel.lengths.min())
    if rows < FEWEST_ROWS:
        raise ValueError(
            f"{what}: {rows} rows; a forecast that can be tested needs {FEWEST_ROWS} or more of each series"
        )
    season, note = find_season(panel)
    ahead = horizon or min(_usual_horizon(season), max(1, rows // 10))
    test = max(ahead, min(rows // 5, max(_MOST_TEST_ROWS, 10 * ahead)))
    if 2 * test + ahead >= rows:
        raise ValueError(f"{what}: --horizon {ahead} needs {3 * ahead + 1} rows or more of each series, found {rows}")
    split = (rows - 2 * test, test, test)
    kept = _usable(panel, split)
    if not len(kept):
        raise ValueError(f"{what}: no series has values both in its first {split[0]} and in its last {test} rows")
    return Plan(ahead, season, split, note, kept)


def _usual_horizon(season: int) -> int:
    if season <= 1:
        return 12
    if season < 8:
        return 2 * season
    return season if season <= 100 else max(24, season // 60)


def _usable(panel: Panel, split: tuple[int, int, int]) -> NDArray[np.int64]:
    """Places of series with enough values in the train rows, which vary, and some in the others."""
    train, validation, test = split
    kept = []
    for i in range(panel.n_series):
        values, seen = panel.series(i)
        fitted, told = values[:train][seen[:train]], seen[train : train + validation]
        asked = seen[train + validation : train + validation + test]
        if len(fitted) >= max(4, train // 20) and told.any() and asked.mean() > 0.1:
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def find_season(panel: Panel) -> tuple[int, str]:
    """Return the steps of a season, and where the number comes from: the frequency, or the values themselves."""
    usual, frequency = panel.frequency.season_length, panel.frequency
    if frequency.kind != "integer" and usual > 1:
        return usual, f"rows in {_period(frequency)}"
    found = _peak(panel)
    if found is None:
        return 1, "none was seen: the naive forecast is the last value"
    return found, "the values repeat themselves after so many rows"


def _period(frequency: Frequency) -> str:
    if frequency.kind == "business_day":
        return "a week"
    if frequency.kind == "month" or frequency.step >= 7 * 86_400 * 10**9:
        return "a year"
    if frequency.step >= 86_400 * 10**9:
        return "a week"
    return "a day" if frequency.step >= 60 * 10**9 else "an hour"


def _peak(panel: Panel) -> int | None:
    """Return the lag at which the series are most like themselves, if they are at all; not a multiple of it."""
    found = [_autocorrelation(panel, i) for i in range(min(panel.n_series, _MOST_LOOKED_AT))]
    found = [correlation for correlation in found if len(correlation) > 3]
    if not found:
        return None
    shared = min(map(len, found))
    mean = np.mean([correlation[:shared] for correlation in found], axis=0)
    fallen = int(np.argmax(mean < 0)) if (mean < 0).any() else shared  # neighbours are alike without any season
    inner = np.flatnonzero((mean[1:-1] > mean[:-2]) & (mean[1:-1] >= mean[2:])) + 1
    inner = inner[(inner > max(1, fallen)) & (mean[inner] > _PEAK)]
    if not len(inner):
        return None
    first = int(inner[mean[inner] >= 0.8 * mean[inner].max()][0])
    near = slice(first - first // 5, first + first // 5 + 1)
    return near.start + int(np.argmax(mean[near]))


def _autocorrelation(panel: Panel, i: int) -> NDArray[np.float64]:
    """Correlation of a series, less its trend, with itself at lags 0, 1, ... up to a third of its length."""
    values, seen = panel.series(i)
    n = len(values)
    x = np.interp(np.arange(n), np.flatnonzero(seen), values[seen])
    x = x - np.polyval(np.polyfit(np.arange(n), x, 1), np.arange(n))
    most = min(n // 3, _MOST_SEASON)
    power = np.dot(x, x)
    if power <= 0 or most < 4:
        return np.zeros(0)
    spectrum = np.abs(np.fft.rfft(x, 2 * n)) ** 2
    return np.fft.irfft(spectrum)[: most + 1] / power
