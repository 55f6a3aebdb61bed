"""Errors of the forecasts whose rows have been read since `fit`: they move the intervals of their series.

The intervals are quantiles of a rolling window of errors, one for each series, which begins full of those of
validation; each new row puts its own in the place of one of them. A rolling window is the simplest of the weightings
that Barber, Candès, Ramdas & Tibshirani (2023, Conformal prediction beyond exchangeability) analyse: coverage is off by
no more than the distribution has moved within the window. Unlike adaptive conformal inference (Gibbs & Candès 2021),
which moves the level of one interval, it moves all quantiles at once, so that they cannot cross and are always finite.

Errors are kept as normal scores, in which those of all steps ahead are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from titans_seq.adapters.forecasts import Forecasts
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.estimators._combination import Combination
from titans_seq.estimators._conformal import LEVELS
from titans_seq.estimators._normal_scores import to_normal

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FORECASTS_PER_ROW = 8
_FEWEST_ROWS, _HORIZONS = 512, 10
_PRIOR = ndtri((np.arange(199) + 0.5) / 199)
_AT_ONCE = 128


@dataclass(frozen=True)
class Window:
    """Which forecasts are judged, and how many rows the window holds.

    Attributes
    ----------
    horizon, patch_length : int
    """

    horizon: int
    patch_length: int

    @property
    def step(self) -> int:
        """Rows from one forecast that is judged to the next: whole patches, at most eight forecasts of a row."""
        return self.patch_length * max(1, -(-self.horizon // (_FORECASTS_PER_ROW * self.patch_length)))

    @property
    def depth(self) -> int:
        """Forecasts of one row at most."""
        return -(-self.horizon // self.step)

    @property
    def rows(self) -> int:
        """Rows in the window: ten horizons, as errors of windows that overlap say little that is new."""
        return max(_FEWEST_ROWS, _HORIZONS * self.horizon)

    def judged(self, cutoff: IntArray) -> NDArray[np.intp]:
        """Which of the cut-offs (rows of the stream) belong to forecasts that are judged."""
        return np.flatnonzero(cutoff % self.step == 0)

    def place(self, cutoff: Any) -> Any:
        """Return the column of each forecast in the window; no two forecasts of one row share it."""
        return cutoff // self.step % self.depth


@dataclass(frozen=True)
class RecentErrors:
    """The window of every series, and the forecasts whose rows are still to come.

    Attributes
    ----------
    window : Window
    scores : float array (n_series, rows, depth)
        Normal scores of errors; row r of a stream at r modulo rows. NaN where there is none.
    cutoff : int array (n_series, depth)
        Row of the stream at which each pending forecast begins; -1 for none.
    point, width : float array (n_series, depth, horizon)
        Of pending forecasts, scaled units.
    steps : int array (n_series,)
        Rows of each stream that were read.
    """

    window: Window
    scores: FloatArray
    cutoff: IntArray
    point: FloatArray
    width: FloatArray
    steps: IntArray

    @classmethod
    def start(cls, window: Window, forecasts: Forecasts, chosen: Combination) -> RecentErrors:
        """Begin after the rows that `fit` read, with the forecasts of all series from there."""
        n, shape = len(forecasts.series), (len(forecasts.series), window.depth)
        empty = cls(
            window,
            np.full((n, window.rows, window.depth), np.nan),
            np.full(shape, -1),
            np.zeros((*shape, window.horizon)),
            np.ones((*shape, window.horizon)),
            forecasts.cutoff.copy(),
        )
        rows = window.judged(forecasts.cutoff)
        return empty._with_pending(*_judged(forecasts.take(rows), forecasts.cutoff[rows], chosen))

    def read(self, data: ScaledPanel, forecasts: Forecasts, cutoff: IntArray, chosen: Combination) -> RecentErrors:
        """Return the windows after new rows of all series.

        Parameters
        ----------
        data : ScaledPanel
            The new rows of every series (none for some), in its order.
        forecasts : Forecasts
            Made on the way, at the ends of patches.
        cutoff : int array (n,)
            Where in the streams they begin.
        chosen : Combination
        """
        window, after = self.window, self.steps + data.panel.lengths
        rows = window.judged(cutoff)
        new = _judged(forecasts.take(rows), cutoff[rows], chosen)
        held, column = np.nonzero(self.cutoff >= 0)
        old = (held, self.cutoff[held, column], self.point[held, column], self.width[held, column])
        series, begin, point, width = (np.concatenate(pair) for pair in zip(old, new, strict=True))
        scores = self._forget(after)
        z = _scores(data, series, begin - self.steps[series], point, width, chosen)
        row = begin[:, None] + np.arange(window.horizon)
        keep = ~np.isnan(z) & (row >= after[series][:, None] - window.rows)
        which, step = np.nonzero(keep)
        scores[series[which], row[which, step] % window.rows, window.place(begin)[which]] = z[which, step]
        open_ = np.flatnonzero(begin + window.horizon > after[series])
        moved = replace(self, scores=scores, cutoff=np.full_like(self.cutoff, -1), steps=after)
        return moved._with_pending(series[open_], begin[open_], point[open_], width[open_])

    def quantiles(self, series: IntArray) -> FloatArray:
        """Return the quantiles of the windows of some series at `LEVELS`, (n, n_levels), normal scores."""
        return window_quantiles(self.scores[series])

    def _forget(self, after: IntArray) -> FloatArray:
        """Scores without the rows that move out of the window."""
        rows = self.window.rows
        age = np.arange(rows)
        which, back = np.nonzero(age < np.minimum(after - self.steps, rows)[:, None])
        scores = self.scores.copy()
        scores[which, (after[which] - 1 - back) % rows] = np.nan
        return scores

    def _with_pending(self, series: IntArray, cutoff: IntArray, point: FloatArray, width: FloatArray) -> RecentErrors:
        held, points, widths = self.cutoff.copy(), np.zeros_like(self.point), np.ones_like(self.width)
        at = (series, self.window.place(cutoff))
        held[at], points[at], widths[at] = cutoff, point, width
        return replace(self, cutoff=held, point=points, width=widths)

    def tensors(self) -> dict[str, Any]:
        """Return everything as arrays, for saving."""
        return {name: getattr(self, name) for name in ("scores", "cutoff", "point", "width", "steps")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any], window: Window, n_series: int) -> RecentErrors:
        """Rebuild from `tensors`.

        Raises
        ------
        ValueError, KeyError
            An entry is missing or does not fit.
        """
        pending = (n_series, window.depth)
        shapes = {
            "scores": (n_series, window.rows, window.depth),
            "cutoff": pending,
            "point": (*pending, window.horizon),
            "width": (*pending, window.horizon),
            "steps": (n_series,),
        }
        for name, shape in shapes.items():
            if np.shape(tensors[name]) != shape:
                raise ValueError(f"the {name} of recent errors have shape {np.shape(tensors[name])}, not {shape}")
        return cls(window, **{name: np.asarray(tensors[name]) for name in shapes})


def window_quantiles(scores: FloatArray) -> FloatArray:
    """Return quantiles at `LEVELS` of windows (n, rows, depth) that the scores of validation fill up: (n, n_levels).

    Every row counts as one, whatever the number of its forecasts.
    """
    n, rows, depth = scores.shape
    seen = ~np.isnan(scores)
    each = 1 / (rows * np.maximum(seen.sum(2, keepdims=True), 1))
    rest = 1 - seen.any(2).sum(1) / rows
    prior = np.broadcast_to(_PRIOR, (n, len(_PRIOR)))
    values = np.concatenate([np.where(seen, scores, np.inf).reshape(n, -1), prior], axis=1)
    weights = np.concatenate(
        [np.where(seen, each, 0.0).reshape(n, -1), np.repeat(rest[:, None] / len(_PRIOR), len(_PRIOR), 1)], axis=1
    )
    order = np.argsort(values, axis=1, kind="stable")
    result = np.empty((n, len(LEVELS)))
    for i, ranks in enumerate(order):
        ranks = ranks[weights[i, ranks] > 0]
        share = weights[i, ranks]
        result[i] = np.interp(LEVELS, np.cumsum(share) - share / 2, values[i, ranks])
    return result


def quantiles_along(
    window: Window,
    data: ScaledPanel,
    forecasts: Forecasts,
    asked: NDArray[np.intp],
    first: int,
    chosen: Combination,
    place: IntArray,
) -> FloatArray:
    """Return the quantiles of the window at some forecasts of a pass over series, (n_asked, n_levels), normal scores.

    What is said of a forecast depends on the rows before its cut-off alone.

    Parameters
    ----------
    window : Window
    data : ScaledPanel
    forecasts : Forecasts
        With those at the end of every patch from row ``first`` on.
    asked : int array (n_asked,)
        Which of the forecasts.
    first : int
        Row of each series at which the windows begin, full of the errors of validation.
    chosen : Combination
    place : int array (n,)
        Of the series of each forecast in `fit`.
    """
    since = forecasts.cutoff - first
    some = window.judged(since)
    judged = forecasts.take(some)
    point, width = chosen.point(judged), chosen.width(judged, place[some])
    z = _scores(data, judged.series, judged.cutoff, point, width, chosen)
    result = np.empty((len(asked), len(LEVELS)))
    for i in np.unique(forecasts.series[asked]):
        mine = np.flatnonzero(judged.series == i)
        table = _table(window, since[some[mine]], z[mine])
        wanted = np.flatnonzero(forecasts.series[asked] == i)
        for rows in np.array_split(wanted, -(-len(wanted) // _AT_ONCE)):
            result[rows] = window_quantiles(np.stack([table[s : s + window.rows] for s in since[asked[rows]]]))
    return result


def _table(window: Window, begin: IntArray, scores: FloatArray) -> FloatArray:
    """Scores by row and place of the forecast, after as many empty rows as the window holds.

    Rows s to s + window.rows are thus those before row s.
    """
    table = np.full((window.rows + int(begin.max(initial=0)) + window.horizon, window.depth), np.nan)
    for at, z in zip(begin + window.rows, scores, strict=True):
        table[at : at + window.horizon, window.place(at - window.rows)] = z
    return table


def _judged(
    forecasts: Forecasts, cutoff: IntArray, chosen: Combination
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    return forecasts.series, cutoff, chosen.point(forecasts), chosen.width(forecasts, forecasts.series)


def _scores(
    data: ScaledPanel, series: IntArray, start: IntArray, point: FloatArray, width: FloatArray, chosen: Combination
) -> FloatArray:
    """Normal scores of the errors of forecasts from row ``start`` of the data on; NaN where there is no value."""
    actual, observed = (x.numpy() for x in data.gather(series, start, point.shape[1]))
    z = to_normal((actual - point) / width, chosen.offsets)
    return np.where(observed, z, np.nan)
