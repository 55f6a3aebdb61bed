"""Blocks of time in which errors are compared: windows that overlap say the same again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCKS = 10
FEWEST_DISJOINT = 4
"""Windows that do not overlap below which nothing is told from chance by its blocks."""


def time_blocks(cutoff: NDArray[np.int64], disjoint: int) -> list[NDArray[np.intp]]:
    """Return the windows of each block, in order of time: ten, or as many as there are that do not overlap.

    Parameters
    ----------
    cutoff : int array (n,)
        Where the windows begin.
    disjoint : int
        Windows that do not overlap; of one, two halves are made.
    """
    return np.array_split(np.argsort(cutoff, kind="stable"), min(BLOCKS, max(disjoint, 2)))
