"""Quantiles of validation errors: as they are, or as split conformal prediction takes them.

Errors come in units of the width that a forecast says of itself (n, horizon). Windows that overlap share rows, so
the number of errors that counts is that of windows which do not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, stdtrit

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

LEVELS = np.round(np.concatenate([[0.005, 0.01], np.arange(0.025, 0.976, 0.025), [0.99, 0.995]]), 4)
"""Levels at which quantiles are kept; between them they are interpolated."""
INTERVALS = ("conformal", "adaptive", "empirical")
_ENOUGH_PER_STEP = 200
_FEWEST = 3
_MANY = 100
"""Windows that do not overlap, from which on the outermost of all overlapping ones hardly matter."""
_LEAST_PRIOR = 0.25
_MIDDLE = len(LEVELS) // 2


def empirical_offsets(errors: FloatArray, observed: BoolArray, counts: FloatArray | None = None) -> FloatArray:
    """Return the quantiles of errors at `LEVELS` for every step, (n_levels, horizon); 0 where there are none."""
    return _quantiles(errors, observed, LEVELS, counts)


def conformal_offsets(
    errors: FloatArray, observed: BoolArray, n_windows: int, counts: FloatArray | None = None
) -> FloatArray:
    """Return quantiles that a new error exchangeable with these lies beyond at most as often as their level says.

    The quantile at level q above one half is the error of rank ⌈(n + 1) q⌉ of n, and below one half its mirror image
    (Vovk, Gammerman & Shafer 2005; Lei et al. 2018, with both ends on their own as Romano, Patterson & Candès 2019,
    theorem 2). Ranks beyond n, for which the theory answers with infinity, extend the outermost error as the quantiles
    of Student's t with n degrees of freedom do.

    Where windows overlap there are more errors than n, and the outermost of all is further out than that of n: the
    error of a rank is then its mean over draws of n of them (Harrell & Davis 1982).

    Parameters
    ----------
    errors, observed : arrays (n, horizon)
    n_windows : int
        Windows that do not overlap: the n of the formula.
    counts : float array (n, horizon), optional
        What each error counts. Default: all alike.
    """
    n = max(n_windows, _FEWEST)
    upper = np.maximum(LEVELS, 1 - LEVELS)
    reached = np.minimum((n + 1) * upper / n, 1.0)
    overlapping = n_windows < min(_MANY, int(observed.any(1).sum()))
    draws = n if overlapping else None
    found = _quantiles(errors, observed, np.where(LEVELS > 0.5, reached, 1 - reached), counts, draws)
    attainable = n / (n + 1)
    stretch = np.where(upper > attainable, stdtrit(n, upper) / stdtrit(n, attainable), 1.0)
    middle = found[_MIDDLE]
    return middle + (found - middle) * stretch[:, None]


def disjoint_windows(series: IntArray, cutoff: IntArray, observed: BoolArray, n_series: int) -> IntArray:
    """Return how many windows that do not overlap the observed ones of each series make up, (n_series,)."""
    horizon, seen = observed.shape[1], observed.any(1)
    first, last = np.full(n_series, np.iinfo(np.int64).max), np.full(n_series, -1)
    np.minimum.at(first, series[seen], cutoff[seen])
    np.maximum.at(last, series[seen], cutoff[seen])
    return np.where(last >= 0, 1 + (last - np.minimum(first, last)) // horizon, 0)


def series_factors(
    errors: FloatArray, observed: BoolArray, series: IntArray, cutoff: IntArray, n_series: int
) -> tuple[FloatArray, FloatArray]:
    """Return how large the errors of each series are beside those of all (locally weighted conformal prediction).

    The mean absolute error of a series (each step in units of that of all series) is drawn towards that of all, by as
    much as the errors of a series differ from window to window beside those of one series from another's: Bühlmann's
    credibility (1967). A window is divided by the factor of the windows of its series that share no row
    with it: its own errors would make it look smaller than the next one will be (Lei et al. 2018, section 5.2, where
    a second split does the same).

    Parameters
    ----------
    errors, observed : arrays (n, horizon)
    series, cutoff : int array (n,)
    n_series : int

    Returns
    -------
    own : float array (n,)
        Factor of each window.
    factor : float array (n_series + 1,)
        Factor of each series; last, and for series without a window, 1.
    """
    size, seen = _sizes(errors, observed)
    total, count = (np.bincount(series, x, n_series).astype(np.float64) for x in (size, seen))
    apart = disjoint_windows(series, cutoff, observed, n_series)
    prior = _prior_windows(size, series, total, count, apart)
    if not np.isfinite(prior):
        return np.ones(len(series)), np.ones(n_series + 1)
    prior *= count.sum() / max(apart.sum(), 1)
    mean = total.sum() / count.sum()
    near, n_near = _near(size, seen, series, cutoff, errors.shape[1])
    own = (total[series] - near + prior * mean) / (count[series] - n_near + prior) / mean
    factor = np.ones(n_series + 1)
    factor[:-1] = (total + prior * mean) / (count + prior) / mean
    return own, factor


def _sizes(errors: FloatArray, observed: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mean absolute error of each window, each step in units of its mean, and whether there is one."""
    size = np.where(observed, np.abs(errors), 0.0)
    step = size.sum(0) / np.maximum(observed.sum(0), 1)
    seen = observed.any(1).astype(np.float64)
    relative = np.divide(size, step, out=np.zeros_like(size), where=step > 0)
    mean: FloatArray = relative.sum(1) / np.maximum(observed.sum(1), 1)
    return mean, np.asarray(seen)


def _prior_windows(size: FloatArray, series: IntArray, total: FloatArray, count: FloatArray, apart: IntArray) -> float:
    """Disjoint windows of errors like those of all series to add to each: variance within over variance between."""
    means = total / np.maximum(count, 1)
    freedom = (count * (1 - 1 / np.maximum(apart, 1))).sum()
    there = count > 0
    if freedom <= 0 or there.sum() < 2:
        return np.inf
    within = np.bincount(series, (size - means[series]) ** 2 * (count[series] > 0), len(count)).sum() / freedom
    between = means[there].var(ddof=1) - (within / apart[there]).mean()
    return max(within / between, _LEAST_PRIOR) if between > 0 else np.inf


def _near(
    size: FloatArray, seen: FloatArray, series: IntArray, cutoff: IntArray, horizon: int
) -> tuple[FloatArray, FloatArray]:
    """Sum and number of the windows of the same series that share a row with each window, itself included."""
    order = np.lexsort((cutoff, series))
    place = series[order] * (2 * int(cutoff.max(initial=0)) + 2 * horizon) + cutoff[order]
    low, high = np.searchsorted(place, place - horizon, "right"), np.searchsorted(place, place + horizon, "left")
    result = []
    for x in (size, seen):
        sums = np.concatenate([[0.0], np.cumsum(x[order])])
        back = np.empty(len(order))
        back[order] = sums[high] - sums[low]
        result.append(back)
    return result[0], result[1]


def _quantiles(
    errors: FloatArray, observed: BoolArray, levels: FloatArray, counts: FloatArray | None, draws: int | None = None
) -> FloatArray:
    """Quantiles for every step, (n_levels, horizon); with few errors a step, one shape scaled step by step.

    With ``draws``, the mean of those of that many errors drawn from all.
    """
    horizon = errors.shape[1]
    if not observed.any():
        return np.zeros((len(levels), horizon))
    each = observed.astype(np.float64) if counts is None else np.where(observed, counts, 0.0)
    # As many errors of equal weight would say as much (Kish 1965).
    enough = each.sum(0) ** 2 >= _ENOUGH_PER_STEP * np.square(each).sum(0)
    if enough.all() and observed.any(0).all():
        columns = [_weighted(errors[observed[:, h], h], each[observed[:, h], h], levels, draws) for h in range(horizon)]
        return np.stack(columns, axis=1)
    total = each.sum(0)
    rms = np.sqrt((each * np.where(observed, errors, 0.0) ** 2).sum(0) / np.where(total > 0, total, 1.0))
    rms = np.maximum(np.maximum.accumulate(rms), 1e-9)
    return _weighted((errors / rms)[observed], each[observed], levels, draws)[:, None] * rms


def _weighted(errors: FloatArray, counts: FloatArray, levels: FloatArray, draws: int | None = None) -> FloatArray:
    """Quantiles of errors (n,), by what each counts; those of numpy where all count alike; ``draws`` as above."""
    if draws is not None:
        return _of_draws(errors, counts, np.where(levels > 0.5, 0, 1) + levels * draws, draws)
    if (counts == counts[0]).all():
        return np.quantile(errors, levels)
    order = np.argsort(errors, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    return np.interp(levels, before / before[-1], errors[order])


def _of_draws(errors: FloatArray, counts: FloatArray, ranks: FloatArray, n: int) -> FloatArray:
    """Mean of the ``ranks`` (from the smallest) of ``n`` errors drawn by what each counts (Harrell & Davis 1982)."""
    order = np.argsort(errors, kind="stable")
    if (counts == counts[0]).all():
        return _even_shares(len(errors), tuple(ranks.tolist()), n) @ errors[order]
    below = np.append(0.0, np.cumsum(counts[order]))
    return _shares(below / below[-1], ranks, n) @ errors[order]


@lru_cache(maxsize=4)  # the same for every step
def _even_shares(size: int, ranks: tuple[float, ...], n: int) -> FloatArray:
    return _shares(np.linspace(0.0, 1.0, size + 1), np.array(ranks), n)


def _shares(below: FloatArray, ranks: FloatArray, n: int) -> FloatArray:
    """How often each of N sorted errors has each of the ranks, (n_ranks, N); ``below`` (N + 1,): shares up to each."""
    rank = ranks[:, None]
    # Of n draws, the r-th smallest lies below a share F of the errors with the probability I_F(r, n + 1 - r).
    return np.asarray(np.diff(betainc(rank, n + 1 - rank, below), axis=1))
