"""How linear forecast, network and intervals are put together: chosen on validation, kept as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.forecasts import Forecasts
from titans_seq.evaluation.anomalies import alarm_level, deviation_by_series

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

LEVELS = np.round(np.concatenate([[0.005, 0.01], np.arange(0.025, 0.976, 0.025), [0.99, 0.995]]), 4)
_BLOCKS = 10
_WEIGHTS = 41
_LEAST_SHARE = 0.25
_ENOUGH_PER_STEP = 200
_RESOLUTION = 1e-6
"""Errors below this share of what is forecast are rounding: forecasts are made in single precision."""


@dataclass(frozen=True)
class Combination:
    """Point forecast = linear + weight × correction; quantiles = point + scale × spread × offsets.

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
    """

    weight: float
    use_spread: bool
    offsets: FloatArray
    usual: FloatArray = field(default_factory=lambda: np.ones(1))
    alarm_level: float = field(default_factory=lambda: alarm_level([]))
    score: float = float("nan")

    @property
    def needs_network(self) -> bool:
        """Whether forecasts depend on the network at all."""
        return self.weight > 0 or self.use_spread

    def point(self, forecasts: Forecasts) -> FloatArray:
        """Point forecasts (n, horizon), scaled units."""
        return forecasts.linear.astype(np.float64) + self.weight * forecasts.shift

    def quantiles(self, forecasts: Forecasts, levels: tuple[float, ...]) -> FloatArray:
        """Quantile forecasts (n, horizon, n_levels), scaled units; they cannot cross."""
        offsets = np.stack([np.interp(levels, LEVELS, column) for column in self.offsets.T])
        return self.point(forecasts)[..., None] + self._width(forecasts)[..., None] * offsets

    def unit(self, forecasts: Forecasts) -> FloatArray:
        """Return the standard deviation that the intervals stand for, (n, steps), scaled units, above 0.

        Width of the 80 % interval over that of a standard normal distribution's.
        """
        tenth, nine_tenths = (np.array([np.interp(x, LEVELS, c) for c in self.offsets.T]) for x in (0.1, 0.9))
        steps = forecasts.linear.shape[1]
        unit = self._width(forecasts) * (nine_tenths - tenth)[:steps] / (2 * NormalDist().inv_cdf(0.9))
        return np.maximum(unit, _RESOLUTION * (1 + np.abs(self.point(forecasts))))

    def judge_errors(
        self, forecasts: Forecasts, actual: FloatArray, observed: BoolArray, n_series: int, steps: int
    ) -> Combination:
        """Return the combination that knows how large errors of the first ``steps`` rows ahead usually are."""
        near = forecasts.upto(steps)
        errors = (actual[:, :steps] - self.point(near)) / self.unit(near)
        errors = np.where(observed[:, :steps], errors, np.nan)
        usual = deviation_by_series(errors, forecasts.series, n_series)
        return replace(self, usual=usual, alarm_level=alarm_level(errors / usual[forecasts.series, None]))

    def usual_of(self, series: NDArray[np.int64]) -> FloatArray:
        """Return `usual` of series, -1 for one that was not there."""
        return self.usual[series if len(self.usual) > 1 else np.zeros_like(series)]

    def _width(self, forecasts: Forecasts) -> FloatArray:
        width = np.repeat(forecasts.scale[:, None].astype(np.float64), forecasts.linear.shape[1], 1)
        return width * np.exp(forecasts.log_spread) if self.use_spread else width


def best_weight(
    residual: FloatArray, shift: Float32Array, observed: BoolArray, counts: FloatArray | None = None
) -> tuple[float, float]:
    """Weight of ``shift`` in [0, 1] that fits ``residual`` best, and the mean squared error with it."""
    r, s = residual[observed], shift[observed].astype(np.float64)
    each = None if counts is None else counts[observed]
    counted = s if each is None else s * each
    power = float(s @ counted)
    weight = float(np.clip((r @ counted) / power, 0.0, 1.0)) if power > 0 else 0.0
    return weight, float(np.average((r - weight * s) ** 2, weights=each)) if len(r) else float("nan")


def choose(
    forecasts: Forecasts, actual: FloatArray, observed: BoolArray, counts: FloatArray | None = None
) -> Combination:
    """Choose the weight of the network and calibrate the intervals on validation forecasts.

    The weight is the smallest whose squared error lies within one standard error of the best weight's (the
    one-standard-error rule of Breiman et al., 1984), yet at least a quarter of the best: that is worth 44 % of
    the gain if it is real, and costs 6 % of the network's noise if it is not. 0 where there is no gain.

    Parameters
    ----------
    forecasts : Forecasts
    actual, observed : arrays (n, horizon)
        What then happened, scaled units.
    counts : float array (n, horizon), optional
        What each row counts, above 0 where observed. Default: all alike.
    """
    residual = actual - forecasts.linear
    weight = _cautious_weight(forecasts, residual, observed, counts)
    error = residual - weight * forecasts.shift
    score = float(mean_of(np.square(error), observed, counts)) if observed.any() else float("nan")
    plain = Combination(weight, False, np.zeros((len(LEVELS), actual.shape[1])), score=score)
    candidates = [_calibrated(c, forecasts, error, observed, counts) for c in (plain, replace(plain, use_spread=True))]
    losses = [_pinball(c, forecasts, actual, observed, counts) for c in candidates]
    return candidates[int(losses[1] < losses[0])]


def mean_of(x: FloatArray, observed: BoolArray, counts: FloatArray | None) -> float:
    """Mean of the entries (n, horizon) that were observed, by what they count."""
    return float(np.average(x[observed], weights=None if counts is None else counts[observed]))


def _cautious_weight(
    forecasts: Forecasts, residual: FloatArray, observed: BoolArray, counts: FloatArray | None
) -> float:
    """Weight as `choose` describes it, errors compared in blocks of time."""
    best, _ = best_weight(residual, forecasts.shift, observed, counts)
    order = np.argsort(forecasts.cutoff, kind="stable")
    blocks = [rows for rows in np.array_split(order, _BLOCKS) if observed[rows].any()]
    if best == 0 or len(blocks) < 2:
        return best
    parts = [None if counts is None else counts[b] for b in blocks]
    moments = np.array(
        [_moments(residual[b], forecasts.shift[b], observed[b], c) for b, c in zip(blocks, parts, strict=True)]
    )
    if counts is not None:
        moments *= _block_weights(blocks, observed, counts)
    for weight in np.linspace(0.0, best, _WEIGHTS):
        # Mean squared error at `weight` minus that at `best`, block by block.
        excess = -2 * (weight - best) * moments[:, 0] + (weight**2 - best**2) * moments[:, 1]
        if excess.mean() <= excess.std(ddof=1) / np.sqrt(len(blocks)):
            return float(max(weight, _LEAST_SHARE * best))
    return best


def _moments(
    residual: FloatArray, shift: Float32Array, observed: BoolArray, counts: FloatArray | None
) -> tuple[float, float]:
    s = shift.astype(np.float64)
    return mean_of(residual * s, observed, counts), mean_of(s * s, observed, counts)


def _block_weights(blocks: list[NDArray[np.intp]], observed: BoolArray, counts: FloatArray) -> FloatArray:
    """What each block of windows counts, 1 on average, (n_blocks, 1)."""
    total = np.array([counts[b][observed[b]].sum() for b in blocks])
    return (total / total.mean())[:, None]


def _calibrated(
    c: Combination, forecasts: Forecasts, error: FloatArray, observed: BoolArray, counts: FloatArray | None
) -> Combination:
    standardised = error / c._width(forecasts)
    return replace(c, offsets=_offsets(standardised, observed, counts))


def _offsets(errors: FloatArray, observed: BoolArray, counts: FloatArray | None = None) -> FloatArray:
    """Quantiles of errors (n, horizon) for every step; with few errors a step, one shape scaled step by step."""
    horizon = errors.shape[1]
    if not observed.any():
        return np.zeros((len(LEVELS), horizon))
    each = observed.astype(np.float64) if counts is None else np.where(observed, counts, 0.0)
    # As many errors of equal weight would say as much (Kish 1965).
    enough = each.sum(0) ** 2 >= _ENOUGH_PER_STEP * np.square(each).sum(0)
    if enough.all() and observed.any(0).all():
        columns = [_quantiles(errors[observed[:, h], h], each[observed[:, h], h]) for h in range(horizon)]
        return np.stack(columns, axis=1)
    total = each.sum(0)
    rms = np.sqrt((each * np.where(observed, errors, 0.0) ** 2).sum(0) / np.where(total > 0, total, 1.0))
    rms = np.maximum(np.maximum.accumulate(rms), 1e-9)
    shape = _quantiles((errors / rms)[observed], each[observed])
    return shape[:, None] * rms


def _quantiles(errors: FloatArray, counts: FloatArray) -> FloatArray:
    """Quantiles of errors (n,) at `LEVELS`, by what each counts; those of numpy where all count alike."""
    if (counts == counts[0]).all():
        return np.quantile(errors, LEVELS)
    order = np.argsort(errors, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    return np.interp(LEVELS, before / before[-1], errors[order])


def _pinball(
    c: Combination, forecasts: Forecasts, actual: FloatArray, observed: BoolArray, counts: FloatArray | None
) -> float:
    levels = tuple(LEVELS[2:-2:4])
    beyond = actual[..., None] - c.quantiles(forecasts, levels)
    at = np.asarray(levels)
    loss = np.maximum(at * beyond, (at - 1) * beyond)
    return mean_of(loss.mean(axis=-1), observed, counts) if observed.any() else 0.0
