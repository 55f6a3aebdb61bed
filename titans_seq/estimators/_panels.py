"""Checks of the panels that an estimator is given."""

from __future__ import annotations

from dataclasses import replace

from titans_seq.adapters.scaled import IntArray
from titans_seq.data import FrameFormat, Panel


def continuing(panel: Panel, later: Panel, fmt: FrameFormat) -> Panel:
    """Arrays carry no time: their rows follow on."""
    if fmt.kind != "numpy":
        return later
    at = [panel.ids.index(i) for i in later.ids if i in panel.ids]
    if len(at) != later.n_series:
        raise ValueError(f"the array has {later.n_series} series, fit had {panel.n_series}")
    return replace(later, origins=panel.frequency.advance(panel.last_ds[at], 1))


def check_lengths(panel: Panel, train_end: IntArray, horizon: int) -> None:
    longest = int(train_end.max())
    if longest <= horizon:
        raise ValueError(f"no series is longer than the horizon of {horizon} rows; the longest has {longest}")
