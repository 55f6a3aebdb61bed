"""Long arrays in few numbers, for figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bins:
    """Stretches of an array, all of about one length; arrays (n_bins,).

    Attributes
    ----------
    middle : float array
        Place of the middle of each, from 0.
    mean, low, high : float arrays
        Of what is not NaN in it; NaN where there is nothing else.
    """

    middle: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def binned(values: FloatArray, most: int) -> Bins:
    """Return at most so many bins of values (n,), n at least 1."""
    bounds = np.linspace(0, len(values), min(most, len(values)) + 1).astype(np.int64)
    starts, known = bounds[:-1], ~np.isnan(values)
    counts = np.add.reduceat(known, starts, dtype=np.int64)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts, dtype=np.float64)
    some = counts > 0
    mean = np.where(some, sums / np.maximum(counts, 1), np.nan)
    low = np.where(some, np.minimum.reduceat(np.where(known, values, np.inf), starts), np.nan)
    high = np.where(some, np.maximum.reduceat(np.where(known, values, -np.inf), starts), np.nan)
    return Bins((bounds[:-1] + bounds[1:] - 1) / 2, mean, low, high)
