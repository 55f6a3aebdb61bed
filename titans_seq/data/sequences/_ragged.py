"""Pieces of any lengths, one after another in one array."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array

Item = TypeVar("Item", bound=np.generic)

_LONG = 512
"""Mean length from which a loop over pieces is cheaper than an index of every item (8 bytes each)."""


def offsets_of(lengths: Int64Array) -> Int64Array:
    """Return where each piece begins, and the total: (n + 1,) for lengths (n,)."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def take_pieces(data: NDArray[Item], starts: Int64Array, lengths: Int64Array) -> NDArray[Item]:
    """Return ``data[start:start + length]`` of every piece, one after another."""
    total = int(lengths.sum())
    if total > _LONG * len(lengths):
        pieces = [data[start : start + length] for start, length in zip(starts, lengths, strict=True)]
        return np.concatenate(pieces)
    begins = np.cumsum(lengths) - lengths
    return data[np.repeat(starts - begins, lengths) + np.arange(total)]
