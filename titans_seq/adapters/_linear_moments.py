"""Sums over windows from which the ridge of every centring and penalty follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from titans_seq.adapters._linear_fill import Centring, FloatArray, window_mean
from titans_seq.adapters._linear_sliding import consecutive, series_rows, sliding_sums
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows

Targets = Callable[[Block], FloatArray]
Solution = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True)
class CentredMoments:
    """Sums over n windows of centred inputs x and targets y.

    Attributes
    ----------
    n : float
        Number of windows, or the sum of their weights, by which each counts in all the sums.
    xx, xy : arrays (L, L) and (L, H)
        Sums of x xᵀ and x yᵀ.
    x, y : arrays (L,) and (H,)
        Sums of x and y.
    yy : float
        Sum of all squared targets.
    """

    n: float
    xx: FloatArray
    xy: FloatArray
    x: FloatArray
    y: FloatArray
    yy: float

    def about(self, mean_x: FloatArray, mean_y: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        """Return the sums of x xᵀ, x yᵀ and y² after subtracting `mean_x` and `mean_y`."""
        if not mean_x.any() and not mean_y.any():
            return self.xx, self.xy, self.yy
        rest = self.x - self.n * mean_x
        xx = self.xx - np.outer(self.x, mean_x) - np.outer(mean_x, rest)
        xy = self.xy - np.outer(self.x, mean_y) - np.outer(mean_x, self.y - self.n * mean_y)
        return xx, xy, self.yy - 2.0 * float(mean_y @ self.y) + self.n * float(mean_y @ mean_y)


class Moments:
    """Sums over windows before centring, from which every centring follows.

    Beside the L inputs each window has two more columns, the mean of its observed entries and a one:
    centring then is "subtract one column from all others", a rank-one correction of the sums, and a
    single pass over the windows serves all centrings.
    """

    def __init__(self, context_length: int, horizon: int) -> None:
        self.inputs = np.zeros((context_length + 2, context_length + 2))
        self.cross = np.zeros((context_length + 2, horizon))
        self.squares = 0.0

    @property
    def n_windows(self) -> float:
        """Windows added so far, or the sum of their weights."""
        return float(self.inputs[-1, -1])

    def copy(self) -> Moments:
        """Return the same sums in arrays of their own."""
        other = Moments(len(self.inputs) - 2, self.cross.shape[1])
        other.merge(self)
        return other

    def add(self, block: Block, targets: FloatArray) -> None:
        """Add a block of windows with these targets (n, H)."""
        columns = self._columns(block)
        weighted = columns if block.weight is None else columns * block.weight[:, None]
        self.inputs += weighted.T @ columns
        self.cross += weighted.T @ targets
        if block.weight is None:
            self.squares += float(np.vdot(targets, targets))
        else:
            self.squares += float(block.weight @ np.square(targets).sum(axis=1))

    def add_stretch(self, values: FloatArray) -> None:
        """Add all windows of a stretch of scaled rows in which nothing is missing."""
        inputs, cross, squares = sliding_sums(values, len(self.inputs) - 2, self.cross.shape[1])
        self.inputs += inputs
        self.cross += cross
        self.squares += squares

    def merge(self, other: Moments) -> None:
        """Add the sums of `other`."""
        self.inputs += other.inputs
        self.cross += other.cross
        self.squares += other.squares

    def centred(self, centring: Centring) -> CentredMoments:
        """Return the sums for inputs and targets minus the window's level."""
        length = len(self.inputs) - 2
        xx, xy = self.inputs[:length, :length], self.cross[:length]
        x, y, n = self.inputs[:length, -1], self.cross[-1], float(self.inputs[-1, -1])
        if centring == "none":
            return CentredMoments(n, xx, xy, x, y, self.squares)
        level = length - 1 if centring == "last" else length
        x_level, y_level, square = self.inputs[:length, level], self.cross[level], self.inputs[level, level]
        return CentredMoments(
            n=n,
            xx=xx - x_level[:, None] - x_level + square,
            xy=xy - x_level[:, None] - y_level + square,
            x=x - self.inputs[level, -1],
            y=y - self.inputs[level, -1],
            yy=self.squares - 2.0 * float(y_level.sum()) + len(y) * float(square),
        )

    def _columns(self, block: Block) -> FloatArray:
        mean = window_mean(block.inputs, block.inputs_observed)
        return np.column_stack([block.inputs, mean, np.ones(len(mean))])


def observed_targets(block: Block) -> FloatArray:
    """Return the targets as they are; for windows whose targets were all observed."""
    return block.targets


def moments_of(reader: WindowReader, windows: Windows, targets: Targets = observed_targets) -> Moments:
    """Return the sums over `windows`, the targets of each block being `targets(block)`: asked only where some lack."""
    moments = Moments(reader.context_length, reader.horizon)
    fast = consecutive(reader, windows)
    for i in np.unique(windows.series[fast]):
        moments.add_stretch(series_rows(reader, int(i), windows.of_series(int(i)).cutoff))
    for block in reader.blocks(windows.take(~fast) if fast.any() else windows):
        moments.add(block, targets(block))
    return moments


def ridge_path(moments: CentredMoments, penalties: Sequence[float], *, intercept: bool) -> list[Solution]:
    """Solve the ridge for every penalty with one eigendecomposition.

    Minimises ``sum w |y - xW - b|² + penalty * n * |W|²``, w being the weight of each window and n their sum, b zero
    or, with `intercept`, free and not penalised: scikit-learn's ``Ridge(alpha=penalty * n, fit_intercept=intercept)``
    with ``sample_weight=w`` (Hoerl & Kennard 1970).

    Returns
    -------
    list of (weights (L, H), mean_x (L,), mean_y (H,)), one for each penalty
        The map is ``mean_y + (x - mean_x) @ weights``.
    """
    rotated, shrink, vectors, mean_x, mean_y = _rotated_path(moments, penalties, intercept)
    return [(vectors @ (rotated / each[:, None]), mean_x, mean_y) for each in shrink]


def path_errors(
    fit: CentredMoments, judge: CentredMoments, penalties: Sequence[float], *, intercept: bool
) -> FloatArray:
    """Return the `squared_error` on ``judge`` of every solution of the `ridge_path` of ``fit``, (n_penalties,)."""
    rotated, shrink, vectors, mean_x, mean_y = _rotated_path(fit, penalties, intercept)
    xx, xy, yy = judge.about(mean_x, mean_y)
    # The weights are rows of `rotated`, each divided by a number: what multiplies two of them serves every penalty.
    squared = (vectors.T @ xx @ vectors) * (rotated @ rotated.T)
    linear = np.einsum("lh,lh->l", rotated, vectors.T @ xy)
    shares = 1.0 / shrink
    return np.einsum("pl,pl->p", shares, shares @ squared - 2.0 * linear) + yy


def _rotated_path(
    moments: CentredMoments, penalties: Sequence[float], intercept: bool
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Weights in the basis of eigenvectors: (L, H), to be divided by (n_penalties, L); the basis, mean_x, mean_y."""
    n = moments.n if moments.n > 0 else 1.0
    share = 1.0 / n if intercept else 0.0
    mean_x, mean_y = moments.x * share, moments.y * share
    xx, xy, _ = moments.about(mean_x, mean_y)
    eigenvalues, vectors = np.linalg.eigh(xx)
    shrink = np.maximum(eigenvalues, 0.0) + n * np.asarray(penalties)[:, None]
    return vectors.T @ xy, shrink, vectors, mean_x, mean_y


def solve_ridge(moments: CentredMoments, penalty: float, *, intercept: bool) -> tuple[FloatArray, FloatArray]:
    """Solve the ridge of `ridge_path` for one penalty, without eigenvectors: about ten times as fast.

    Returns
    -------
    weights (L, H), bias (H,)
    """
    n = moments.n if moments.n > 0 else 1.0
    share = 1.0 / n if intercept else 0.0
    mean_x, mean_y = moments.x * share, moments.y * share
    xx, xy, _ = moments.about(mean_x, mean_y)
    weights = _solve_symmetric(xx + penalty * n * np.eye(len(xx)), xy)
    return weights, mean_y - mean_x @ weights


def _solve_symmetric(a: FloatArray, b: FloatArray) -> FloatArray:
    """Solve by Cholesky, two thirds of the time of a general solution; by that one where rounding forbids it."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    try:
        solved = cho_solve(cho_factor(a, lower=True, check_finite=False), b, check_finite=False)
    except LinAlgError:
        solved = np.linalg.solve(a, b)
    return np.asarray(solved, dtype=np.float64)


def squared_error(moments: CentredMoments, weights: FloatArray, mean_x: FloatArray, mean_y: FloatArray) -> float:
    """Return the sum of squared errors of ``mean_y + (x - mean_x) @ weights`` over the windows summed up."""
    xx, xy, yy = moments.about(mean_x, mean_y)
    return float(np.vdot(weights, xx @ weights - 2.0 * xy)) + yy
