"""Errors of forecasts where some of the truth may be missing.

Arrays are (n_windows, horizon), quantiles (n_windows, horizon, n_quantiles); any leading axes work. Entries
whose `observed` is False count nowhere (they may be NaN), and every other entry counts once. `axis` chooses
what is averaged over: everything by default, -1 for one number per window, 0 for one per horizon step.

The definitions are those of `gluonts.ev`, except in corners that `smape` and `seasonal_error` describe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Axis = int | tuple[int, ...] | None


def mse(actual: ArrayLike, forecast: ArrayLike, observed: ArrayLike | None = None, *, axis: Axis = None) -> Any:
    """Return the mean squared error, mean (y - f)².

    Parameters
    ----------
    actual, forecast : float arrays (..., horizon)
    observed : bool array like `actual`, optional
        False where the truth is missing.
    axis : int or tuple of int, optional
        Axes to average over; default all.

    Returns
    -------
    float, or array over the axes that remain

    Raises
    ------
    ValueError
        Shapes that differ, values that are not finite, or a mean over nothing.
    """
    y, f, seen = _checked(actual, observed, forecast)
    return _mean((y - f) ** 2, seen, axis)


def mae(actual: ArrayLike, forecast: ArrayLike, observed: ArrayLike | None = None, *, axis: Axis = None) -> Any:
    """Return the mean absolute error, mean |y - f|; arguments as for `mse`."""
    y, f, seen = _checked(actual, observed, forecast)
    return _mean(np.abs(y - f), seen, axis)


def rmse(actual: ArrayLike, forecast: ArrayLike, observed: ArrayLike | None = None, *, axis: Axis = None) -> Any:
    """Return the root of the mean squared error, √ mean (y - f)²; arguments as for `mse`."""
    root = np.sqrt(mse(actual, forecast, observed, axis=axis))
    return float(root) if np.ndim(root) == 0 else root


def smape(actual: ArrayLike, forecast: ArrayLike, observed: ArrayLike | None = None, *, axis: Axis = None) -> Any:
    """Return the symmetric mean absolute percentage error, mean 2 |y - f| / (|y| + |f|), from 0 to 2.

    Times 100 it is the percentage of the M4 competition (Makridakis, Spiliotis & Assimakopoulos 2020).
    Where truth and forecast are both 0 the error is 0, and such an entry counts; GluonTS leaves it out, so that
    with k of them among n observed entries this is (n - k) / n of its sMAPE. Arguments as for `mse`.
    """
    y, f, seen = _checked(actual, observed, forecast)
    size = np.abs(y) + np.abs(f)
    return _mean(2.0 * np.abs(y - f) / np.where(size > 0, size, 1.0), seen, axis)


def seasonal_error(values: ArrayLike, observed: ArrayLike | None = None, *, season_length: int = 1) -> float:
    """Return the mean absolute error of the seasonal naive in the history, mean |y_t - y_{t-m}|.

    The scale of `mase` and `msis`.

    Parameters
    ----------
    values : float array (length,)
        The history of one series (no row after the cut-off).
    observed : bool array (length,), optional
        Pairs with a missing end count nowhere.
    season_length : int, default 1
        m, in rows. A history without any such pair is measured with m = 1.

    Returns
    -------
    float
        0 for a constant history, or one without two observed neighbours.

    Raises
    ------
    ValueError
        Season length below 1, or values that are not finite.

    Notes
    -----
    GluonTS measures only histories shorter than m step by step; where a longer one has no observed pair it leaves
    the series out of scaled errors. It also takes m from the frequency by a table of its own, in which daily and
    weekly data have m = 1: pass it ``seasonality=`` to compare.
    """
    if season_length < 1:
        raise ValueError(f"season_length must be at least 1, got {season_length}")
    y, seen = _checked_actual(values, observed)
    for step in (season_length, 1):
        both = seen[step:] & seen[:-step]
        if both.any():
            return float(np.abs(y[step:] - y[:-step])[both].mean())
    return 0.0


def mase(
    actual: ArrayLike,
    forecast: ArrayLike,
    scale: ArrayLike,
    observed: ArrayLike | None = None,
    *,
    axis: Axis = None,
) -> Any:
    """Return the mean absolute scaled error, mean |y - f| / scale (Hyndman & Koehler 2006).

    Parameters
    ----------
    actual, forecast : float arrays (n_windows, horizon)
    scale : float or array (n_windows,)
        `seasonal_error` of each window's history. Windows of scale 0 (a constant history) have no scaled
        error and are left out.
    observed : bool array like `actual`, optional
    axis : int or tuple of int, optional

    Returns
    -------
    float, or array over the axes that remain

    Raises
    ------
    ValueError
        As for `mse`, or a scale that is negative or not finite.
    """
    y, f, seen = _checked(actual, observed, forecast)
    size, defined = _checked_scale(scale, y)
    return _mean(np.abs(y - f) / size, seen & defined, axis)


def msis(
    actual: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    scale: ArrayLike,
    observed: ArrayLike | None = None,
    *,
    level: float = 95.0,
    axis: Axis = None,
) -> Any:
    """Return the mean scaled interval score of the `level` % interval.

    mean (u - l + 2/a (l - y)⁺ + 2/a (y - u)⁺) / scale, with a = 1 - level/100 (Gneiting & Raftery 2007;
    scaled as in the M4 competition).

    Parameters
    ----------
    actual, lower, upper : float arrays (n_windows, horizon)
    scale : float or array (n_windows,)
        As for `mase`.
    observed : bool array like `actual`, optional
    level : float, default 95
        Nominal coverage in percent, between 0 and 100.
    axis : int or tuple of int, optional

    Returns
    -------
    float, or array over the axes that remain

    Raises
    ------
    ValueError
        As for `mase`, or a level outside (0, 100).
    """
    if not 0 < level < 100:
        raise ValueError(f"level must lie between 0 and 100 (percent), got {level}")
    y, low, seen = _checked(actual, observed, lower)
    high = _checked_forecast(upper, y)
    size, defined = _checked_scale(scale, y)
    outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return _mean((high - low + 2.0 / (1.0 - level / 100.0) * outside) / size, seen & defined, axis)


def coverage(
    actual: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    observed: ArrayLike | None = None,
    *,
    axis: Axis = None,
) -> Any:
    """Return the share of truths in [lower, upper], ends included, from 0 to 1; arguments as for `msis`."""
    y, low, seen = _checked(actual, observed, lower)
    high = _checked_forecast(upper, y)
    return _mean(((low <= y) & (y <= high)).astype(np.float64), seen, axis)


def quantile_loss(
    actual: ArrayLike,
    quantiles: ArrayLike,
    levels: Sequence[float],
    observed: ArrayLike | None = None,
    *,
    axis: Axis = None,
) -> Any:
    """Return twice the pinball loss, mean over entries of mean over levels of 2 (y - f)(τ - [y < f]).

    Averaged over evenly spaced levels it approximates the continuous ranked probability score; at 0.5 it is
    the absolute error.

    Parameters
    ----------
    actual : float array (n_windows, horizon)
    quantiles : float array (n_windows, horizon, n_quantiles)
    levels : sequence of float (n_quantiles,)
        τ of each quantile, in (0, 1).
    observed : bool array like `actual`, optional
    axis : int or tuple of int, optional
        Axes of `actual` to average over.

    Returns
    -------
    float, or array over the axes that remain

    Raises
    ------
    ValueError
        As for `mse`, or levels that do not fit.
    """
    loss, _, seen = _pinball(actual, quantiles, levels, observed)
    return _mean(loss.mean(axis=-1), seen, axis)


def weighted_quantile_loss(
    actual: ArrayLike, quantiles: ArrayLike, levels: Sequence[float], observed: ArrayLike | None = None
) -> float:
    """Return the weighted quantile loss: mean over levels of Σ 2 (y - f)(τ - [y < f]) / Σ |y|.

    The "mean weighted sum quantile loss" of GluonTS and GIFT-Eval; arguments as for `quantile_loss`.

    Raises
    ------
    ValueError
        As for `quantile_loss`, or if all observed truths are 0.
    """
    loss, y, seen = _pinball(actual, quantiles, levels, observed)
    total = float(np.abs(y[seen]).sum())
    if total == 0.0:
        raise ValueError("the sum of |actual| is 0, so no loss can be weighted by it; use quantile_loss")
    return float(loss[seen].sum(axis=0).mean()) / total


def _pinball(
    actual: ArrayLike, quantiles: ArrayLike, levels: Sequence[float], observed: ArrayLike | None
) -> tuple[FloatArray, FloatArray, BoolArray]:
    y, seen = _checked_actual(actual, observed)
    tau, f = np.asarray(levels, dtype=np.float64), np.asarray(quantiles, dtype=np.float64)
    if tau.ndim != 1 or not ((tau > 0) & (tau < 1)).all():
        raise ValueError(f"quantile levels must lie between 0 and 1, got {levels!r}")
    if f.shape != (*y.shape, len(tau)):
        raise ValueError(f"quantiles must have shape {(*y.shape, len(tau))}, got {f.shape}")
    _check_finite("quantiles", f)
    error = y[..., None] - f
    return 2.0 * error * (tau - (error < 0)), y, seen


def _checked(
    actual: ArrayLike, observed: ArrayLike | None, forecast: ArrayLike
) -> tuple[FloatArray, FloatArray, BoolArray]:
    y, seen = _checked_actual(actual, observed)
    return y, _checked_forecast(forecast, y), seen


def _checked_actual(actual: ArrayLike, observed: ArrayLike | None) -> tuple[FloatArray, BoolArray]:
    y = np.asarray(actual, dtype=np.float64)
    seen = np.ones(y.shape, dtype=bool) if observed is None else np.asarray(observed, dtype=bool)
    if seen.shape != y.shape:
        raise ValueError(f"observed has shape {seen.shape}, actual {y.shape}; they must agree")
    y = np.where(seen, y, 0.0)
    _check_finite("actual", y, "; mark missing values as False in observed")
    return y, seen


def _checked_forecast(forecast: ArrayLike, actual: FloatArray) -> FloatArray:
    f = np.asarray(forecast, dtype=np.float64)
    if f.shape != actual.shape:
        raise ValueError(f"the forecast has shape {f.shape}, actual {actual.shape}; they must agree")
    _check_finite("the forecast", f)
    return f


def _check_finite(name: str, array: FloatArray, advice: str = "") -> None:
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} is {array[place]} at index {place}{advice}")


def _checked_scale(scale: ArrayLike, actual: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return scales that broadcast against `actual`, 1 where they are 0, and where they were not 0."""
    size = np.asarray(scale, dtype=np.float64)
    if size.shape not in ((), actual.shape[:-1]):
        raise ValueError(f"scale must be a number or have shape {actual.shape[:-1]}, got {size.shape}")
    _check_finite("scale", size)
    if (size < 0).any():
        raise ValueError(f"scale must not be negative, got {size.min()}")
    size = np.broadcast_to(size, actual.shape[:-1])[..., None]
    return np.where(size > 0, size, 1.0), np.broadcast_to(size > 0, actual.shape)


def _mean(errors: FloatArray, counts: BoolArray, axis: Axis) -> Any:
    """Return the mean of the errors that count; a float where nothing remains of the shape."""
    number = counts.sum(axis=axis)
    if not np.all(number):
        empty = int((np.asarray(number) == 0).sum())
        raise ValueError(
            f"{empty} of {np.size(number)} means would be over nothing: no entry there is observed and of scale above 0"
        )
    mean = np.where(counts, errors, 0.0).sum(axis=axis) / number
    return float(mean) if np.ndim(mean) == 0 else mean
