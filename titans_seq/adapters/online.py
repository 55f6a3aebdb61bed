"""The linear map that goes on learning: its ridge is solved again as the targets of more windows become known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from titans_seq.adapters._linear_fill import FloatArray, IntArray, has_intercept
from titans_seq.adapters._linear_map import LinearMap
from titans_seq.adapters._linear_moments import Moments, moments_of, solve_ridge
from titans_seq.adapters._linear_pool import solve_members
from titans_seq.adapters._linear_sliding import FEWEST
from titans_seq.adapters._linear_targets import with_own_forecasts
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows
from titans_seq.adapters.scaled import ScaledPanel

__all__ = ["OnlineLinear", "online_forecasts"]

LARGEST = 1 << 26
"""Bytes of all sums beyond which a map does not go on learning: 64 MiB."""

MOST_PATCHES = 8
"""Patches between two solutions at most."""

_SHARE = 256
"""Patches go by between two solutions as long as they are less than this part of what was read."""

_WINDOWS_AT_ONCE = 4096
_EVERY = int(np.iinfo(np.int64).max)


@dataclass
class OnlineLinear:
    """A ridge whose sums grow while series are read; a window counts once its last target is known.

    Nothing is approximated by going step by step: the map is the ridge of all windows added (Hoerl & Kennard
    1970). Only missing targets, which the forecasts of the map of the moment replace, depend on the steps.

    Parameters
    ----------
    linear : LinearMap
        Fitted on the first rows: gives the centring, the penalty per window, and whether series share a map.
    moments : list of Moments
        Sums so far, one for each map.
    """

    linear: LinearMap
    moments: list[Moments]

    @classmethod
    def empty(cls, linear: LinearMap) -> OnlineLinear:
        """Return sums of no windows yet; until some are added the map is ``linear``."""
        return cls(linear, [Moments(linear.context_length, linear.horizon) for _ in linear.weights])

    @classmethod
    def start(cls, linear: LinearMap, data: ScaledPanel, known: IntArray) -> OnlineLinear:
        """Sum up the windows within the first ``known[i]`` rows of each series; nothing is solved yet."""
        online = cls.empty(linear)
        online.add(data, np.zeros_like(known), known)
        return online

    @staticmethod
    def is_feasible(n_maps: int, context_length: int, horizon: int) -> bool:
        """Whether the sums are small enough to be carried."""
        width = context_length + 2
        return 8 * n_maps * width * (width + horizon) <= LARGEST

    def copy(self) -> OnlineLinear:
        """Return the same map with sums of its own."""
        return OnlineLinear(self.linear, [moments.copy() for moments in self.moments])

    @property
    def n_windows(self) -> float:
        """Windows added so far, or the sum of their weights."""
        return sum(moments.n_windows for moments in self.moments)

    def add(self, data: ScaledPanel, before: IntArray, known: IntArray) -> None:
        """Add the windows whose last target lies in rows ``before[i]`` to ``known[i] - 1`` of series i.

        Parameters
        ----------
        data : ScaledPanel
            With the context of those windows; their groups name the maps. Series without a map of their own
            are left out where there is one for each series.
        before, known : int array (n_series,)
        """
        length, h = self.linear.context_length, self.linear.horizon
        reader = WindowReader(data.panel, data.center, data.scale, length, h, data.weight)
        windows = reader.between(np.maximum(before - h + 1, 0), known - h, _EVERY, strict=True)
        for number, part in self._by_map(windows, data.group):
            if len(part) >= FEWEST * length:
                self.moments[number].merge(moments_of(reader, part, partial(self._targets, number=number)))
                continue
            for block in reader.blocks(part):
                self.moments[number].add(block, self._targets(block, number))

    def learn(self, data: ScaledPanel, before: IntArray, known: IntArray) -> None:
        """Add windows as `add` does, and solve again if there were any."""
        counted = self.n_windows
        self.add(data, before, known)
        if self.n_windows > counted:
            self.solve()

    def solve(self) -> LinearMap:
        """Solve the ridge of all windows added; a map without windows stays as it was."""
        was = self.linear
        if was.members:
            self.linear = solve_members(self._total(), self.moments, was, was.members) if self.n_windows else was
            return self.linear
        weights, bias = was.weights.copy(), was.bias.copy()
        for number, moments in enumerate(self.moments):
            if moments.n_windows:
                centred, intercept = moments.centred(was.centring), has_intercept(was.centring)
                weights[number], bias[number] = solve_ridge(centred, was.penalty, intercept=intercept)
        self.linear = replace(was, weights=weights, bias=bias)
        return self.linear

    def _total(self) -> Moments:
        total = Moments(self.linear.context_length, self.linear.horizon)
        for moments in self.moments:
            total.merge(moments)
        return total

    def _by_map(self, windows: Windows, group: IntArray) -> Iterator[tuple[int, Windows]]:
        if self.linear.shared:
            yield 0, windows
            return
        for i in np.unique(windows.series):
            if group[i] < len(self.moments):
                yield int(group[i]), windows.of_series(int(i))

    def _targets(self, block: Block, number: int) -> FloatArray:
        if block.targets_observed.all() and (block.share is None or bool((block.share == 1).all())):
            return block.targets
        linear = self.linear
        return with_own_forecasts(block, linear.centring, linear.weights[number], linear.bias[number])


def solved_at(rows: IntArray, patch_length: int) -> IntArray:
    """Row at which a stream that has read ``rows`` solved its map last, 0 if it has not.

    At the end of every patch at first; later every 2, 4 and `MOST_PATCHES` patches, for a patch adds ever less to what
    is known already.
    """
    patches = np.maximum(rows // patch_length, 1)
    step = np.minimum(1 << np.floor(np.log2(np.maximum(patches / _SHARE, 1))).astype(np.int64), MOST_PATCHES)
    return rows // (patch_length * step) * (patch_length * step)


def online_forecasts(
    online: OnlineLinear,
    data: ScaledPanel,
    series: IntArray,
    cutoff: IntArray,
    *,
    before: IntArray | None = None,
    position: IntArray | None = None,
    refresh: int = 1,
    patch_length: int | None = None,
) -> FloatArray:
    """Forecast from many cut-offs, each with the map that was solved from what was known by then.

    Parameters
    ----------
    online : OnlineLinear
        With the windows that count from the start; it is left as it is.
    data : ScaledPanel
        With the context of the windows that are to be learned.
    series, cutoff : int array (n,)
        Series, and its row at which the forecast begins. A window of any series counts from the first solution
        on that is later, in time, than its last target.
    before : int array (n_series,), optional
        Windows whose targets end before this row of their series were added already. Default: none.
    position : int array (n_series,), optional
        Rows of each series' stream before the first of the data. The map is solved again whenever a stream has read
        another ``refresh`` rows. Default: counted from the first cut-off.
    refresh : int, default 1
    patch_length : int, optional
        Instead of ``refresh``: the map is solved when `solved_at` says so.

    Returns
    -------
    float64 array (n, horizon)
        In scaled units.
    """
    panel, online = data.panel, online.copy()
    ahead = panel.frequency.steps_at_most(panel.origins.min(), panel.origins)
    time = cutoff + ahead[series]
    position = (ahead - time.min(initial=0)) % refresh if position is None else position
    learned = np.zeros(panel.n_series, dtype=np.int64) if before is None else before
    forecast = np.empty((len(series), online.linear.horizon))
    order, waiting = np.argsort(time, kind="stable"), 0
    with threadpool_limits(limits=1, user_api="blas"):  # once: finding the libraries takes longer than a solution
        for begin in np.unique(time[order], return_index=True)[1]:
            read = np.clip(time[order[begin]] - ahead, 0, panel.lengths)
            rows = position + read
            known = rows // refresh * refresh if patch_length is None else solved_at(rows, patch_length)
            whole = np.maximum(learned, known - position)
            if (whole > learned).any():
                _predict(forecast, online.linear, data, series, cutoff, order[waiting:begin])
                online.learn(data, learned, whole)
                waiting, learned = begin, whole
        _predict(forecast, online.linear, data, series, cutoff, order[waiting:])
    return forecast


def _predict(
    forecast: FloatArray, linear: LinearMap, data: ScaledPanel, series: IntArray, cutoff: IntArray, rows: IntArray
) -> None:
    """Fill in the named rows of ``forecast``."""
    now, length = with_mean_map(linear), linear.context_length
    for at in range(0, len(rows), _WINDOWS_AT_ONCE):
        some = rows[at : at + _WINDOWS_AT_ONCE]
        values, observed = data.gather(series[some], cutoff[some] - length, length)
        forecast[some] = now.predict(values.numpy(), observed.numpy(), data.group[series[some]])


def with_mean_map(linear: LinearMap) -> LinearMap:
    """Return the map with one more group, the mean of all, for series it never saw; unchanged where all share one."""
    if linear.shared:
        return linear
    weights, bias = (np.concatenate([x, x.mean(0, keepdims=True)]) for x in (linear.weights, linear.bias))
    return replace(linear, weights=weights, bias=bias)
