"""Where variants are read: in the middle of a window, or in windows that are given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from titans_seq.data.sequences import Genome, Interval, read_bed
from titans_seq.data.sequences.alphabet import CodeArray
from titans_seq.data.sequences.edits import Edit, window_in, windows_of


class Windows(Protocol):
    """Tells in which bases an edit is read."""

    def of(self, edit: Edit) -> tuple[CodeArray, CodeArray] | None:
        """Return a window without the edit and with it; None: there is none."""

    def name_of(self, edit: Edit) -> str:
        """Return where that window is, "" if there is none."""


class CentredWindows:
    """Windows of one length with the edit in the middle."""

    def __init__(self, genome: Genome, length: int) -> None:
        self.genome, self.length = genome, length

    def of(self, edit: Edit) -> tuple[CodeArray, CodeArray]:
        """Return a window without the edit and with it."""
        return windows_of(self.genome, edit, self.length)

    def name_of(self, edit: Edit) -> str:
        """Say nothing: there is no window but about the edit."""
        return ""


class GivenWindows:
    """Windows that are given: an edit is read in the one that holds it, of several in that whose middle is nearest.

    Parameters
    ----------
    genome : Genome
    asked : path of BED, or iterable of Interval or (chrom, start, end) or (chrom, start, end, strand)

    Attributes
    ----------
    lengths : int64 array
        Different lengths of the windows, ascending.

    Raises
    ------
    ValueError, TypeError
        What is no interval, or of an unknown chromosome.
    """

    def __init__(self, genome: Genome, asked: Any) -> None:
        self.genome = genome
        intervals = read_bed(asked) if isinstance(asked, str | Path) else list(_intervals(asked))
        if not intervals:
            raise ValueError("windows holds no intervals")
        by_chrom: dict[str, list[Interval]] = {}
        for i, interval in enumerate(intervals):
            name = genome.find(interval.chrom)
            if name is None:
                raise ValueError(f"windows: interval {i}, {interval}, is of a chromosome that the genome does not have")
            by_chrom.setdefault(name, []).append(interval)
        self.intervals = {name: sorted(found, key=lambda one: one.start) for name, found in by_chrom.items()}
        self.starts = {name: np.array([one.start for one in found]) for name, found in self.intervals.items()}
        self.lengths = np.unique([len(interval) for interval in intervals])

    def of(self, edit: Edit) -> tuple[CodeArray, CodeArray] | None:
        """Return a window without the edit and with it, in the direction of its strand; None if none holds it."""
        found = self._find(edit)
        return None if found is None else window_in(self.genome, edit, found)

    def name_of(self, edit: Edit) -> str:
        """Return the region and strand of that window."""
        return str(self._find(edit) or "")

    def _find(self, edit: Edit) -> Interval | None:
        if edit.chrom not in self.intervals:
            return None
        starts = self.starts[edit.chrom]
        first, last = np.searchsorted(starts, (edit.start - self.lengths[-1], edit.start + 1))
        held = [one for one in self.intervals[edit.chrom][first:last] if edit.start < one.end and edit.end <= one.end]
        return min(held, key=lambda one: abs(one.start + one.end - edit.start - edit.end), default=None)


def _intervals(asked: Iterable[Any]) -> Iterable[Interval]:
    for i, one in enumerate(asked):
        if isinstance(one, Interval):
            yield one
            continue
        try:
            chrom, start, end, *strand = one
            yield Interval(str(chrom), int(start), int(end), *strand)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"windows must be a BED file, or (chrom, start, end) each; number {i} is {one!r}: {error}"
            ) from None
