"""The linear map of few rows, drawn towards one that was fitted before on others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from titans_seq.adapters._linear_fill import FloatArray, window_level
from titans_seq.adapters._linear_map import LinearMap
from titans_seq.adapters._linear_moments import Moments, Solution, moments_of, ridge_path, squared_error
from titans_seq.adapters._linear_targets import with_own_forecasts
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows


def ridge_toward(moments: Moments, earlier: LinearMap, penalties: Sequence[float]) -> list[Solution]:
    """Solve the ridge towards an earlier map for every penalty.

    Minimises ``sum w |y - xW - b|² + penalty * n * |W - W0|²`` for the centring, the weights W0 and the intercept b of
    the earlier map: the ridge of what that map leaves over, added to it. An infinite penalty is the earlier map.

    Returns
    -------
    list of (weights (L, H), mean_x (L,), mean_y (H,)), as of `ridge_path`
    """
    given, bias = earlier.weights[0], earlier.bias[0]
    centred = moments.centred(earlier.centring)
    rest = replace(centred, xy=centred.xy - centred.xx @ given - np.outer(centred.x, bias))
    finite = [penalty for penalty in penalties if penalty < math.inf]
    found = iter(ridge_path(rest, finite, intercept=False)) if finite else iter(())
    zeros = np.zeros(len(given))
    return [(given + next(found)[0] if penalty < math.inf else given, zeros, bias) for penalty in penalties]


def choose_toward(
    reader: WindowReader,
    train: Windows,
    judged: tuple[Windows, Windows],
    earlier: LinearMap,
    penalties: Sequence[float],
) -> LinearMap:
    """Fit `ridge_toward` for the penalty that is best on held-out windows.

    Parameters
    ----------
    reader : WindowReader
    train : Windows
        Of the map that is returned.
    judged : (Windows, Windows)
        Windows that fit, and windows that judge, while the penalty is chosen.
    earlier : LinearMap
        One map for all series.
    penalties : sequence of float
        Infinity among them where the earlier map itself may be the answer. One is not chosen from.
    """
    fit, judge = judged
    sums = _sums(reader, fit, earlier)
    scores = [_score(reader, judge, earlier, solution) for solution in ridge_toward(sums, earlier, penalties)]
    # The strongest of those that are equally good: all of them where nothing can be judged.
    best = len(scores) - 1 - int(np.argmin(scores[::-1]))
    sums = sums if train is fit else _sums(reader, train, earlier)
    weights, _, bias = ridge_toward(sums, earlier, penalties[best : best + 1])[0]
    return LinearMap(weights[None], bias[None], earlier.centring, penalties[best], scores[best])


def _sums(reader: WindowReader, windows: Windows, earlier: LinearMap) -> Moments:
    """Sums over windows, what is missing being as the earlier map forecasts it."""

    def targets(block: Block) -> FloatArray:
        return with_own_forecasts(block, earlier.centring, earlier.weights[0], earlier.bias[0])

    return moments_of(reader, windows, targets)


def _score(reader: WindowReader, windows: Windows, earlier: LinearMap, solution: Solution) -> float:
    """Mean squared error on windows, by what their targets count; infinite where there are none."""
    count = reader.target_weight(windows) if len(windows) else 0.0
    if not count > 0:
        return math.inf
    weights, mean_x, mean_y = solution
    complete = reader.complete(windows)
    error = squared_error(moments_of(reader, windows.take(complete)).centred(earlier.centring), *solution)
    for block in reader.blocks(windows.take(~complete)):
        level = window_level(block.inputs, block.inputs_observed, earlier.centring)[:, None]
        forecast = level + mean_y + (block.inputs - level - mean_x) @ weights
        error += float(np.vdot(block.target_weights, np.square(forecast - block.targets)))
    return max(error, 0.0) / count
