"""What a `StreamLoader` refuses: arguments that make no sense, and saved states that can't be its own."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import get_worker_info

IntArray = NDArray[np.int64]


def checked_lengths(lengths: ArrayLike) -> IntArray:
    """Lengths of streams as an array; at least one, each at least 1."""
    found = np.asarray(lengths)
    if found.ndim != 1:
        raise ValueError(f"lengths must have one dimension, found shape {found.shape}")
    if not len(found):
        raise ValueError("lengths must name at least one stream, found none")
    if not np.issubdtype(found.dtype, np.integer):
        raise TypeError(f"lengths must be integers, found {found.dtype}")
    if (found < 1).any():
        at = int(np.argmax(found < 1))
        raise ValueError(f"stream {at} has length {found[at]}; leave out streams that hold nothing")
    return found.astype(np.int64)


def check_rows(stream: IntArray, position: IntArray, lengths: IntArray, batch_size: int) -> None:
    """Raise a ValueError if saved rows don't stand within these streams."""
    if stream.shape != (batch_size,) or position.shape != (batch_size,):
        raise ValueError(f"the saved state does not hold a stream and a position for each of {batch_size} rows")
    for row, (s, at) in enumerate(zip(stream.tolist(), position.tolist(), strict=True)):
        if not 0 <= s < len(lengths):
            raise ValueError(f"in the saved state row {row} reads stream {s}, of {len(lengths)}")
        if not 0 <= at <= lengths[s]:
            raise ValueError(
                f"in the saved state row {row} stands at {at} of stream {s}, which has length {lengths[s]}"
            )


def check_counter(name: str, value: Any, most: int | None) -> None:
    """Raise a ValueError if a saved counter is no integer from 0 to ``most``."""
    if not isinstance(value, int) or value < 0 or (most is not None and value > most):
        raise ValueError(f"in the saved state {name} is {value!r}, which no loader of these streams counts to")


def refuse_workers(reader: str) -> None:
    """Raise a RuntimeError within a worker of a `DataLoader`.

    Every worker has a copy: each would read the whole epoch, and the one that is asked for its state would not move.
    """
    if (worker := get_worker_info()) is not None:
        raise RuntimeError(
            f"{reader} cannot be read by the workers of a DataLoader, found num_workers={worker.num_workers}: what it "
            "hands out goes on where the last batch stood, and every worker has a copy; use num_workers=0"
        )


def checked_integer(name: str, value: Any, least: int) -> int:
    """Return an argument as an int of at least ``least``, or raise."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, found {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, found {value}")
    return int(value)
