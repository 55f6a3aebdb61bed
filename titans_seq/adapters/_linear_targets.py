"""Training targets where some are missing: a first guess, and the refinement that makes it irrelevant."""

from __future__ import annotations

import numpy as np

from titans_seq.adapters._linear_fill import BoolArray, Centring, FloatArray, has_intercept, window_level
from titans_seq.adapters._linear_moments import Moments, moments_of, ridge_path
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows

REFINE_STEPS = 10
REFINE_TOLERANCE = 1e-3


def complete_windows(reader: WindowReader, windows: Windows) -> BoolArray:
    """Return which windows have every target observed, shape (n,)."""
    if reader.panel.observed.all():
        return np.ones(len(windows), dtype=bool)
    return reader.observed_share(windows, 0, reader.horizon) == 1.0


def count_observed_targets(reader: WindowReader, windows: Windows) -> int:
    """Return the number of observed targets in the windows."""
    return int(round(float(reader.observed_share(windows, 0, reader.horizon).sum()) * reader.horizon))


class InterpolatedTargets:
    """Targets whose gaps are drawn straight between observed rows, none later than the last training row.

    With every target present the sums over windows need one pass for all penalties; `refined_ridge` then
    removes what the guess did to the map that was chosen.
    """

    def __init__(self, reader: WindowReader, windows: Windows) -> None:
        self._reader = reader
        gapless = bool(complete_windows(reader, windows).all())
        self._values = None if gapless else _interpolated(reader, windows)

    def __call__(self, block: Block) -> FloatArray:
        """Return the targets (n, H) of a block in scaled units."""
        if self._values is None or block.targets_observed.all():
            return block.targets
        series, reader = block.windows.series, self._reader
        rows = (reader.panel.offsets[series] + block.windows.cutoff)[:, None] + np.arange(reader.horizon)
        guess = (self._values[rows] - reader.center[series, None]) / reader.scale[series, None]
        return np.where(block.targets_observed, block.targets, guess)


def refined_ridge(
    reader: WindowReader,
    windows: Windows,
    centring: Centring,
    penalty: float,
    *,
    steps: int = REFINE_STEPS,
    tolerance: float = REFINE_TOLERANCE,
) -> tuple[FloatArray, FloatArray]:
    """Solve the ridge of these windows, each horizon step being fitted where it was observed.

    The map's own forecasts replace the missing targets and the ridge is solved again, until the weights
    move by less than `tolerance` of their size. Every step lowers the penalised error over the observed
    targets (the ones filled in add nothing to it), so its fixed point is that ridge: expectation
    maximisation for least squares with missing responses (Dempster, Laird & Rubin 1977, §4.1).

    Returns
    -------
    (weights (L, H), bias (H,))
    """
    complete = complete_windows(reader, windows)
    moments = moments_of(reader, windows, InterpolatedTargets(reader, windows))
    weights, bias = _solve(moments, centring, penalty)
    if complete.all():
        return weights, bias
    known, gappy = moments_of(reader, windows.take(complete)), windows.take(~complete)
    for _ in range(steps):
        previous = weights
        moments.cross, moments.squares = known.cross.copy(), known.squares
        for block in reader.blocks(gappy):
            moments.add_targets(block, with_own_forecasts(block, centring, weights, bias))
        weights, bias = _solve(moments, centring, penalty)
        if np.linalg.norm(weights - previous) <= tolerance * np.linalg.norm(weights):
            break
    return weights, bias


def _solve(moments: Moments, centring: Centring, penalty: float) -> tuple[FloatArray, FloatArray]:
    path = ridge_path(moments.centred(centring), (penalty,), intercept=has_intercept(centring))
    weights, mean_x, mean_y = path[0]
    return weights, mean_y - mean_x @ weights


def with_own_forecasts(block: Block, centring: Centring, weights: FloatArray, bias: FloatArray) -> FloatArray:
    """Return the targets of a block, forecasts of the map (weights, bias) in place of the missing ones."""
    level = window_level(block.inputs, block.inputs_observed, centring)[:, None]
    forecast = level + bias + (block.inputs - level) @ weights
    return np.where(block.targets_observed, block.targets, forecast)


def _interpolated(reader: WindowReader, windows: Windows) -> FloatArray:
    """Return the panel's values with the gaps before each series' last training row filled in."""
    values = reader.panel.values.copy()
    for i in np.unique(windows.series):
        begin = reader.panel.offsets[i]
        end = begin + windows.of_series(int(i)).cutoff.max() + reader.horizon
        observed = reader.panel.observed[begin:end]
        if not observed.all():
            rows = np.flatnonzero(observed)
            values[begin:end] = np.interp(np.arange(end - begin), rows, values[begin:end][rows])
    return values
