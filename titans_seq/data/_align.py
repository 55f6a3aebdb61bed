"""Series of different lengths made one length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from titans_seq.data.frequency import OffGridError
from titans_seq.data.panel import Panel


def align_times(panel: Panel) -> Panel:
    """Return the same series from the first row of any to the last row of any; what is added is not observed.

    Raises
    ------
    ValueError
        Series whose rows do not stand on one grid (other weekdays, say): the message names one.
    """
    begin = panel.origins.min()
    try:
        before = panel.frequency.steps_between(begin, panel.origins)
    except OffGridError as error:
        name = panel.ids[error.position]
        raise ValueError(f"series {name!r}: {error}, the first row of another series; leave out data.align") from None
    length = int((before + panel.lengths).max())
    starts = np.arange(panel.n_series + 1, dtype=np.int64) * length
    target = np.repeat(starts[:-1] + before - panel.offsets[:-1], panel.lengths) + np.arange(len(panel.values))
    values, observed = np.zeros(starts[-1]), np.zeros(starts[-1], dtype=bool)
    covariates = np.zeros((starts[-1], panel.covariates.shape[1]))
    values[target], observed[target], covariates[target] = panel.values, panel.observed, panel.covariates
    origins = np.repeat(np.asarray(begin), panel.n_series)
    return Panel(values, observed, starts, panel.ids, origins, panel.frequency, covariates)


def align_ends(panel: Panel) -> Panel:
    """Return the last rows of every series, as many as the shortest has."""
    shortest = int(panel.lengths.min())
    return panel.slice_rows(-shortest, None)


ALIGN: dict[str, Callable[[Panel], Panel]] = {"time": align_times, "end": align_ends}
"""Function by what a recipe calls it."""
