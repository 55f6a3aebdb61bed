"""Missing rows of a window, filled by the linear map itself: each is its forecast from the rows before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters._linear_fill import BoolArray, Centring, FloatArray, IntArray

if TYPE_CHECKING:
    from torch import Tensor


def known(observed: BoolArray) -> BoolArray:
    """Return which entries of windows (n, length) hold a value or are filled by a forecast: from the first value on."""
    return np.maximum.accumulate(observed, axis=1)


def fill_by_forecasts(
    filled: FloatArray,
    observed: BoolArray,
    weights: NDArray[Any],
    bias: NDArray[Any],
    centring: Centring,
    steps: int,
    group: IntArray | None = None,
) -> FloatArray:
    """Put the map's forecasts in the place of missing entries, from the first observed one of each window on.

    Of rows that are missing after one another the first ``steps`` are forecast together, from what stands before them,
    then those after them. A value that stays where it was is a poor guess of a season or of what reverts to
    a mean, and so are forecasts that start from it. Rows before the window count as its first entry. What is filled in
    is kept within as far of the observed values as these are apart: a map must not run away with its own forecasts.

    Parameters
    ----------
    filled : float array (n, L)
        Windows as `fill_window` leaves them.
    observed : bool array (n, L)
    weights, bias : float arrays (G, L, H) and (G, H)
    centring : {"none", "last", "mean"}
        Level of the map, here of the rows before each gap, whether observed or filled.
    steps : int
        From 1 to H.
    group : int array (n,), optional
        Needed unless G is 1.

    Returns
    -------
    float array (n, L)
        `filled` itself where nothing is missing.
    """
    there = known(observed)
    rows = np.flatnonzero((there & ~observed).any(1))
    if not len(rows):
        return filled
    x, gaps, inside = filled[rows].astype(np.float64), (there & ~observed)[rows], there[rows]
    of = np.zeros(len(rows), dtype=np.int64) if group is None or len(weights) == 1 else group[rows]
    low, high = _limits(x, observed[rows])
    begins = _begins(gaps, steps)
    for t in np.flatnonzero(gaps.any(0)):
        at = np.flatnonzero(gaps[:, t])
        begin = begins[at, t]
        step = t - begin
        columns = begin[:, None] + np.arange(-x.shape[1], 0)
        before = x[at[:, None], columns.clip(min=0)]
        level = _level(before, inside[at[:, None], columns.clip(min=0)] & (columns >= 0), centring)
        ahead = ((before - level[:, None]) * weights[of[at], :, step]).sum(1) + level + bias[of[at], step]
        x[at, t] = np.clip(ahead, low[at], high[at])
    result = filled.copy()
    result[rows] = x
    return result


def fill_by_forecasts_torch(
    filled: Tensor, observed: Tensor, weights: Tensor, bias: Tensor, centring: Centring, steps: int, group: Tensor
) -> Tensor:
    """Do what `fill_by_forecasts` does; without gradients, as the map is not learned by them."""
    import torch

    if bool(observed.all()):
        return filled
    x, seen, w, b, g = (part.detach().cpu().numpy() for part in (filled, observed, weights, bias, group))
    return torch.from_numpy(fill_by_forecasts(x, seen, w, b, centring, steps, g)).to(filled)


def _begins(gaps: BoolArray, steps: int) -> IntArray:
    """Return for each missing entry where the rows begin that are forecast together with it."""
    columns = np.arange(gaps.shape[1])
    first = np.maximum.accumulate(np.where(gaps & ~np.pad(gaps, ((0, 0), (1, 0)))[:, :-1], columns, 0), axis=1)
    return np.asarray(first + (columns - first) // steps * steps)


def _level(before: FloatArray, inside: BoolArray, centring: Centring) -> FloatArray:
    """Return the level of the rows before gaps, (n,)."""
    if centring == "last":
        return before[:, -1]
    if centring == "none":
        return np.zeros(len(before))
    return np.asarray((before * inside).sum(1) / inside.sum(1))


def _limits(x: FloatArray, seen: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return how low and how high the entries that are filled in may be, both (n,)."""
    low, high = np.where(seen, x, np.inf).min(1), np.where(seen, x, -np.inf).max(1)
    return 2 * low - high, 2 * high - low


def trailing_gap(observed: Tensor, cutoffs: Tensor, window: int) -> Tensor:
    """Return how many rows are missing between the last observed one and each cut-off, at most ``window``.

    Parameters
    ----------
    observed : Tensor of bool, shape (batch, rows)
    cutoffs : Tensor of int64, shape (batch, tokens)
        Column of the first row that is not seen.
    window : int
    """
    import torch

    cutoffs = cutoffs.clamp(max=observed.shape[1])
    columns = torch.arange(1, observed.shape[1] + 1, device=observed.device)
    latest = torch.where(observed, columns, 0).cummax(1).values
    latest = torch.nn.functional.pad(latest, (1, 0))
    return (cutoffs - latest.gather(1, cutoffs)).clamp(max=window)
