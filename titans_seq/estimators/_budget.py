"""What there is time for, once the linear map is fitted: `max_minutes` is kept by doing less."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from titans_seq.adapters.clock import NO_LIMIT, Clock
from titans_seq.adapters.forecasts import read_all
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.stream import StreamReader
from titans_seq.estimators._settings import Settings

_TIMED = 512
"""Rows and columns of the matrices whose product is timed: some 10 ms."""
_SLOWER = 2.0
"""How long work takes beside products of matrices with as many operations."""

_PATCHES = 64
FEW_SERIES = 256
"""Series that are judged between epochs, at most."""
_MOST_STEPS = 2**21
"""Steps of all windows that are judged at the end where there are more series, at most."""
_ROUGHLY = 1.3
"""What is estimated may take so much longer."""
_FOR_READING = 0.5
"""Share of the time that is left that reading everything may take; else it is done without the network."""
_FOR_VALIDATION = 0.02
"""Share of the time that is left that one pass over validation rows may take."""
_FOR_JUDGING = 0.1
"""The same of the last pass, which reads as many series as that leaves time for."""
_ERROR_STEPS = 15.0
"""Seconds that training a memory of errors takes, its history not counted."""


@dataclass(frozen=True)
class Budget:
    """What a fit plans with.

    Attributes
    ----------
    clock : Clock
    reading : float
        Seconds that reading all rows takes.
    refit : float
        Seconds that the linear map takes once more.
    validation : float
        Seconds of the last pass over the validation rows.
    allows_network : bool
    rows_to_validate : int or None
        Validation rows of each series that are judged; None: all.
    series_to_judge : int
        Series on which weights and intervals are chosen at the end: each has a width of its own only if it was judged.
    """

    clock: Clock = NO_LIMIT
    reading: float = 0.0
    refit: float = 0.0
    validation: float = 0.0
    allows_network: bool = True
    rows_to_validate: int | None = None
    series_to_judge: int = FEW_SERIES

    @classmethod
    def plan(
        cls,
        reader: StreamReader,
        settings: Settings,
        data: ScaledPanel,
        train_end: IntArray,
        clock: Clock,
        *,
        refit: float,
    ) -> Budget:
        """Time how long a few patches take to read, and plan; without a limit nothing is timed."""
        p, lengths = settings.patch_length, data.panel.lengths
        n = int((lengths - settings.horizon >= train_end).sum())
        longest = int(np.max(lengths - train_end, initial=0))
        if not clock.limited:
            return cls(series_to_judge=_series_to_judge(n, longest // p, settings.horizon))
        if not settings.carry_state:
            return cls(clock, 0.0, _ROUGHLY * refit)
        each = _seconds_per_patch(reader, data)
        reading = _ROUGHLY * each * float((lengths // p).sum())
        few = max(1, min(FEW_SERIES, n))
        rows = clock.most(longest, each * few / p, _FOR_VALIDATION, least=4 * max(settings.horizon, p))
        a_series = _ROUGHLY * each * (rows + settings.sequence_length) / p
        judged = clock.most(_series_to_judge(n, rows // p, settings.horizon), a_series, _FOR_JUDGING, least=few)
        allowed = clock.allows(reading, _FOR_READING)
        kept_rows = rows if rows < longest else None
        return cls(clock, reading, _ROUGHLY * refit, a_series * judged, allowed, kept_rows, judged)

    @property
    def seconds_to_train(self) -> float | None:
        """Time for the network: what is left but for all that comes after it."""
        if not self.clock.limited:
            return None
        return max(0.0, 0.95 * self.clock.left - self.reading - self.refit - 2 * self.validation)

    @property
    def allows_error_memory(self) -> bool:
        """Whether there is time for a memory of errors, which reads what it learns from and then everything."""
        later = self.refit + self.reading + self.validation
        return self.clock.allows(_ERROR_STEPS + 2 * self.reading + later, 1.0)

    @property
    def allows_refit(self) -> bool:
        """Whether there is time to fit the linear map again."""
        return self.clock.allows(self.refit + self.reading)


def seconds_of(operations: float) -> float:
    """Time that floating-point operations take, most of them in products of matrices, as fast as this machine is."""
    square, seconds = np.ones((_TIMED, _TIMED)), []
    for _ in range(3):  # the first time is also one of warming up
        began = time.monotonic()
        np.dot(square, square)
        seconds.append(time.monotonic() - began)
    return _SLOWER * operations * min(seconds) / (2.0 * _TIMED**3)


def _series_to_judge(n_series: int, windows: int, horizon: int) -> int:
    """How many of the series are judged at the end where each has so many windows."""
    return min(n_series, max(FEW_SERIES, _MOST_STEPS // (max(windows, 1) * horizon)))


def _seconds_per_patch(reader: StreamReader, data: ScaledPanel) -> float:
    """Time a patch of a series takes to read, among as many series at once as there are, up to a limit."""
    rows = _PATCHES * reader.patching.patch_length
    some = np.argsort(-data.panel.lengths, kind="stable")[:FEW_SERIES]
    part = data.select(np.sort(some))
    part = ScaledPanel(part.panel.slice_rows(0, rows), part.center, part.scale, part.group)
    patches = max(1, int((part.panel.lengths // reader.patching.patch_length).sum()))
    seconds = []
    for _ in range(2):  # the first time is also one of warming up
        began = time.monotonic()
        read_all(reader, part, reader.start(part.panel.n_series))
        seconds.append(time.monotonic() - began)
    return min(seconds) / patches
