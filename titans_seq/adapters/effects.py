"""What covariates that are known ahead do to the target, in closed form: a regression whose errors are forecast.

The target is taken as an effect of the covariates of its own row plus a series that the linear map forecasts:
y_t = x_t · β + u_t, û_{t+h} = A_h(u_{≤t}). So the errors of the map, y_{t+h} − A_h(y_{≤t}), are regressed on what the
map does not foresee of the covariates, x_{t+h} − A_h(x_{≤t}): the regression with autocorrelated errors of Cochrane &
Orcutt (1949), for direct forecasts of many steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters._linear_map import LinearMap
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows, windows_to_judge
from titans_seq.adapters.clock import NO_LIMIT, Clock
from titans_seq.data.panel import Panel

__all__ = ["CovariateEffect", "fit_effect"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)
"""Ridge penalties tried, as shares of the mean power of what is not foreseen of the covariates."""

MOST_WINDOWS = 8192
ROUNDS = 3
LEAST_GAIN = 1e-3
"""Share of the squared validation error that an effect has to save."""
FOR_A_ROUND = 0.15
"""Share of the time that is left that one more round may take."""


@dataclass(frozen=True)
class CovariateEffect:
    """Effect of a row's covariates on its value, in units of the scaled series.

    Attributes
    ----------
    weights : float64 array (n_series + 1, n_terms), or (1, n_terms)
        By series, the last for those that were not there; one row: the same for all.
    features : bool array (n_covariates,)
        Features that have an effect.
    curved : bool array (n_covariates,)
        Numeric ones of them, whose squares count as terms, too.
    """

    weights: FloatArray
    features: BoolArray
    curved: BoolArray

    @classmethod
    def none(cls, features: BoolArray, numeric: BoolArray) -> CovariateEffect:
        """Return the effect that is 0."""
        return cls(np.zeros((1, int(features.sum() + (features & numeric).sum()))), features, features & numeric)

    def terms(self, covariates: FloatArray) -> FloatArray:
        """Terms (…, n_terms) of covariates (…, n_covariates): themselves, and squares."""
        squares = np.square(np.clip(covariates[..., self.curved], -4.0, 4.0)) - 1.0
        return np.concatenate([covariates[..., self.features], squares], -1)

    def of(self, covariates: FloatArray, series: IntArray) -> FloatArray:
        """Effects (n, …) of covariates (n, …, n_covariates) on ``series`` (n,), -1 for one that was not there."""
        if not self.weights.any():
            return np.zeros(covariates.shape[:-1])
        which = series if len(self.weights) > 1 else np.zeros_like(series)
        effect: FloatArray = np.einsum("n...k,nk->n...", self.terms(covariates), self.weights[which])
        return effect

    def for_others(self) -> CovariateEffect:
        """Return the effect on series that were not there."""
        return replace(self, weights=self.weights[-1:].copy())

    def select(self, series: IntArray) -> CovariateEffect:
        """Return the effect on some of the series, in this order."""
        if len(self.weights) == 1:
            return self
        return replace(self, weights=np.concatenate([self.weights[series], self.weights[-1:]]))

    def plus(self, weights: FloatArray) -> CovariateEffect:
        """Return the effect with these weights (1 or n_series + 1, n_terms) added."""
        return replace(self, weights=self.weights + weights)

    def take_out(self, panel: Panel, scale: FloatArray, series: IntArray) -> Panel:
        """Return the panel with the effect subtracted from its values.

        ``scale`` (n_series,) is that of the panel's series, and ``series`` (n_series,) their places in the fit.
        """
        if not self.weights.any():
            return panel
        which = np.repeat(np.arange(panel.n_series), panel.lengths)
        effect = self.of(panel.covariates, series[which]) * scale[which]
        return replace(panel, values=np.where(panel.observed, panel.values - effect, 0.0))


@dataclass
class _Sums:
    """Sums of squares and products of terms (k) and errors over windows, by series."""

    terms: FloatArray
    cross: FloatArray
    squares: FloatArray

    def best(self, penalty: float) -> tuple[FloatArray, FloatArray]:
        """Weights shared by all series, (1, k), and by series with the shared ones behind, (n_series + 1, k)."""
        shared = _solve(self.terms.sum(0), self.cross.sum(0), penalty)
        left = self.cross - self.terms @ shared
        each = np.stack([shared + _solve(t, c, penalty) for t, c in zip(self.terms, left, strict=True)])
        return shared[None], np.concatenate([each, shared[None]])

    def error(self, weights: FloatArray) -> float:
        """Sum of squared errors that is left by weights (1 or n_series + 1, k)."""
        w = np.broadcast_to(weights if len(weights) == 1 else weights[:-1], self.cross.shape)
        quadratic = np.einsum("ik,ikl,il->", w, self.terms, w)
        return float(quadratic - 2 * (w * self.cross).sum() + self.squares.sum())


def fit_effect(
    panel: Panel,
    scale: FloatArray,
    center: FloatArray,
    train_end: IntArray,
    best: CovariateEffect,
    fit_map: Callable[[Panel], LinearMap],
    clock: Clock = NO_LIMIT,
) -> CovariateEffect:
    """Fit the effect of covariates; the map is fitted on what they leave, in turns.

    Parameters
    ----------
    panel : Panel
        With covariates; training rows, and after them validation rows.
    scale, center : float array (n_series,)
    train_end : int array (n_series,)
        Row at which validation begins.
    best : CovariateEffect
        To start from; `CovariateEffect.none` where nothing is known.
    fit_map : callable
        Returns the linear map of a panel.
    clock : Clock, default no limit
        Where it runs short, there are fewer turns.

    Returns
    -------
    CovariateEffect
        ``best`` if none saves `LEAST_GAIN` of its squared validation error.
    """
    places = np.arange(panel.n_series)
    for _ in range(ROUNDS):
        began = time.monotonic()
        left = best.take_out(panel, scale, places)
        linear = fit_map(left)
        reader = WindowReader(left, center, scale, linear.context_length, linear.horizon)
        train, validation = windows_to_judge(reader, train_end, MOST_WINDOWS)
        if not len(train) or not len(validation):
            return best
        judging = _sums(reader, validation, linear, best, np.ones(linear.horizon))
        fitting = _sums(reader, train, linear, best, _step_weights(reader, train, linear))
        weights = _choose(fitting, judging, int(best.features.sum()))
        if weights is None:
            return best
        best = best.plus(weights)
        if not clock.allows(time.monotonic() - began, FOR_A_ROUND):
            return best
    return best


def _choose(train: _Sums, validation: _Sums, n_linear: int) -> FloatArray | None:
    """Weights that forecast the validation windows best, or None if none of them saves enough."""
    least, best = (1.0 - LEAST_GAIN) * float(validation.squares.sum()), None
    for straight in (True, False):
        kept = np.arange(train.cross.shape[1]) < (n_linear if straight else train.cross.shape[1])
        some = _Sums(train.terms * kept[:, None] * kept, train.cross * kept, train.squares)
        for penalty in PENALTIES:
            for weights in some.best(penalty):
                error = validation.error(weights)
                if error < least:
                    least, best = error, weights
    return best


def _step_weights(reader: WindowReader, windows: Windows, linear: LinearMap) -> FloatArray:
    """One over the root mean squared error of every step: far steps err more, and tell less of an effect."""
    squares, counts = np.zeros(linear.horizon), np.zeros(linear.horizon)
    for block in reader.blocks(windows):
        error = np.where(block.targets_observed, _errors(block, linear), 0.0)
        squares, counts = squares + np.square(error).sum(0), counts + block.targets_observed.sum(0)
    mean = squares / np.maximum(counts, 1)
    weights: FloatArray = 1.0 / np.sqrt(np.maximum(mean, 1e-4 * mean.max() + 1e-12))
    return weights


def _errors(block: Block, linear: LinearMap) -> FloatArray:
    group = np.zeros_like(block.windows.series) if linear.shared else block.windows.series
    return block.targets - linear.predict(block.inputs, block.inputs_observed, group)


def _sums(
    reader: WindowReader, windows: Windows, linear: LinearMap, effect: CovariateEffect, step_weights: FloatArray
) -> _Sums:
    """Sums over windows of the map's errors, and of what it does not foresee of the terms."""
    n, k = reader.panel.n_series, effect.weights.shape[1]
    sums = _Sums(np.zeros((n, k, k)), np.zeros((n, k)), np.zeros(n))
    length, ahead = reader.context_length, reader.horizon
    for block in reader.blocks(windows):
        group = np.zeros_like(block.windows.series) if linear.shared else block.windows.series
        where = (block.windows.series, block.windows.cutoff - length, length + ahead)
        terms = effect.terms(reader.panel.gather_covariates(*where))
        unforeseen = np.stack([_unforeseen(terms[..., i], linear, group) for i in range(k)], -1)
        weights = step_weights * block.targets_observed
        error, unforeseen = _errors(block, linear) * weights, unforeseen * weights[..., None]
        np.add.at(sums.terms, block.windows.series, np.einsum("nhk,nhl->nkl", unforeseen, unforeseen))
        np.add.at(sums.cross, block.windows.series, np.einsum("nhk,nh->nk", unforeseen, error))
        np.add.at(sums.squares, block.windows.series, np.square(error).sum(1))
    return sums


def _unforeseen(term: FloatArray, linear: LinearMap, group: IntArray) -> FloatArray:
    """A term (n, L + H) after each cut-off, minus what the map makes of it before."""
    past, ahead = term[:, : linear.context_length], term[:, linear.context_length :]
    unforeseen: FloatArray = ahead - (linear.predict(past, group=group) - linear.bias[group])
    return unforeseen


def _solve(terms: FloatArray, cross: FloatArray, penalty: float) -> FloatArray:
    power = float(np.trace(terms)) / max(len(terms), 1)
    return np.asarray(np.linalg.solve(terms + (penalty * power + 1e-9) * np.eye(len(terms)), cross))
