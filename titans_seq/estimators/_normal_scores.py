"""Errors as the standard normal values of the same rank, and back: the scale on which errors of all steps are alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from titans_seq.estimators._conformal import LEVELS

FloatArray = NDArray[np.float64]

NORMAL = ndtri(LEVELS)
_MIDDLE = len(LEVELS) // 2
_LEAST, _MOST = 1e-9, 1e3


def at_levels(table: FloatArray, levels: FloatArray) -> FloatArray:
    """Read quantiles at other levels from a table of those at `LEVELS`.

    Between levels they are interpolated; beyond the outermost they go on as those of a normal distribution do.

    Parameters
    ----------
    table : float array (..., n_levels)
    levels : float array (k,), in (0, 1)

    Returns
    -------
    float array (..., k)
    """
    above = np.clip(np.searchsorted(LEVELS, levels), 1, len(LEVELS) - 1)
    share = (np.clip(levels, LEVELS[0], LEVELS[-1]) - LEVELS[above - 1]) / (LEVELS[above] - LEVELS[above - 1])
    inside = (1 - share) * table[..., above - 1] + share * table[..., above]
    stretch = np.maximum(np.maximum(ndtri(levels) / NORMAL[-1], ndtri(levels) / NORMAL[0]), 1.0)
    return np.where(stretch > 1, table[..., [_MIDDLE]] * (1 - stretch) + inside * stretch, inside)


def to_normal(errors: FloatArray, offsets: FloatArray) -> FloatArray:
    """Return the normal scores of errors (n, horizon) that have the quantiles ``offsets`` (n_levels, horizon)."""
    result = np.empty(errors.shape)
    for h, column in enumerate(offsets.T):
        x, middle = errors[:, h], column[_MIDDLE]
        lower, upper = max(middle - column[0], _LEAST), max(column[-1] - middle, _LEAST)
        inside = ndtri(np.interp(x, column, LEVELS))
        below = np.where(x < column[0], NORMAL[0] * (middle - x) / lower, inside)
        result[:, h] = np.where(x > column[-1], NORMAL[-1] * (x - middle) / upper, below)
    return np.clip(result, -_MOST, _MOST)


def from_normal(scores: FloatArray, offsets: FloatArray) -> FloatArray:
    """Undo `to_normal`: errors of scores (n, horizon, ...)."""
    result = np.empty(scores.shape)
    for h, column in enumerate(offsets.T):
        z, middle = scores[:, h], column[_MIDDLE]
        inside = np.interp(ndtr(z), LEVELS, column)
        below = np.where(z < NORMAL[0], middle + (column[0] - middle) * z / NORMAL[0], inside)
        result[:, h] = np.where(z > NORMAL[-1], middle + (column[-1] - middle) * z / NORMAL[-1], below)
    return result
