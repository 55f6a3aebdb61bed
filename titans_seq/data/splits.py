"""Splits of a panel by row counts, and the cut-offs of rolling evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from titans_seq.data._calendar import Int64Array
from titans_seq.data.panel import Panel


def split_rows(panel: Panel, sizes: Sequence[int]) -> tuple[Panel, Panel, Panel]:
    """Cut every series into train, validation and test by numbers of rows.

    Parameters
    ----------
    panel : Panel
        Series of at least as many rows as the three parts together.
    sizes : (train, validation, test)
        Rows of each part, from the first row on; rows after the three parts are dropped.
        Train needs at least one row; the others may be 0.

    Returns
    -------
    (Panel, Panel, Panel)

    Raises
    ------
    ValueError
        Sizes that are not three counts, or a series that is too short (named).
    """
    parts = [int(size) for size in sizes]
    if len(parts) != 3 or parts != list(sizes) or min(parts) < 0 or parts[0] < 1:
        raise ValueError(f"sizes must be three row counts (train >= 1, validation, test), got {tuple(sizes)!r}")
    short = np.flatnonzero(panel.lengths < sum(parts))
    if len(short):
        i = int(short[0])
        raise ValueError(
            f"series {panel.ids[i]!r} has {panel.lengths[i]} rows; the split "
            f"{parts[0]} + {parts[1]} + {parts[2]} needs {sum(parts)}"
        )
    train, validation = parts[0], parts[0] + parts[1]
    return (
        panel.slice_rows(0, train),
        panel.slice_rows(train, validation),
        panel.slice_rows(validation, sum(parts)),
    )


def cutoffs(length: int, horizon: int, first: int, stride: int = 1, last: int | None = None) -> Int64Array:
    """Return every row at which a forecast of `horizon` rows can begin.

    Parameters
    ----------
    length : int
        Rows of the series.
    horizon : int
        Rows of a forecast; the last cut-off leaves exactly this many.
    first : int
        First cut-off: the row index of the first forecast step (rows before it are history).
    stride : int, default 1
        Distance of neighbouring cut-offs.
    last : int, optional
        Largest cut-off allowed, default ``length - horizon``.

    Returns
    -------
    int64 array
        ``first, first + stride, ...``; none is dropped: at stride 1 there are
        ``length - horizon - first + 1``.

    Raises
    ------
    ValueError
        A count below 1, or no room for a single forecast.
    """
    for name, value, least in (("horizon", horizon, 1), ("first", first, 0), ("stride", stride, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    end = length - horizon
    if last is not None and last > end:
        raise ValueError(f"last cut-off {last} leaves less than horizon {horizon} of {length} rows; use at most {end}")
    end = end if last is None else last
    if first > end:
        raise ValueError(
            f"no cut-off fits {length} rows: the first is {first} and the last possible {end}; "
            "use more rows or a shorter horizon"
        )
    return np.arange(first, end + 1, stride, dtype=np.int64)
