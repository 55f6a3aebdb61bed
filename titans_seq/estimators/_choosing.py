"""What validation chooses about the linear forecast beside the map itself.

Whether the map goes on learning while series are read, whether it gives way to the last value, and whether it may have
a lower bound at all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from titans_seq.adapters._linear_sliding import needs_reading
from titans_seq.adapters._linear_windows import WindowReader
from titans_seq.adapters.clock import NO_LIMIT, Clock
from titans_seq.adapters.forecasts import Forecasts
from titans_seq.adapters.lags import LaggedMap
from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.online import OnlineLinear, online_forecasts
from titans_seq.adapters.scaled import FloatArray, IntArray, ScaledPanel
from titans_seq.data.covariates import Covariates
from titans_seq.data.panel import Panel
from titans_seq.estimators._blocks import FEWEST_DISJOINT, time_blocks
from titans_seq.estimators._budget import seconds_of
from titans_seq.estimators._combination import mean_of
from titans_seq.estimators._conformal import disjoint_windows
from titans_seq.estimators._settings import Settings

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster

MOST_WINDOWS = 1_000_000
"""Windows beyond which summing them all up is not tried."""
_SOLUTIONS = 20, 200
"""Solutions of the map in a validation, at least and at most: a map older than it will be errs on the safe side."""
_WORK = 5e10
"""Operations of all of them together: some ten seconds."""
_MOST_COMPARED = 20_000
"""Windows in which a map is compared with the last value at most."""
_SMALL = 0.05
"""Share of the error of the last value that a map has to take away, or surely to."""
_FEWEST_STEPS = 8
"""An eighth of the horizon at least is compared with the last value: fewer steps say nothing of those to come."""
_FOR_LEARNING_ON = 0.25
"""Share of the time that is left that all this may take."""


def goes_on_learning(
    forecaster: TitansForecaster,
    settings: Settings,
    data: ScaledPanel,
    train_end: IntArray,
    linear: LinearMap,
    clock: Clock = NO_LIMIT,
) -> bool:
    """Whether a map that goes on learning forecasts the validation rows better than one that does not.

    Raises
    ------
    ValueError
        If it was asked for and is too large to carry.
    """
    feasible = OnlineLinear.is_feasible(len(linear.weights), settings.context_length, settings.horizon)
    if forecaster.online_linear is True:
        if not feasible:
            raise ValueError(
                f"online_linear=True would carry the sums of {len(linear.weights)} maps of context_length "
                f"{settings.context_length}: too much; use a shorter context, or online_linear='auto'"
            )
        return True
    if forecaster.online_linear is False or not settings.carry_state or not feasible or linear.is_last_value:
        return False
    if _windows(settings, data) > MOST_WINDOWS:
        return False
    series, cutoff = _cutoffs(data, train_end, settings.horizon, settings.patch_length)
    if not len(series):
        return False
    if clock.limited and not clock.allows(seconds_of(_operations(settings, data, train_end)), _FOR_LEARNING_ON):
        return False
    actual, observed, counts = outcomes(data, series, cutoff, settings.horizon)
    if not observed.any():
        return False
    both = _both(settings, data, series, cutoff, linear)
    once, online = (mean_of(np.square(f - actual), observed, counts) for f in both)
    return bool(online < once)


def no_better_than_the_last_value(
    settings: Settings, data: ScaledPanel, train_end: IntArray, linear: LinearMap
) -> bool:
    """Whether validation does not tell a map from one that forecasts the last value, as on random walks.

    Its gain has to be less than `_SMALL`, and less than two standard errors, by blocks of time: a map that fits noise
    of the train rows is worse on rows to come. Where windows of the whole horizon are too few to tell, as many of its
    first steps are compared as leave `FEWEST_DISJOINT` windows, and the map gives way only if it is clearly worse.
    """
    later = int((data.panel.lengths - train_end).max(initial=0))
    horizon = min(settings.horizon, later // FEWEST_DISJOINT)
    if horizon * _FEWEST_STEPS < settings.horizon:
        return False
    few = horizon < settings.horizon
    ends = _cutoffs(data, train_end, horizon, 1 if few else settings.patch_length)
    series, cutoff = (x[:: 1 + len(x) // _MOST_COMPARED] for x in ends)
    actual, observed, counts = outcomes(data, series, cutoff, horizon)
    if not observed.any():
        return False
    values, seen = (x.numpy() for x in data.gather(series, cutoff - settings.context_length, settings.context_length))
    weights = observed.astype(np.float64) if counts is None else np.where(observed, counts, 0.0)
    last, mapped = (
        (weights * np.square(one.predict(values, seen, group)[:, :horizon] - actual)).sum(1)
        for one, group in ((linear.last_value(), None), (linear, data.group[series]))
    )
    gain, disjoint = last - mapped, int(disjoint_windows(series, cutoff, observed, data.panel.n_series).max())
    if few:
        return bool(gain.sum() < -_SMALL * last.sum())
    if disjoint < FEWEST_DISJOINT or gain.sum() >= _SMALL * last.sum():
        return False
    blocks = np.array([gain[rows].sum() for rows in time_blocks(cutoff, disjoint)])
    return bool(blocks.mean() < 2 * blocks.std(ddof=1) / np.sqrt(len(blocks)))


def _operations(settings: Settings, data: ScaledPanel, train_end: IntArray) -> float:
    """Work of a map that goes on learning, in training, choosing and reading."""
    length, h = settings.context_length, settings.horizon
    later = int(np.maximum(data.panel.lengths - train_end, 0).sum())
    one_by_one = needs_reading(WindowReader(data.panel, data.center, data.scale, length, h, data.weight))
    windows = 3 * later + 4 * _windows(settings, data) * one_by_one
    return 2.0 * windows * length * (length + h) + 3 * _WORK


def _windows(settings: Settings, data: ScaledPanel) -> int:
    return int(np.maximum(data.panel.lengths - settings.context_length - settings.horizon, 0).sum())


def with_online_map(
    forecasts: Forecasts, settings: Settings, data: ScaledPanel, linear: LinearMap, lags: LaggedMap
) -> Forecasts:
    """Return validation forecasts whose linear part goes on learning from the first window on."""
    refresh = _refresh(settings, linear, forecasts.cutoff)
    empty = OnlineLinear.empty(linear)
    found = online_forecasts(empty, data, forecasts.series, forecasts.cutoff, refresh=refresh)
    found = found + lags.forecast(data, forecasts.series, forecasts.cutoff)
    return replace(forecasts, linear=found.astype(np.float32))


def _both(
    settings: Settings, data: ScaledPanel, series: IntArray, cutoff: IntArray, linear: LinearMap
) -> tuple[np.ndarray, np.ndarray]:
    length = settings.context_length
    values, seen = (x.numpy() for x in data.gather(series, cutoff - length, length))
    online = online_forecasts(
        OnlineLinear.empty(linear), data, series, cutoff, refresh=_refresh(settings, linear, cutoff)
    )
    return linear.predict(values, seen, data.group[series]), online


def _refresh(settings: Settings, linear: LinearMap, cutoff: IntArray) -> int:
    span = int(cutoff.max(initial=0) - cutoff.min(initial=0))
    length = linear.context_length
    one = len(linear.weights) * max(len(linear.members), 1) * length**2 * (length / 3 + 2 * linear.horizon)
    return max(settings.patch_length, -(-span // int(np.clip(_WORK / one, *_SOLUTIONS))))


def _cutoffs(data: ScaledPanel, train_end: IntArray, horizon: int, step: int) -> tuple[IntArray, IntArray]:
    """Cut-offs every ``step`` rows from ``train_end`` on, as long as a horizon follows."""
    counts = np.maximum((data.panel.lengths - horizon - train_end) // step + 1, 0)
    series = np.repeat(np.arange(len(counts)), counts)
    nth = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
    return series, train_end[series] + step * nth


def outcomes(
    data: ScaledPanel, series: IntArray, cutoff: IntArray, horizon: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What happened after each cut-off.

    Returns
    -------
    actual, observed : arrays (n, horizon)
        Scaled units, and where it was observed and counts.
    counts : float array (n, horizon), or None where all count alike
        What each row counts. Where none of them does, all count alike.
    """
    actual, observed = (x.numpy() for x in data.gather(series, cutoff, horizon))
    if data.weight is None:
        return actual, observed, None
    counts = data.weights(series, cutoff, horizon)
    usable = observed & (counts > 0)
    return (actual, usable, counts) if usable.any() else (actual, observed, None)


def wanted_lower_bound(
    forecaster: TitansForecaster, panel: Panel, covariates: Covariates, weight: FloatArray | None
) -> bool | Literal["auto"]:
    """Whether forecasts have a lower bound; "auto" is left only where validation may choose one."""
    known_ahead = bool(covariates.features_of("future").any())
    if forecaster.lower_bound is True and known_ahead:
        raise ValueError(
            "lower_bound=True keeps forecasts above the lowest value of late, which covariates of role 'future' may "
            "explain; leave them out, or use lower_bound=False"
        )
    if forecaster.lower_bound != "auto":
        return bool(forecaster.lower_bound)
    counted = panel.observed if weight is None else panel.observed & (weight > 0)
    return "auto" if not known_ahead and not (panel.values[counted] < 0).any() else False
