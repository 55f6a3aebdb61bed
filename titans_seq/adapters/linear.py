"""The linear map from a window to the horizon: a ridge in closed form, its variant chosen on validation."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from titans_seq.adapters._linear_fill import (
    CENTRINGS,
    Centring,
    FloatArray,
    IntArray,
    check_centring,
    fill_window,
)
from titans_seq.adapters._linear_map import LinearMap
from titans_seq.adapters._linear_moments import moments_of
from titans_seq.adapters._linear_pool import PRIORS, choose_members, keeps_sums, solve_windows
from titans_seq.adapters._linear_select import Choice, select
from titans_seq.adapters._linear_sliding import needs_reading
from titans_seq.adapters._linear_targets import refined_ridge
from titans_seq.adapters._linear_torch import fill_window_torch, linear_predict_torch
from titans_seq.adapters._linear_toward import choose_toward
from titans_seq.adapters._linear_windows import WindowReader, Windows
from titans_seq.adapters.clock import NO_LIMIT, Clock
from titans_seq.data.panel import Panel

__all__ = [
    "CENTRINGS",
    "PRIORS",
    "PENALTIES",
    "LinearMap",
    "fill_window",
    "fill_window_torch",
    "fit_linear",
    "fit_linear_toward",
    "linear_predict_torch",
    "refit_linear",
]

PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 10**-2.5, 1e-2, 10**-1.5, 0.1, 10**-0.5, 1.0, 10.0, 100.0, 1e3, 1e4)
"""Ridge penalties tried, per training window and in scaled units (variance of the inputs near 1)."""

MOST_SLIDING = 4_000_000
"""Windows at most where their sums need no reading of each."""

ENOUGH_STRETCHES = 10
"""Horizons that the judging windows of a series span before its level counts as something that lasts: with three of
them, on ETTh1 at 720 rows, maps without centring cut the validation error by 20 % and raised the test error by 18 %."""

HOLD_OUT = 0.2
"""Share of the training cut-offs that chooses when there are no later rows to choose on."""


_PASSES, _PASSES_OF_ONE = 20, 6
"""Times that a fit of several maps for each series reads its windows, and that of what was chosen."""
_TIMED_WINDOWS = 512
_POOL_OF_EACH, _POOL_OF_EACH_ANEW, _POOL_OF_ONE = 4.0, 15.0, 3.0
"""What further maps take, for each series or for all, in units of what the choice of the first took."""
_FOR_READING, _FOR_LEVEL, _FOR_POOL, _FOR_REFIT = 0.3, 0.2, 0.5, 0.8
"""Shares of the time that is left."""


def fit_linear(
    panel: Panel,
    scale: ArrayLike,
    center: ArrayLike,
    train_end: ArrayLike,
    context_length: int,
    horizon: int,
    *,
    penalties: Sequence[float] = PENALTIES,
    centrings: Sequence[Centring] = CENTRINGS,
    max_windows: int = 200_000,
    weight: FloatArray | None = None,
    priors: Sequence[tuple[float, float]] = (),
    clock: Clock = NO_LIMIT,
) -> LinearMap:
    """Fit the ridge from window to horizon, its variant chosen on validation windows.

    Every centring x {one map for all series, one per series} x penalty is fitted on the training windows
    (all L + H rows before `train_end`) and judged on the validation windows (forecasts of rows from
    `train_end` on; inputs may reach back before it). The best is returned, fitted on the training windows.
    Maps behind "last" and "mean" have no intercept; "none" has one, and is chosen only if there is enough to
    judge on (`ENOUGH_STRETCHES`) and it also wins on the second half of the training rows (`_level_is_stable`).
    If no series has validation rows, the last `HOLD_OUT` of the training cut-offs judge instead, and the
    chosen variant is then fitted on all training windows.

    Parameters
    ----------
    panel : Panel
        Training rows, and after them validation rows. Never pass test rows.
    scale, center : arrays (n_series,)
        Values are read as ``(value - center) / scale`` of their series.
    train_end : int array (n_series,)
        Row of each series at which validation begins; its length where there is no validation.
    context_length, horizon : int
        L and H, in rows.
    penalties : sequence of float, default `PENALTIES`
        Per training window: λ = penalty x number of windows.
    centrings : sequence of {"none", "last", "mean"}, default all
    max_windows : int, default 200,000
        At most this many training and this many validation windows are read, spread evenly; `MOST_SLIDING` where
        series without gaps make their sums cheap.
    weight : float array (total,), optional
        What each row of the panel counts as a target, in the fit and in the score; at least 0. A row of weight 0 is
        read and never a target. λ is then the penalty x the sum of the windows' weights, the largest of their
        targets' each, so that doubling all weights changes nothing and a series of weight 2 is one that is there
        twice. Default: all alike.
    priors : sequence of (decay, reach), default none
        Priors of further maps, such as `PRIORS`, that trust older rows less. Their average is returned where it
        judges better (`titans_seq.adapters._linear_pool`).
    clock : Clock, default no limit
        Where it runs short, fewer windows are read, and these are left out: first further maps for each series, then
        maps for each series, further maps at all, and maps without centring.

    Returns
    -------
    LinearMap
        Always finite. With no training window at all it forecasts the last value.

    Raises
    ------
    ValueError
        Lengths below 1, a penalty or scale that is not positive, an unknown centring, or arrays of
        another size.

    Notes
    -----
    Missing inputs are filled from the window (`fill_window`); a window takes part if half of its inputs and
    half of its targets were observed. Missing targets count neither in the score nor, to the tolerance of
    `refined_ridge`, in the fit; with any missing, at most `MOST_GAPPY` validation windows judge. One map per
    series is left out where it would be too large or too slow (`per_series_is_feasible`). A linear model on
    the window is the baseline of Zeng et al. 2023 (arXiv 2205.13504); the closed form is that of Toner &
    Darlow 2024 (arXiv 2403.14587).
    """
    _check_options(context_length, horizon, penalties, centrings, max_windows)
    reader = WindowReader(
        panel,
        _per_series("center", center, panel),
        _checked_scale(scale, panel),
        int(context_length),
        int(horizon),
        weight,
    )
    end = _per_series("train_end", train_end, panel).astype(np.int64)
    max_windows = max_windows if needs_reading(reader) else max(max_windows, MOST_SLIDING)
    max_windows = _affordable_windows(reader, end, max_windows, clock, _PASSES, _FOR_READING)
    train = reader.between(np.zeros_like(end), end - horizon, max_windows)
    validation = reader.between(end, panel.lengths, max_windows)
    judged = (train, validation) if len(validation) else _held_out(reader, end, HOLD_OUT, max_windows)
    # Matrices this small gain little from a second BLAS thread, and on a busy machine threads that wait for
    # each other made the eigendecompositions fifty times slower.
    with threadpool_limits(limits=1, user_api="blas"):
        began = time.monotonic()
        choices = select(reader, *judged, penalties, centrings, clock)
        seconds = time.monotonic() - began
        if choices[0].centring == "none" and len(centrings) > 1:
            stretches = len(judged[1]) / horizon / max(len(np.unique(judged[1].series)), 1)
            given = (reader, end, penalties, choices, max_windows)
            sure = stretches >= ENOUGH_STRETCHES and clock.allows(seconds, _FOR_LEVEL) and _level_is_stable(*given)
            if not sure:
                choices = [choice for choice in choices if choice.centring != "none"]
        base = _fit(reader, train, choices[0])
        tried = base if train is judged[0] or not len(priors) else _fit(reader, judged[0], choices[0])
        if not clock.allows(_POOL_OF_ONE * seconds, _FOR_POOL):
            return base
        each = _POOL_OF_EACH if keeps_sums(reader) else _POOL_OF_EACH_ANEW
        apart = clock.allows(each * seconds, _FOR_POOL)
        members = choose_members(reader, judged, tried, penalties, priors, apart=apart)
        if members is None:
            return base
        return replace(solve_windows(reader, train, base, members[0]), validation_score=members[1])


def refit_linear(
    chosen: LinearMap,
    panel: Panel,
    scale: ArrayLike,
    center: ArrayLike,
    *,
    max_windows: int = 200_000,
    weight: FloatArray | None = None,
    clock: Clock = NO_LIMIT,
) -> LinearMap:
    """Fit a map again on all rows of the same series, with the centring, sharing and penalties it has.

    Parameters and result are those of `fit_linear`; the validation score stays that of the choice.
    """
    if chosen.is_last_value:
        return chosen
    centers, scales = _per_series("center", center, panel), _checked_scale(scale, panel)
    reader = WindowReader(panel, centers, scales, chosen.context_length, chosen.horizon, weight)
    max_windows = max_windows if needs_reading(reader) else max(max_windows, MOST_SLIDING)
    max_windows = _affordable_windows(reader, panel.lengths, max_windows, clock, _PASSES_OF_ONE, _FOR_REFIT)
    train = reader.between(np.zeros_like(panel.lengths), panel.lengths, max_windows)
    if not len(train):
        return chosen
    with threadpool_limits(limits=1, user_api="blas"):
        if chosen.members:
            return solve_windows(reader, train, chosen, chosen.members)
        return _fit(reader, train, Choice(chosen.centring, chosen.shared, chosen.penalty, chosen.validation_score))


def fit_linear_toward(
    earlier: LinearMap,
    panel: Panel,
    scale: ArrayLike,
    center: ArrayLike,
    train_end: ArrayLike,
    *,
    penalties: Sequence[float] = (*PENALTIES, math.inf),
    max_windows: int = 200_000,
    weight: FloatArray | None = None,
) -> LinearMap:
    """Fit the ridge towards an earlier map: ``sum |y - xW - b|² + λ |W - W0|²``, its penalty chosen as in `fit_linear`.

    Parameters
    ----------
    earlier : LinearMap
        W0, b, the centring and the lengths; one map for all series.
    panel, scale, center, train_end, max_windows, weight
        As for `fit_linear`.
    penalties : sequence of float, default `PENALTIES` and infinity
        Per training window; infinity leaves the earlier map as it is.

    Returns
    -------
    LinearMap
        The earlier one where there is nothing to fit or to judge. Its score compares with that of `fit_linear`.
    """
    if not earlier.shared:
        raise ValueError(f"one earlier map is needed, there are {len(earlier.weights)}")
    scales, centers = _checked_scale(scale, panel), _per_series("center", center, panel)
    reader = WindowReader(panel, centers, scales, earlier.context_length, earlier.horizon, weight)
    end = _per_series("train_end", train_end, panel).astype(np.int64)
    train = reader.between(np.zeros_like(end), end - earlier.horizon, max_windows)
    validation = reader.between(end, panel.lengths, max_windows)
    judged = (train, validation) if len(validation) else _held_out(reader, end, HOLD_OUT, max_windows)
    with threadpool_limits(limits=1, user_api="blas"):
        return choose_toward(reader, train, judged, earlier, penalties)


def _affordable_windows(reader: WindowReader, end: IntArray, most: int, clock: Clock, passes: int, share: float) -> int:
    """Windows that can be read so many times in a share of the time that is left."""
    if not clock.limited:
        return most
    windows = reader.between(np.zeros_like(end), end - reader.horizon, _TIMED_WINDOWS)
    if not needs_reading(reader) and int(np.maximum(end - reader.context_length, 0).sum()) <= most:
        return most  # sums over consecutive windows need no reading of each
    with threadpool_limits(limits=1, user_api="blas"):
        began = time.monotonic()
        moments_of(reader, windows)
        seconds = (time.monotonic() - began) / max(len(windows), 1)
    return clock.most(most, seconds * passes, share, least=_TIMED_WINDOWS)


def _level_is_stable(
    reader: WindowReader,
    end: IntArray,
    penalties: Sequence[float],
    choices: Sequence[Choice],
    max_windows: int,
) -> bool:
    """Whether windows need not be centred, judged on the training rows alone: half fits, half judges.

    A map without centring ties its forecasts to the level of the training rows. One validation stretch that
    happens to lie near that level cannot tell whether this lasts: on ETTh1, horizon 720, it cut the
    validation error by 15 % and raised the test error by 11 %. So it has to win here too.
    """
    centrings = list(dict.fromkeys(choice.centring for choice in choices))
    again = select(reader, *_held_out(reader, end, 0.5, max_windows), penalties, centrings)
    return again[0].centring == "none"


def _held_out(reader: WindowReader, end: IntArray, share: float, max_windows: int) -> tuple[Windows, Windows]:
    """Return the training windows without, and with, the last `share` of each series' training cut-offs.

    The former end before the first target of the latter.
    """
    last = np.minimum(end, reader.panel.lengths) - reader.horizon
    held = np.ceil(np.maximum(last - reader.context_length + 1, 0) * share).astype(np.int64)
    first_held = last + 1 - held
    before = reader.between(np.zeros_like(end), first_held - reader.horizon, max_windows)
    return before, reader.between(first_held, last, max_windows)


def _fit(reader: WindowReader, train: Windows, choice: Choice) -> LinearMap:
    """Fit the chosen variant; a series without training windows gets the map of all series."""
    n_maps = 1 if choice.shared else reader.panel.n_series
    weights = np.zeros((n_maps, reader.context_length, reader.horizon))
    bias = np.zeros((n_maps, reader.horizon))
    for i in range(n_maps):
        windows = train if choice.shared else train.of_series(i)
        windows = windows if len(windows) else train
        if len(windows):
            weights[i], bias[i] = refined_ridge(reader, windows, choice.centring, choice.penalty)
    return LinearMap(weights, bias, choice.centring, choice.penalty, choice.score)


def _check_options(
    context_length: int, horizon: int, penalties: Sequence[float], centrings: Sequence[str], max_windows: int
) -> None:
    for name, value in (
        ("context_length", context_length),
        ("horizon", horizon),
        ("max_windows", max_windows),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not len(penalties) or not all(0 < penalty < math.inf for penalty in penalties):
        raise ValueError(f"penalties must be positive numbers, got {tuple(penalties)!r}")
    if not len(centrings):
        raise ValueError("centrings must name at least one centring")
    for centring in centrings:
        check_centring(centring)


def _per_series(name: str, given: ArrayLike, panel: Panel) -> NDArray[Any]:
    array = np.asarray(given)
    if array.shape != (panel.n_series,):
        raise ValueError(f"{name} must hold one number for each of {panel.n_series} series, got {array.shape}")
    if not np.isfinite(array).all():
        i = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name} of series {panel.ids[i]!r} is {array[i]}; it must be finite")
    return array


def _checked_scale(scale: ArrayLike, panel: Panel) -> FloatArray:
    array = _per_series("scale", scale, panel).astype(np.float64)
    if (array <= 0).any():
        i = int(np.flatnonzero(array <= 0)[0])
        raise ValueError(f"scale of series {panel.ids[i]!r} is {array[i]}; it must be positive")
    return array
