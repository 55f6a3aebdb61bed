"""Sample paths: quantile forecasts put in an order along the horizon that validation errors had."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_NEGLIGIBLE = 1e-6


def dependence(scores: FloatArray, observed: BoolArray) -> FloatArray:
    """Return how errors at the steps of a forecast go together, as a factor R with RᵀR their correlation.

    Correlations of normal scores, about 0: an error that all steps of a window share is a part of them. Each pair of
    steps has the windows in which both were observed; eigenvalues below 0, which that may give, are taken as 0.

    Parameters
    ----------
    scores, observed : arrays (n, horizon)

    Returns
    -------
    float array (rank, horizon)
        Columns of unit length.
    """
    z, seen = np.where(observed, scores, 0.0), observed.astype(np.float64)
    products, counts = z.T @ z, seen.T @ seen
    moment = np.where(counts > 0, products / np.maximum(counts, 1), 0.0)
    deviation = np.sqrt(np.diag(moment))
    scale = np.where(deviation > 0, deviation, 1.0)
    correlation = moment / scale / scale[:, None]
    correlation[np.diag_indices_from(correlation)] = 1.0
    values, vectors = np.linalg.eigh(correlation)
    kept = values > _NEGLIGIBLE * values[-1]
    factor = np.sqrt(values[kept])[:, None] * vectors[:, kept].T
    return factor / np.sqrt((factor**2).sum(0))


def common_seed(random: np.random.Generator) -> list[int]:
    """Draw what the random streams of all series have in common."""
    return [int(word) for word in random.integers(2**32, size=4)]


def own_stream(seed: list[int], name: str | int, purpose: int = 0) -> np.random.Generator:
    """Return the random stream of a series, by its name: where it stands and beside which others changes no draw."""
    digest = blake2b(str(name).encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.default_rng([*seed, *np.frombuffer(digest, "<u4").tolist(), purpose])


def draw_scores(factor: FloatArray | None, n_paths: int, horizon: int, random: np.random.Generator) -> FloatArray:
    """Draw normal scores (n_paths, horizon) with that dependence; without one, steps are independent."""
    if factor is None:
        return random.standard_normal((n_paths, horizon))
    return random.standard_normal((n_paths, len(factor))) @ factor


def stratified_levels(n_paths: int) -> FloatArray:
    """Return the levels whose quantiles stand for a distribution: the middles of equal shares."""
    return (np.arange(n_paths) + 0.5) / n_paths


def in_order_of(scores: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Give each path the quantile that has its rank (n, n_paths, horizon).

    At every step the values of all paths are exactly the quantiles (a Gaussian copula, as Pinson et al. 2009 draw
    scenarios of wind power; the reordering is that of Clark et al. 2004).

    Parameters
    ----------
    scores : float array (n, n_paths, horizon)
    quantiles : float array (n, horizon, n_paths)
        At `stratified_levels`.
    """
    ranks = scores.argsort(1, kind="stable").argsort(1, kind="stable")
    return np.take_along_axis(quantiles.swapaxes(1, 2), ranks, axis=1)
