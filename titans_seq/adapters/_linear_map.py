"""An affine map from window to horizon: applying it and saving it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
from titans_seq.adapters._linear_gaps import fill_by_forecasts, known


@dataclass(frozen=True)
class Member:
    """Ridge under a prior that narrows with the lag, see `titans_seq.adapters._linear_pool`.

    Attributes
    ----------
    decay, reach : float
        Power of the lag, and share of the look-back beyond which the weights are zero.
    penalty : float
        Per training window, of the weights that all series share.
    own : tuple of float
        The same of what each series' own weights add, infinite where they add nothing; empty where no series has any.
    """

    decay: float
    reach: float
    penalty: float
    own: tuple[float, ...] = ()


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
        Ridge penalty per training window; of the map that was tried first where there are members.
    validation_score : float
        Mean squared error on the validation windows, scaled units; inf if there were none.
    members : tuple of Member
        Maps it is the average of; none where it is a plain ridge.
    fill_steps : int
        Missing rows that are filled at once by the map's own forecasts; 0: they are filled by the last observed value.

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
    members: tuple[Member, ...] = ()
    fill_steps: int = 0

    def __post_init__(self) -> None:
        if self.weights.ndim != 3 or self.bias.shape != (len(self.weights), self.weights.shape[2]):
            shapes = f"{self.weights.shape} and {self.bias.shape}"
            raise ValueError(f"weights (G, L, H) and bias (G, H) expected, got {shapes}")
        check_centring(self.centring)
        if not 0 <= self.fill_steps <= self.horizon:
            raise ValueError(f"fill_steps must be from 0 to the horizon, {self.horizon}, got {self.fill_steps}")
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

    @property
    def is_last_value(self) -> bool:
        """Whether it is the `last_value`."""
        return math.isinf(self.penalty) and self.centring == "last" and not self.weights.any() and not self.bias.any()

    def last_value(self) -> LinearMap:
        """Return the map that forecasts the last observed value: an infinite penalty."""
        weights, bias = np.zeros((1, *self.weights.shape[1:])), np.zeros((1, self.horizon))
        return LinearMap(weights, bias, "last", math.inf, self.validation_score)

    def predict(
        self, values: ArrayLike, observed: BoolArray | None = None, group: NDArray[Any] | None = None
    ) -> FloatArray:
        """Forecast the rows after each window.

        Parameters
        ----------
        values : float array (n, L)
            Windows in scaled units; what stands at missing entries is ignored.
        observed : bool array (n, L), optional
            False where a value is missing; default: all were observed. Gaps are filled by `fill_window`, where
            the map has `fill_steps` by `fill_by_forecasts`.
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
        filled, seen = self._filled(windows, seen, group)
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
            "members": self._members(),
            "fill_steps": np.array([self.fill_steps], dtype=np.int64),
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
        members = np.asarray(tensors.get("members", np.zeros((0, 3))))  # maps saved before there were any lack them
        if members.ndim != 2 or members.shape[1] not in (3, 3 + len(np.asarray(weights))):
            raise ValueError(f"the members of the linear map have shape {members.shape}")
        code = int(centring.reshape(-1)[0])
        if not 0 <= code < len(CENTRINGS):
            raise ValueError(f"the linear map has centring {code}; 0 to {len(CENTRINGS) - 1} are known")
        return cls(
            weights.astype(np.float64),
            bias.astype(np.float64),
            CENTRINGS[code],
            float(penalty.reshape(-1)[0]),
            float(score.reshape(-1)[0]),
            tuple(Member(row[0], row[1], row[2], tuple(row[3:])) for row in members.tolist()),
            int(np.asarray(tensors.get("fill_steps", [0])).reshape(-1)[0]),  # maps saved before there were any lack it
        )

    def _members(self) -> FloatArray:
        """Members as rows: decay, reach, penalty, and the penalties of each series' own weights."""
        rows = [(member.decay, member.reach, member.penalty, *member.own) for member in self.members]
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1 if rows else 3)

    def _filled(self, windows: FloatArray, seen: BoolArray, group: NDArray[Any] | None) -> tuple[FloatArray, BoolArray]:
        """Return windows without gaps, and which of their entries count for their level."""
        filled = fill_window(windows, seen)
        if seen.all() or not self.fill_steps:
            return filled, seen
        of = None if self.shared else self._checked_group(group, len(windows))
        filled = fill_by_forecasts(filled, seen, self.weights, self.bias, self.centring, self.fill_steps, of)
        return filled, known(seen)

    def _apply(self, centred: FloatArray, group: NDArray[Any] | None) -> FloatArray:
        if self.shared:
            shared: FloatArray = centred @ self.weights[0] + self.bias[0]
            return shared
        series = self._checked_group(group, len(centred))
        forecast = np.empty((len(centred), self.horizon))
        order = np.argsort(series, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(series[order])) + 1) if len(order) else ():
            i = series[rows[0]]
            forecast[rows] = centred[rows] @ self.weights[i] + self.bias[i]
        return forecast

    def _checked_group(self, group: NDArray[Any] | None, n: int) -> IntArray:
        if group is None:
            raise ValueError(f"this map has weights for each of {len(self.weights)} series; pass group")
        series = np.asarray(group, dtype=np.int64)
        if series.shape != (n,) or (n and not 0 <= series.min() <= series.max() < len(self.weights)):
            raise ValueError(f"group must hold {n} series numbers from 0 to {len(self.weights) - 1}")
        return series
