"""Where streams are forecast from, so that every row has a forecast that was made before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titans_seq.adapters.scaled import IntArray


@dataclass(frozen=True)
class Cutoffs:
    """Where a stream is forecast from: after every patch, and within it wherever a short horizon runs out.

    Attributes
    ----------
    patch_length, horizon : int
        Rows.
    """

    patch_length: int
    horizon: int

    @property
    def step(self) -> int:
        """Rows that a forecast serves at most."""
        return min(self.patch_length, self.horizon)

    def within_patch(self, position: IntArray) -> IntArray:
        """Rows between the last patch boundary and the last cut-off, both at or before ``position``."""
        phase = position % self.patch_length
        return phase - phase % self.step

    def latest(self, position: IntArray) -> IntArray:
        """Return the last cut-off at or before ``position``, in rows of the stream."""
        return position - position % self.patch_length + self.within_patch(position)

    def next(self, position: IntArray) -> IntArray:
        """Return the first cut-off after ``position``."""
        boundary = position - position % self.patch_length
        return np.minimum(self.latest(position) + self.step, boundary + self.patch_length)

    def between(self, first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
        """Return every cut-off of streams from the latest one at ``first`` to ``last``, both (n_series,).

        Returns
        -------
        series, position : int array (n,)
            None lies before the end of the first patch.
        """
        places = [np.arange(a, b + 1) for a, b in zip(self.latest(first), last, strict=True)]
        series = np.repeat(np.arange(len(places)), [len(x) for x in places])
        position = np.concatenate(places)
        at = np.flatnonzero((self.latest(position) == position) & (position >= self.patch_length))
        return series[at], position[at]
