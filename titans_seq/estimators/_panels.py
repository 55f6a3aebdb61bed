"""Checks of the panels that an estimator is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from titans_seq.adapters.scaled import IntArray
from titans_seq.data import FrameFormat, Panel

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster


def continuing(panel: Panel, later: Panel, fmt: FrameFormat) -> Panel:
    """Arrays carry no time: their rows follow on."""
    if fmt.kind != "numpy":
        return later
    at = [panel.ids.index(i) for i in later.ids if i in panel.ids]
    if len(at) != later.n_series:
        raise ValueError(f"the array has {later.n_series} series, fit had {panel.n_series}")
    return replace(later, origins=panel.frequency.advance(panel.last_ds[at], 1))


def follows(forecaster: TitansForecaster, new: Panel, fmt: FrameFormat) -> bool:
    """Whether every series begins with the row after the last that was read of it."""
    place = {name: i for i, name in enumerate(forecaster.ids_)}
    if fmt.time.timezone != forecaster._format.time.timezone or not all(name in place for name in new.ids):
        return False
    last = forecaster._last_ds[[place[name] for name in new.ids]]
    return bool((new.origins == forecaster.frequency_.advance(last, 1)).all())


def check_lengths(panel: Panel, train_end: IntArray, horizon: int) -> None:
    longest = int(train_end.max())
    if longest <= horizon:
        raise ValueError(f"no series is longer than the horizon of {horizon} rows; the longest has {longest}")
