"""Training targets of which some are missing, or count less: a first guess, and the exact ridge from there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titans_seq.adapters._linear_fill import Centring, FloatArray, has_intercept, window_level
from titans_seq.adapters._linear_moments import CentredMoments, moments_of, ridge_path
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows

REFINE_STEPS = 20
REFINE_TOLERANCE = 1e-5


class InterpolatedTargets:
    """Targets whose gaps are drawn straight between rows that may be targets, none later than the last training row.

    With every target present the sums over windows need one pass for all penalties; `refined_ridge` then
    removes what the guess did to the map that was chosen.
    """

    def __init__(self, reader: WindowReader, windows: Windows) -> None:
        self._reader = reader
        gapless = bool((reader.count_targets(windows) == reader.horizon).all())
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
    """Solve the ridge of these windows, each horizon step being fitted where it was observed, and by its weights.

    Where every target of a window counts alike this is one closed form. Otherwise each horizon step has normal
    equations of its own; they are solved together by conjugate gradients, begun at the solution with guessed
    targets and preconditioned by its sums (Hestenes & Stiefel 1952), at the cost of one pass over those windows
    per step, until the residual is below `tolerance` of the solution in the norm of the preconditioner.

    Returns
    -------
    (weights (L, H), bias (H,))
    """
    complete = reader.complete(windows)
    moments = moments_of(reader, windows, InterpolatedTargets(reader, windows)).centred(centring)
    weights, mean_x, mean_y = ridge_path(moments, (penalty,), intercept=has_intercept(centring))[0]
    bias = mean_y - mean_x @ weights
    if complete.all():
        return weights, bias
    known = moments_of(reader, windows.take(complete)).centred(centring)
    equations = _Equations(reader, windows.take(~complete), centring, penalty * moments.n, known)
    start = np.vstack([weights, bias[None]]) if has_intercept(centring) else weights
    preconditioner = np.asarray(np.linalg.inv(equations.matrix(moments)), dtype=np.float64)
    found = _conjugate_gradients(equations, preconditioner, start, steps, tolerance)
    length = reader.context_length
    return found[:length], found[length] if has_intercept(centring) else bias


@dataclass(frozen=True)
class _Equations:
    """The normal equations of every horizon step: those of complete windows as sums, of others as passes over them."""

    reader: WindowReader
    windows: Windows
    centring: Centring
    penalty: float
    known: CentredMoments

    def matrix(self, moments: CentredMoments) -> FloatArray:
        """Sums of x xᵀ and the penalty, with a column of ones for the intercept if there is one."""
        penalised = moments.xx + self.penalty * np.eye(len(moments.xx))
        if not has_intercept(self.centring):
            return penalised
        return np.block([[penalised, moments.x[:, None]], [moments.x[None], np.full((1, 1), max(moments.n, 1e-12))]])

    def residual(self, solution: FloatArray) -> FloatArray:
        """Return right side minus left side, for a solution (L or L + 1, H)."""
        return self._pass(solution, targets=True)

    def product(self, direction: FloatArray) -> FloatArray:
        """Return the left side for a direction (L or L + 1, H)."""
        return -self._pass(direction, targets=False)

    def _pass(self, x: FloatArray, *, targets: bool) -> FloatArray:
        length, intercept = self.reader.context_length, has_intercept(self.centring)
        result = -self.penalty * x
        result[length:] = 0.0
        result[:length] += (self.known.xy if targets else 0.0) - self.known.xx @ x[:length]
        if intercept:
            result[:length] -= np.outer(self.known.x, x[length])
            result[length] += (self.known.y if targets else 0.0) - self.known.x @ x[:length] - self.known.n * x[length]
        for block in self.reader.blocks(self.windows):
            level = window_level(block.inputs, block.inputs_observed, self.centring)[:, None]
            inputs = block.inputs - level
            inputs = np.column_stack([inputs, np.ones(len(inputs))]) if intercept else inputs
            error = (block.targets - level if targets else 0.0) - inputs @ x
            result += inputs.T @ (block.target_weights * error)
        return result


def _conjugate_gradients(
    equations: _Equations, preconditioner: FloatArray, solution: FloatArray, steps: int, tolerance: float
) -> FloatArray:
    """Solve the equations of all horizon steps side by side, each with step sizes of its own."""
    tiny = np.finfo(np.float64).tiny
    residual = equations.residual(solution)
    direction = preconditioner @ residual
    power = (residual * direction).sum(axis=0)
    size = np.abs((solution * np.linalg.solve(preconditioner, solution)).sum())
    for _ in range(steps):
        if power.sum() <= tolerance**2 * size:
            break
        product = equations.product(direction)
        step = power / np.maximum((direction * product).sum(axis=0), tiny)
        solution = solution + step * direction
        residual = residual - step * product
        ahead = preconditioner @ residual
        before, power = power, (residual * ahead).sum(axis=0)
        direction = ahead + power / np.maximum(before, tiny) * direction
    return solution


def with_own_forecasts(block: Block, centring: Centring, weights: FloatArray, bias: FloatArray) -> FloatArray:
    """Return the targets of a block, forecasts of the map (weights, bias) in place of the missing ones.

    Of a target that counts less than its window the forecast takes the share that is left.
    """
    level = window_level(block.inputs, block.inputs_observed, centring)[:, None]
    forecast = level + bias + (block.inputs - level) @ weights
    if block.share is None:
        return np.where(block.targets_observed, block.targets, forecast)
    return forecast + block.share * (block.targets - forecast)


def _interpolated(reader: WindowReader, windows: Windows) -> FloatArray:
    """Return the panel's values with the gaps before each series' last training row filled in."""
    values = reader.panel.values.copy()
    for i in np.unique(windows.series):
        begin = reader.panel.offsets[i]
        end = begin + windows.of_series(int(i)).cutoff.max() + reader.horizon
        usable = reader.usable[begin:end]
        if not usable.all():
            rows = np.flatnonzero(usable)
            values[begin:end] = np.interp(np.arange(end - begin), rows, values[begin:end][rows])
    return values
