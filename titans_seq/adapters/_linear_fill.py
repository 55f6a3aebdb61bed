"""What a window's missing inputs are filled with, and the level it is centred on (numpy)."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Centring = Literal["none", "last", "mean"]
CENTRINGS: tuple[Centring, ...] = get_args(Centring)


def fill_window(values: NDArray[Any], observed: BoolArray) -> NDArray[Any]:
    """Fill what a window lacks from the window itself, forwards.

    Parameters
    ----------
    values : float array (n, length)
        Windows; whatever stands where `observed` is False (NaN too) is ignored.
    observed : bool array (n, length)

    Returns
    -------
    float array (n, length)
        Every missing entry holds the last observed one before it; leading ones hold the first observed
        entry of the window; a window without any holds zeros. `values` itself when nothing is missing.
    """
    if observed.all():
        return values
    steps = np.arange(values.shape[1])
    latest = np.maximum.accumulate(np.where(observed, steps, -1), axis=1)
    source = np.where(latest >= 0, latest, observed.argmax(axis=1)[:, None])
    filled = np.take_along_axis(values, source, axis=1)
    filled[~observed.any(axis=1)] = 0.0
    return filled


def window_mean(filled: FloatArray, observed: BoolArray) -> FloatArray:
    """Return the mean of each window's observed entries, shape (n,); 0 where there are none."""
    if observed.all():
        return filled.mean(axis=1)
    total = np.where(observed, filled, 0.0).sum(axis=1)
    return total / np.maximum(observed.sum(axis=1), 1)


def window_level(filled: FloatArray, observed: BoolArray, centring: Centring) -> FloatArray:
    """Return the level subtracted from each window before the map and added after it, shape (n,).

    "last" is the last observed entry, "mean" the mean of the observed entries, "none" zero.
    """
    if centring == "last":
        return filled[:, -1]
    return window_mean(filled, observed) if centring == "mean" else np.zeros(len(filled))


def has_intercept(centring: Centring) -> bool:
    """Whether the map has an intercept: only where nothing else lets its forecasts reach the series' level.

    Behind a centred window an intercept is a drift seen in training and continued for ever. Without it the
    map commutes with shifts: forecasts of a series raised by a constant are raised by that constant.
    """
    return centring == "none"


def check_centring(centring: str) -> None:
    """Raise ValueError unless `centring` is one of `CENTRINGS`."""
    if centring not in CENTRINGS:
        raise ValueError(f"centring must be one of {', '.join(map(repr, CENTRINGS))}, got {centring!r}")
