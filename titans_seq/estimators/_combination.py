"""How linear forecast, network and intervals are put together: chosen on validation, kept as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.forecasts import Forecasts, batches
from titans_seq.estimators._blocks import BLOCKS, FEWEST_DISJOINT, time_blocks
from titans_seq.estimators._conformal import (
    LEVELS,
    conformal_offsets,
    disjoint_windows,
    empirical_offsets,
    series_factors,
)
from titans_seq.estimators._normal_scores import at_levels, from_normal, to_normal
from titans_seq.estimators._paths import dependence
from titans_seq.evaluation.anomalies import alarm_level, deviation_by_series

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_ROWS_AT_ONCE = 256
_WEIGHTS = 41
_MANY_SERIES = 40
"""Series whose windows of one time say something different each."""
LEAST_SHARE = 0.25
_STILL = 0.1
"""Trailing scale of windows in which next to nothing moved, as deviations of the train rows."""
_LEAST_SCALES = (0.1, 0.3, 1.0)
_TAILS = 0.05
"""Share of the unit that the widest outermost interval asks for which is left where the 80 % interval has no width."""
_RESOLUTION = 1e-6
"""Errors below this share of what is forecast are rounding: forecasts are made in single precision."""


@dataclass(frozen=True)
class Combination:
    """Point forecast = linear + weights × corrections; quantiles = point + scale × spread × factor × offsets.

    Attributes
    ----------
    weight : float
        Share of the network's correction in the forecast, 0 to 1; 0 where validation saw no gain.
    use_spread : bool
        Whether the network's interval widths are used.
    offsets : float array (n_levels, horizon)
        Quantiles, at `LEVELS`, of validation errors in units of the trailing scale; non-decreasing in the level.
    usual : float array (n_series + 1,)
        Robust standard deviation of each series' validation errors in units of `unit`, last that of all of them
        (for series that were not there); of shape (1,) where series were not told apart.
    alarm_level : float
        Such deviations that about one validation error in a thousand passes.
    score : float
        Mean squared error of the point forecasts it was chosen on, scaled units; NaN if there were none.
    factor : float array (n_series + 1,)
        Width of the intervals of each series beside that of all, last of those that were not there; of shape (1,)
        where series are not told apart.
    dependence : float array (rank, horizon) or None
        How errors along the horizon go together, see `_paths.dependence`; None: independently of each other.
    error_weight : float
        Share of what the memory of errors recalls in the forecast, 0 to 1.
    lower_bound : bool
        Whether forecasts and their quantiles stay above the lowest value of the look-back.
    least_scale : float
        Trailing scale that counts at least, scaled units: an error after a window in which nothing moved would be
        any number of its scales, and so would the intervals of windows in which something did.
    gap_factors : float array (n_sizes, horizon)
        How many times as wide intervals are after 1, 2, 4, 8 ... missing rows; of no sizes: as wide as after none.
    """

    weight: float
    use_spread: bool
    offsets: FloatArray
    usual: FloatArray = field(default_factory=lambda: np.ones(1))
    alarm_level: float = field(default_factory=lambda: alarm_level([]))
    score: float = float("nan")
    factor: FloatArray = field(default_factory=lambda: np.ones(1))
    dependence: FloatArray | None = None
    error_weight: float = 0.0
    lower_bound: bool = False
    least_scale: float = 0.0
    gap_factors: FloatArray = field(default_factory=lambda: np.ones((0, 0)))

    @property
    def needs_network(self) -> bool:
        """Whether forecasts depend on the network at all."""
        return self.weight > 0 or self.use_spread

    def point(self, forecasts: Forecasts) -> FloatArray:
        """Point forecasts (n, horizon), scaled units."""
        point = forecasts.linear.astype(np.float64) + self.weight * forecasts.shift
        if self.error_weight:
            point = point + self.error_weight * forecasts.recalled
        return self.within_bounds(forecasts, point)

    def within_bounds(self, forecasts: Forecasts, values: FloatArray) -> FloatArray:
        """Return values (n, ...) of forecasts, none below their bound."""
        if not self.lower_bound:
            return values
        return np.maximum(values, forecasts.lowest.reshape(-1, *[1] * (values.ndim - 1)))

    def quantiles(
        self, forecasts: Forecasts, levels: tuple[float, ...], place: IntArray, recent: FloatArray | None = None
    ) -> FloatArray:
        """Quantile forecasts (n, horizon, n_levels), scaled units; they cannot cross.

        Parameters
        ----------
        forecasts : Forecasts
        levels : tuple of float
        place : int array (n,)
            The series of `fit` that each forecast is of, -1 for one that was not there.
        recent : float array (n, len(LEVELS)), optional
            Normal scores that the quantiles at `LEVELS` of the errors of late have. Default: those of validation.
        """
        errors = self.error_quantiles(np.asarray(levels), recent)
        found = self.point(forecasts)[..., None] + self.width(forecasts, place)[..., None] * errors
        return self.within_bounds(forecasts, found)

    def error_quantiles(self, levels: FloatArray, recent: FloatArray | None = None) -> FloatArray:
        """Quantiles of errors in units of `width`, (n, horizon, n_levels), or (1, …) where all forecasts share them."""
        if recent is None:
            return at_levels(self.offsets.T, levels)[None]
        horizon = self.offsets.shape[1]
        result = np.empty((len(recent), horizon, len(levels)))
        for rows in batches(np.arange(len(recent)), _ROWS_AT_ONCE):
            scores = np.repeat(recent[rows][:, None], horizon, axis=1)
            result[rows] = at_levels(from_normal(scores, self.offsets), levels)
        return result

    def errors(self, scores: FloatArray, recent: FloatArray | None = None) -> FloatArray:
        """Errors in units of `width` that have the given normal scores, both (n, horizon)."""
        return from_normal(scores if recent is None else from_normal(scores.T, recent.T).T, self.offsets)

    def unit(self, forecasts: Forecasts, place: IntArray) -> FloatArray:
        """Return the standard deviation that the intervals stand for, (n, steps), scaled units, above 0.

        Width of the 80 % interval over that of a standard normal distribution's; ``place`` as in `quantiles`.
        """
        inner, outer = (self._normal_width(x) for x in (0.1, LEVELS[0]))
        steps = forecasts.linear.shape[1]
        # Where most errors are none, as on switches and counts of rare events, the middle has no width at all.
        unit = self.width(forecasts, place) * np.maximum(inner, _TAILS * outer.max())[:steps]
        return np.maximum(unit, _RESOLUTION * (1 + np.abs(self.point(forecasts))))

    def _normal_width(self, level: float) -> FloatArray:
        """Return the distance of a quantile from its mirror image over that of a standard normal one, (horizon,)."""
        low, high = (np.array([np.interp(x, LEVELS, c) for c in self.offsets.T]) for x in (level, 1 - level))
        return np.asarray((high - low) / (2 * NormalDist().inv_cdf(1 - level)))

    def judge_errors(
        self, forecasts: Forecasts, actual: FloatArray, observed: BoolArray, n_series: int, steps: int
    ) -> Combination:
        """Return the combination that knows how large errors of the first ``steps`` rows ahead usually are."""
        near = forecasts.upto(steps)
        point = self.point(near)
        errors = actual[:, :steps] - point
        errors[np.abs(errors) < _RESOLUTION * (1 + np.abs(point))] = 0.0  # rounding, of which a median may be made
        errors = np.where(observed[:, :steps], errors / self.unit(near, near.series), np.nan)
        usual = deviation_by_series(errors, forecasts.series, n_series)
        return replace(self, usual=usual, alarm_level=alarm_level(errors / usual[forecasts.series, None]))

    def usual_of(self, series: IntArray) -> FloatArray:
        """Return `usual` of series, -1 for one that was not there."""
        return self.usual[series if len(self.usual) > 1 else np.zeros_like(series)]

    def width(self, forecasts: Forecasts, place: IntArray) -> FloatArray:
        """Return the unit of `offsets`, (n, steps), scaled units; ``place`` as in `quantiles`."""
        factor = self.factor[place if len(self.factor) > 1 else np.zeros_like(place)]
        return self._own_width(forecasts) * factor[:, None]

    def _after_gaps(self, forecasts: Forecasts) -> FloatArray:
        """Return what missing rows before cut-offs do to widths, (n, steps).

        Between the sizes that were measured, and beyond the largest, by the logarithm of the rows.
        """
        steps = forecasts.linear.shape[1]
        if not len(self.gap_factors) or not forecasts.gap.any():
            return np.ones((len(forecasts.gap), steps))
        known = np.concatenate([np.ones((1, steps)), self.gap_factors[:, :steps]])
        place = np.where(forecasts.gap > 0, 1 + np.log2(np.maximum(forecasts.gap, 1)), 0.0)
        below = np.minimum(place.astype(np.int64), len(known) - 2)
        share = (place - below)[:, None]
        return np.asarray((1 - share) * known[below] + share * known[below + 1])

    def _own_width(self, forecasts: Forecasts) -> FloatArray:
        scale = np.maximum(forecasts.scale.astype(np.float64), self.least_scale)
        width = scale[:, None] * self._after_gaps(forecasts)
        return width * np.exp(forecasts.log_spread) if self.use_spread else width


def best_weight(
    residual: FloatArray | Float32Array, shift: Float32Array, observed: BoolArray, counts: FloatArray | None = None
) -> tuple[float, float]:
    """Weight of ``shift`` in [0, 1] that fits ``residual`` best, and the mean squared error with it."""
    r, s = residual[observed], shift[observed].astype(np.float64)
    each = None if counts is None else counts[observed]
    counted = s if each is None else s * each
    power = float(s @ counted)
    weight = float(np.clip((r @ counted) / power, 0.0, 1.0)) if power > 0 else 0.0
    return weight, float(np.average((r - weight * s) ** 2, weights=each)) if len(r) else float("nan")


def calibrate(
    forecasts: Forecasts,
    actual: FloatArray,
    observed: BoolArray,
    counts: FloatArray | None = None,
    *,
    n_series: int,
    intervals: str,
    weights: tuple[float, float],
    lower_bound: bool | Literal["auto"] = False,
    gap_factors: FloatArray | None = None,
) -> Combination:
    """Calibrate the intervals on validation forecasts.

    Parameters
    ----------
    forecasts : Forecasts
    actual, observed : arrays (n, horizon)
        What then happened, scaled units.
    counts : float array (n, horizon), optional
        What each row counts, above 0 where observed. Default: all alike.
    n_series : int
    intervals : {"conformal", "adaptive", "empirical"}
    weights : tuple of two floats
        Of the network's correction, and of what the memory of errors recalls.
    lower_bound : {"auto", True, False}, default False
        Whether the bounds of the forecasts hold. "auto": if that lowers both the squared error of the point
        forecasts and the pinball loss of the quantiles.
    gap_factors : float array (n_sizes, horizon), optional
        See `Combination`.
    """
    plain = Combination(weights[0], False, np.zeros((len(LEVELS), actual.shape[1])), error_weight=weights[1])
    plain = plain if gap_factors is None else replace(plain, gap_factors=gap_factors)
    given = (forecasts, actual, observed, counts, n_series, intervals)
    options = (False, True) if lower_bound == "auto" else (lower_bound,)
    (best, loss), *others = [_with_intervals(replace(plain, lower_bound=option), *given) for option in options]
    for other, its_loss in others:
        if other.score < best.score and its_loss < loss:
            best = other
    error = actual - best.point(forecasts)
    scores = to_normal(error / best.width(forecasts, forecasts.series), best.offsets)
    return replace(best, dependence=dependence(scores, observed))


def _with_intervals(
    plain: Combination,
    forecasts: Forecasts,
    actual: FloatArray,
    observed: BoolArray,
    counts: FloatArray | None,
    n_series: int,
    intervals: str,
) -> tuple[Combination, float]:
    """Give a combination its score and the intervals that fit best; returns their pinball loss, too."""
    error = actual - plain.point(forecasts)
    score = float(mean_of(np.square(error), observed, counts)) if observed.any() else float("nan")
    plain = replace(plain, score=score)
    both = (plain, replace(plain, use_spread=True))
    candidates = [_calibrated(c, forecasts, error, observed, counts, n_series, intervals) for c in both]
    losses = [_pinball(c, forecasts, actual, observed, counts) for c in candidates]
    at = int(losses[1] < losses[0])
    if not (forecasts.scale < _STILL).any():
        return candidates[at], losses[at]
    least = [
        _calibrated(
            replace(candidates[at], least_scale=x, factor=np.ones(1)),
            forecasts, error, observed, counts, n_series, intervals,
        )
        for x in _LEAST_SCALES
    ]  # fmt: skip
    # The outermost levels suffer most from scales of nothing.
    given = (forecasts, actual, observed, counts)
    best = min((candidates[at], *least), key=lambda c: _pinball(c, *given, levels=LEVELS))
    return best, _pinball(best, *given)


def mean_of(x: FloatArray, observed: BoolArray, counts: FloatArray | None) -> float:
    """Mean of the entries (n, horizon) that were observed, by what they count."""
    return float(np.average(x[observed], weights=None if counts is None else counts[observed]))


def cautious_weight(
    residual: FloatArray | Float32Array,
    shift: Float32Array,
    cutoff: IntArray,
    observed: BoolArray,
    counts: FloatArray | None = None,
    *,
    disjoint: int = BLOCKS,
    n_series: int = 1,
    least_share: float = LEAST_SHARE,
) -> float:
    """Choose the weight of a correction on validation forecasts.

    The weight is the smallest whose squared error lies within one standard error of the best weight's (the
    one-standard-error rule of Breiman et al., 1984), yet at least ``least_share`` of the best: a quarter is worth
    44 % of the gain if it is real, and costs 6 % of the correction's noise if it is not. 0 where there is no gain.
    Errors are compared in blocks of time, ten or as many as there are windows that do not overlap; where they are
    fewer than ten, the least share is as much smaller: windows that overlap say the same again. Where they are fewer
    than four, of few series, blocks agree whatever the truth is, and the least share is all.

    Parameters
    ----------
    residual, shift : arrays (n, horizon)
        Errors without the correction, and the correction.
    cutoff : int array (n,)
    observed : bool array (n, horizon)
    counts : float array (n, horizon), optional
        What each row counts, above 0 where observed. Default: all alike.
    disjoint : int
        Windows of a series that do not overlap. Default: enough.
    n_series : int, default 1
    least_share : float
    """
    best, _ = best_weight(residual, shift, observed, counts)
    blocks = [rows for rows in time_blocks(cutoff, disjoint) if observed[rows].any()]
    if best == 0 or len(blocks) < 2:
        return best
    least_share *= min(disjoint, BLOCKS) / BLOCKS
    if _says_little(disjoint, n_series):
        return least_share * best
    parts = [None if counts is None else counts[b] for b in blocks]
    moments = np.array([_moments(residual[b], shift[b], observed[b], c) for b, c in zip(blocks, parts, strict=True)])
    if counts is not None:
        moments *= _block_weights(blocks, observed, counts)
    for weight in np.linspace(0.0, best, _WEIGHTS):
        # Mean squared error at `weight` minus that at `best`, block by block.
        excess = -2 * (weight - best) * moments[:, 0] + (weight**2 - best**2) * moments[:, 1]
        if excess.mean() <= excess.std(ddof=1) / np.sqrt(len(blocks)):
            return float(max(weight, least_share * best))
    return best


def _says_little(disjoint: int, n_series: int) -> bool:
    """Whether windows are so few that chance decides what all of them have in common."""
    return disjoint < FEWEST_DISJOINT and n_series < _MANY_SERIES


def _moments(
    residual: FloatArray | Float32Array, shift: Float32Array, observed: BoolArray, counts: FloatArray | None
) -> tuple[float, float]:
    s = shift.astype(np.float64)
    return mean_of(residual * s, observed, counts), mean_of(s * s, observed, counts)


def _block_weights(blocks: list[NDArray[np.intp]], observed: BoolArray, counts: FloatArray) -> FloatArray:
    """What each block of windows counts, 1 on average, (n_blocks, 1)."""
    total = np.array([counts[b][observed[b]].sum() for b in blocks])
    return (total / total.mean())[:, None]


def _calibrated(
    c: Combination,
    forecasts: Forecasts,
    error: FloatArray,
    observed: BoolArray,
    counts: FloatArray | None,
    n_series: int,
    intervals: str,
) -> Combination:
    """Give a combination the quantiles of its validation errors.

    Of fewer than four windows that do not overlap, of few series, most errors may have one sign by chance: there each
    counts with either sign.
    """
    standardised = error / c._own_width(forecasts)
    if intervals == "empirical":
        return replace(c, offsets=empirical_offsets(standardised, observed, counts))
    series, cutoff = forecasts.series, forecasts.cutoff
    own, factor = series_factors(standardised, observed, series, cutoff, n_series)
    seen = np.append(np.bincount(series[observed.any(1)], minlength=n_series) > 0, False)
    apart = disjoint_windows(series, cutoff, observed, n_series)
    n, relative = int(apart.sum()), standardised / own[:, None]
    if _says_little(int(apart.max(initial=0)), n_series):
        standardised, relative = (np.concatenate((x, -x)) for x in (standardised, relative))
        observed = np.concatenate((observed, observed))
        counts = None if counts is None else np.concatenate((counts, counts))
    offsets = conformal_offsets(relative, observed, n, counts)
    strangers = _of_strangers(standardised, observed, offsets, n, counts)
    return replace(c, offsets=offsets, factor=np.where(seen, factor, strangers))


def _of_strangers(
    errors: FloatArray, observed: BoolArray, offsets: FloatArray, n: int, counts: FloatArray | None
) -> float:
    """Factor of series whose errors were never seen: it gives their 90 % intervals the mean width of all errors'."""
    low, high = np.searchsorted(LEVELS, (0.05, 0.95))
    mixed, apart = ((x[high] - x[low]).mean() for x in (conformal_offsets(errors, observed, n, counts), offsets))
    return float(mixed / apart) if apart > 0 else 1.0


def _pinball(
    c: Combination, forecasts: Forecasts, actual: FloatArray, observed: BoolArray, counts: FloatArray | None,
    levels: FloatArray = LEVELS[2:-2:4],
) -> float:  # fmt: skip
    beyond = actual[..., None] - c.quantiles(forecasts, tuple(levels), forecasts.series)
    at = np.asarray(levels)
    loss = np.maximum(at * beyond, (at - 1) * beyond)
    return mean_of(loss.mean(axis=-1), observed, counts) if observed.any() else 0.0
