"""The linear map from a window to the horizon: a ridge solved in closed form, chosen on validation windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from titans_seq.adapters._linear_fill import (
    CENTRINGS,
    BoolArray,
    Centring,
    FloatArray,
    IntArray,
    check_centring,
    fill_window,
    window_level,
)
from titans_seq.adapters._linear_select import Choice, select
from titans_seq.adapters._linear_targets import refined_ridge
from titans_seq.adapters._linear_torch import fill_window_torch, linear_predict_torch
from titans_seq.adapters._linear_windows import WindowReader, Windows
from titans_seq.data.panel import Panel

__all__ = ["CENTRINGS", "PENALTIES", "LinearMap", "fill_window", "fill_window_torch", "fit_linear",
           "linear_predict_torch"]

PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 10**-2.5, 1e-2, 10**-1.5, 0.1, 10**-0.5, 1.0, 10.0, 100.0, 1e3, 1e4)
"""Ridge penalties tried, per training window and in scaled units (variance of the inputs near 1)."""

HOLD_OUT = 0.2
"""Share of the training cut-offs that chooses when there are no later rows to choose on."""


@dataclass(frozen=True, eq=False)
class LinearMap:
    """An affine map from the L values before a cut-off to the H values after it.

    The window's level is subtracted, the map applied, the level added:
    ``level + (x - level) @ weights[g] + bias[g]``.

    Parameters
    ----------
    weights : float64 array (G, L, H)
        G = 1: one map shared by all series; else one map per series.
    bias : float64 array (G, H)
    centring : {"none", "last", "mean"}
        The level: nothing, the last observed entry, or the mean of the observed entries of the window.
    penalty : float
        Ridge penalty per training window.
    validation_score : float
        Mean squared error on the validation windows, scaled units; inf if there were none.

    Raises
    ------
    ValueError
        Shapes that do not fit together, an unknown centring, or weights that are not finite.
    """

    weights: FloatArray
    bias: FloatArray
    centring: Centring
    penalty: float = math.nan
    validation_score: float = math.inf

    def __post_init__(self) -> None:
        if self.weights.ndim != 3 or self.bias.shape != (len(self.weights), self.weights.shape[2]):
            raise ValueError(f"weights (G, L, H) and bias (G, H) expected, got {self.weights.shape}, {self.bias.shape}")
        check_centring(self.centring)
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ValueError("the weights of a linear map must be finite")

    @property
    def shared(self) -> bool:
        """Whether one map serves all series."""
        return len(self.weights) == 1

    @property
    def context_length(self) -> int:
        """Rows the map looks back on, L."""
        return int(self.weights.shape[1])

    @property
    def horizon(self) -> int:
        """Rows the map forecasts, H."""
        return int(self.weights.shape[2])

    def predict(
        self, values: ArrayLike, observed: BoolArray | None = None, group: NDArray[Any] | None = None
    ) -> FloatArray:
        """Forecast the rows after each window.

        Parameters
        ----------
        values : float array (n, L)
            Windows in scaled units; what stands at missing entries is ignored.
        observed : bool array (n, L), optional
            False where a value is missing; default: all were observed. Gaps are filled by `fill_window`.
        group : int array (n,), optional
            Series of each window; needed unless the map is shared.

        Returns
        -------
        float64 array (n, H)
            Finite wherever the observed values are.

        Raises
        ------
        ValueError
            Windows of another length, or no valid `group` for a map per series.
        """
        windows = np.asarray(values, dtype=np.float64)
        if windows.ndim != 2 or windows.shape[1] != self.context_length:
            raise ValueError(f"windows (n, {self.context_length}) expected, got {windows.shape}")
        seen = np.ones(windows.shape, dtype=bool) if observed is None else np.asarray(observed, dtype=bool)
        filled = fill_window(windows, seen)
        level = window_level(filled, seen, self.centring)[:, None]
        return level + self._apply(filled - level, group)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays, for saving; `from_tensors` takes it back unchanged."""
        return {
            "weights": self.weights,
            "bias": self.bias,
            "centring": np.array([CENTRINGS.index(self.centring)], dtype=np.int64),
            "penalty": np.array([self.penalty]),
            "validation_score": np.array([self.validation_score]),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any]) -> LinearMap:
        """Rebuild a map from `tensors()`, given as numpy arrays or CPU torch tensors.

        Raises
        ------
        ValueError
            An entry is missing or does not fit.
        """
        names = ("weights", "bias", "centring", "penalty", "validation_score")
        absent = [name for name in names if name not in tensors]
        if absent:
            raise ValueError(f"the linear map lacks {', '.join(map(repr, absent))}")
        weights, bias, centring, penalty, score = (np.asarray(tensors[name]) for name in names)
        code = int(centring.reshape(-1)[0])
        if not 0 <= code < len(CENTRINGS):
            raise ValueError(f"the linear map has centring {code}; 0 to {len(CENTRINGS) - 1} are known")
        return cls(
            weights.astype(np.float64), bias.astype(np.float64), CENTRINGS[code],
            float(penalty.reshape(-1)[0]), float(score.reshape(-1)[0]),
        )  # fmt: skip

    def _apply(self, centred: FloatArray, group: NDArray[Any] | None) -> FloatArray:
        if self.shared:
            return centred @ self.weights[0] + self.bias[0]
        series = self._checked_group(group, len(centred))
        forecast = np.empty((len(centred), self.horizon))
        for i in np.unique(series):
            rows = series == i
            forecast[rows] = centred[rows] @ self.weights[i] + self.bias[i]
        return forecast

    def _checked_group(self, group: NDArray[Any] | None, n: int) -> IntArray:
        if group is None:
            raise ValueError(f"this map has weights for each of {len(self.weights)} series; pass group")
        series = np.asarray(group, dtype=np.int64)
        if series.shape != (n,) or (n and not 0 <= series.min() <= series.max() < len(self.weights)):
            raise ValueError(f"group must hold {n} series numbers from 0 to {len(self.weights) - 1}")
        return series


def fit_linear(
    panel: Panel,
    scale: ArrayLike,
    center: ArrayLike,
    train_end: ArrayLike,
    context_length: int,
    horizon: int,
    *,
    penalties: Sequence[float] = PENALTIES,
    centrings: Sequence[Centring] = CENTRINGS,
    max_windows: int = 200_000,
) -> LinearMap:
    """Fit the ridge from window to horizon, its variant chosen on validation windows.

    Every centring x {one map for all series, one per series} x penalty is fitted on the training windows
    (all L + H rows before `train_end`) and judged on the validation windows (forecasts of rows from
    `train_end` on; inputs may reach back before it). The best is returned, fitted on the training windows.
    Series without later rows hold out the last `HOLD_OUT` of their training cut-offs instead if no
    series has any, and the chosen variant is then fitted on all training windows.

    Parameters
    ----------
    panel : Panel
        Training rows, and after them validation rows. Never pass test rows.
    scale, center : arrays (n_series,)
        Values are read as ``(value - center) / scale`` of their series.
    train_end : int array (n_series,)
        Row of each series at which validation begins; its length where there is no validation.
    context_length, horizon : int
        L and H, in rows.
    penalties : sequence of float, default `PENALTIES`
        Per training window: λ = penalty x number of windows.
    centrings : sequence of {"none", "last", "mean"}, default all
    max_windows : int, default 200,000
        At most this many training and this many validation windows are read, spread evenly.

    Returns
    -------
    LinearMap
        Always finite. With no training window at all it forecasts the last value.

    Raises
    ------
    ValueError
        Lengths below 1, a penalty or scale that is not positive, an unknown centring, or arrays of another size.

    Notes
    -----
    Missing inputs are filled from the window (`fill_window`); a window takes part if half of its inputs and
    half of its targets were observed. Missing targets never count: neither in the score nor, after the
    refinement, in the fit. One map per series is left out where it would be too large or too slow
    (`per_series_is_feasible`). A linear model on the window is the baseline of Zeng et al. 2023
    (arXiv 2205.13504); the closed form is that of Toner & Darlow 2024 (arXiv 2403.14587).
    """
    _check_options(context_length, horizon, penalties, centrings, max_windows)
    reader = WindowReader(panel, _per_series("center", center, panel), _checked_scale(scale, panel),
                          int(context_length), int(horizon))  # fmt: skip
    end = _per_series("train_end", train_end, panel).astype(np.int64)
    train = reader.between(np.zeros_like(end), end - horizon, max_windows)
    validation = reader.between(end, panel.lengths, max_windows)
    judged = (train, validation) if len(validation) else _held_out(reader, end, HOLD_OUT, max_windows)
    # Matrices this small gain little from a second BLAS thread, and on a busy machine threads that wait for
    # each other made the eigendecompositions fifty times slower.
    with threadpool_limits(limits=1, user_api="blas"):
        choices = select(reader, *judged, penalties, centrings)
        if choices[0].centring == "none" and not _level_is_stable(reader, end, penalties, choices, max_windows):
            choices = [choice for choice in choices if choice.centring != "none"]
        return _fit(reader, train, choices[0])


def _level_is_stable(
    reader: WindowReader, end: IntArray, penalties: Sequence[float], choices: Sequence[Choice], max_windows: int
) -> bool:
    """Whether windows need not be centred, judged on the training rows alone (first half fits, second judges).

    A map without centring ties its forecasts to the level of the training rows. One validation stretch that
    happens to lie near that level cannot tell whether this lasts: on ETTh1, horizon 720, it cut the
    validation error by 15 % and raised the test error by 11 %. So it has to win here too.
    """
    centrings = list(dict.fromkeys(choice.centring for choice in choices))
    if len(centrings) == 1:
        return True
    again = select(reader, *_held_out(reader, end, 0.5, max_windows), penalties, centrings)
    return again[0].centring == "none"


def _held_out(reader: WindowReader, end: IntArray, share: float, max_windows: int) -> tuple[Windows, Windows]:
    """Return the training windows without, and with, the last `share` of each series' training cut-offs.

    The former end before the first target of the latter.
    """
    last = np.minimum(end, reader.panel.lengths) - reader.horizon
    held = np.ceil(np.maximum(last - reader.context_length + 1, 0) * share).astype(np.int64)
    first_held = last + 1 - held
    before = reader.between(np.zeros_like(end), first_held - reader.horizon, max_windows)
    return before, reader.between(first_held, last, max_windows)


def _fit(reader: WindowReader, train: Windows, choice: Choice) -> LinearMap:
    """Fit the chosen variant; a series without training windows gets the map of all series."""
    n_maps = 1 if choice.shared else reader.panel.n_series
    weights = np.zeros((n_maps, reader.context_length, reader.horizon))
    bias = np.zeros((n_maps, reader.horizon))
    for i in range(n_maps):
        windows = train if choice.shared else train.of_series(i)
        windows = windows if len(windows) else train
        if len(windows):
            weights[i], bias[i] = refined_ridge(reader, windows, choice.centring, choice.penalty)
    return LinearMap(weights, bias, choice.centring, choice.penalty, choice.score)


def _check_options(
    context_length: int, horizon: int, penalties: Sequence[float], centrings: Sequence[str], max_windows: int
) -> None:
    for name, value in (("context_length", context_length), ("horizon", horizon), ("max_windows", max_windows)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not len(penalties) or not all(0 < penalty < math.inf for penalty in penalties):
        raise ValueError(f"penalties must be positive numbers, got {tuple(penalties)!r}")
    if not len(centrings):
        raise ValueError("centrings must name at least one centring")
    for centring in centrings:
        check_centring(centring)


def _per_series(name: str, given: ArrayLike, panel: Panel) -> NDArray[Any]:
    array = np.asarray(given)
    if array.shape != (panel.n_series,):
        raise ValueError(f"{name} must hold one number for each of {panel.n_series} series, got shape {array.shape}")
    if not np.isfinite(array).all():
        i = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name} of series {panel.ids[i]!r} is {array[i]}; it must be finite")
    return array


def _checked_scale(scale: ArrayLike, panel: Panel) -> FloatArray:
    array = _per_series("scale", scale, panel).astype(np.float64)
    if (array <= 0).any():
        i = int(np.flatnonzero(array <= 0)[0])
        raise ValueError(f"scale of series {panel.ids[i]!r} is {array[i]}; it must be positive")
    return array
