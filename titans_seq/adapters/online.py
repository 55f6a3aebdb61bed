"""The linear map that goes on learning: its ridge is solved again as the targets of more windows become known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from titans_seq.adapters._linear_fill import FloatArray, IntArray, has_intercept
from titans_seq.adapters._linear_map import LinearMap
from titans_seq.adapters._linear_moments import Moments
from titans_seq.adapters._linear_targets import with_own_forecasts
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.data.panel import Panel

__all__ = ["OnlineLinear", "online_forecasts"]

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
    def start(cls, linear: LinearMap, data: ScaledPanel, known: IntArray) -> OnlineLinear:
        """Sum up the windows within the first ``known[i]`` rows of each series; nothing is solved yet."""
        online = cls(linear, [Moments(linear.context_length, linear.horizon) for _ in linear.weights])
        online.add(data, np.zeros_like(known), known)
        return online

    def add(self, data: ScaledPanel, before: IntArray, known: IntArray) -> None:
        """Add the windows whose last target lies in rows ``before[i]`` to ``known[i] - 1`` of series i.

        Parameters
        ----------
        data : ScaledPanel
            With the context of those windows; their groups name the maps. Series without a map of their own
            are left out where there is one for each series.
        before, known : int array (n_series,)
        """
        reader = WindowReader(data.panel, data.center, data.scale, self.linear.context_length, self.linear.horizon)
        h = reader.horizon
        windows = reader.between(np.maximum(before - h + 1, 0), known - h, _EVERY, strict=True)
        for number, part in self._by_map(windows, data.group):
            for block in reader.blocks(part):
                self.moments[number].add(block, self._targets(block, number))

    def solve(self) -> LinearMap:
        """Solve the ridge of all windows added; a map without windows stays as it was."""
        was = self.linear
        weights, bias = was.weights.copy(), was.bias.copy()
        with threadpool_limits(limits=1, user_api="blas"):
            for number, moments in enumerate(self.moments):
                if moments.n_windows:
                    weights[number], bias[number] = _solved(moments, was)
        self.linear = LinearMap(weights, bias, was.centring, was.penalty, was.validation_score)
        return self.linear

    def _by_map(self, windows: Windows, group: IntArray) -> Iterator[tuple[int, Windows]]:
        if self.linear.shared:
            yield 0, windows
            return
        for i in np.unique(windows.series):
            if group[i] < len(self.moments):
                yield int(group[i]), windows.of_series(int(i))

    def _targets(self, block: Block, number: int) -> FloatArray:
        if block.targets_observed.all():
            return block.targets
        linear = self.linear
        return with_own_forecasts(block, linear.centring, linear.weights[number], linear.bias[number])


def _solved(moments: Moments, linear: LinearMap) -> tuple[FloatArray, FloatArray]:
    """Return weights and bias; a plain solve, ten times as fast as the path of all penalties."""
    centred = moments.centred(linear.centring)
    share = 1.0 / centred.n if has_intercept(linear.centring) else 0.0
    mean_x, mean_y = centred.x * share, centred.y * share
    xx, xy, _ = centred.about(mean_x, mean_y)
    weights = np.asarray(np.linalg.solve(xx + linear.penalty * centred.n * np.eye(len(xx)), xy), dtype=np.float64)
    return weights, mean_y - mean_x @ weights


def online_forecasts(
    linear: LinearMap, data: ScaledPanel, series: IntArray, cutoff: IntArray, *, refresh: int = 1
) -> FloatArray:
    """Forecast from many cut-offs, each with a map that was solved from what was known by then.

    Parameters
    ----------
    linear : LinearMap
        Fitted on rows before the first cut-off.
    data : ScaledPanel
    series, cutoff : int array (n,)
        Series, and its row at which the forecast begins. A window of any series counts from the first cut-off
        on that is later, in time, than its last target.
    refresh : int, default 1
        Steps of time between solutions: a map serves the cut-offs of as many steps.

    Returns
    -------
    float64 array (n, horizon)
        In scaled units.
    """
    forecast = np.empty((len(series), linear.horizon))
    online = OnlineLinear(linear, [Moments(linear.context_length, linear.horizon) for _ in linear.weights])
    before = np.zeros(data.panel.n_series, dtype=np.int64)
    for known, rows in _by_time(data.panel, series, cutoff, refresh):
        online.add(data, before, known)
        before = np.maximum(before, known)
        start = cutoff[rows] - linear.context_length
        values, observed = data.gather(series[rows], start, linear.context_length)
        forecast[rows] = online.solve().predict(values.numpy(), observed.numpy(), data.group[series[rows]])
    return forecast


def _by_time(panel: Panel, series: IntArray, cutoff: IntArray, refresh: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield cut-offs of ``refresh`` steps of time together, in order, and the rows of each series known before."""
    ahead = panel.frequency.steps_at_most(panel.origins.min(), panel.origins)
    at = cutoff + ahead[series]
    block = (at - at.min(initial=0)) // refresh
    for number in np.unique(block):
        rows = np.flatnonzero(block == number)
        yield np.clip(at[rows].min() - ahead, 0, panel.lengths), rows
