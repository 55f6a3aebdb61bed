"""What the last rows of covariates say of the rows ahead, in closed form: a ridge on the linear map's errors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters._linear_map import LinearMap
from titans_seq.adapters._linear_windows import WindowReader, Windows, windows_to_judge
from titans_seq.adapters.scaled import ScaledPanel

__all__ = ["LaggedMap", "fit_lags"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

PENALTIES = (1e-3, 1e-2, 0.1, 1.0, 10.0)
"""Ridge penalties tried, as shares of the mean power of an input."""

MOST_WINDOWS = 20_000
MOST_INPUTS = 512
MOST_ROWS = 48
LEAST_GAIN = 2e-3
"""Share of the squared validation error that the map has to save."""


@dataclass(frozen=True)
class LaggedMap:
    """A linear map from the last rows of covariates to the rows ahead, added to the linear forecast.

    Attributes
    ----------
    weights : float64 array (rows, n_covariates, horizon)
        Of the last ``rows`` rows before a cut-off, in scaled units. No rows: the map is 0.
    centred : bool
        Whether covariates count from their mean over these rows.
    """

    weights: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    centred: bool = False

    @property
    def rows(self) -> int:
        """Rows of covariates that are looked at."""
        return len(self.weights)

    def forecast(self, data: ScaledPanel, series: IntArray, cutoff: IntArray) -> FloatArray | float:
        """Return what is added to the linear forecasts from these cut-offs, (n, horizon), or 0."""
        if not self.rows:
            return 0.0
        windows = data.panel.gather_covariates(series, cutoff - self.rows, self.rows)
        return _inputs(windows, self.centred) @ self._flat

    def forecast_torch(self, covariates: Tensor, cutoffs: Tensor) -> Tensor | float:
        """Do the same for rows (batch, rows, n_covariates) and columns of cut-offs (batch, tokens)."""
        if not self.rows:
            return 0.0
        columns = cutoffs.unsqueeze(-1) - self.rows + torch.arange(self.rows, device=covariates.device)
        flat = columns.flatten(1).clamp(0, covariates.shape[1] - 1).unsqueeze(-1)
        windows = covariates.gather(1, flat.expand(-1, -1, covariates.shape[2]))
        windows = windows.view(*columns.shape, covariates.shape[2]) * (columns >= 0).unsqueeze(-1)
        if self.centred:
            windows = windows - windows.mean(-2, keepdim=True)
        return windows.flatten(-2) @ torch.from_numpy(self._flat).to(windows)

    @property
    def _flat(self) -> FloatArray:
        return self.weights.reshape(-1, self.weights.shape[2])


def fit_lags(
    reader: WindowReader,
    linear: LinearMap,
    train_end: IntArray,
    features: BoolArray,
    rows: int,
    *,
    most_windows: int = MOST_WINDOWS,
) -> LaggedMap:
    """Fit the ridge on the errors of a linear map, its penalty and centring chosen on validation windows.

    Parameters
    ----------
    reader : WindowReader
        Of a panel with covariates; training rows, and after them validation rows.
    linear : LinearMap
        Fitted on the training rows.
    train_end : int array (n_series,)
    features : bool array (n_covariates,)
        Which covariates count.
    rows : int
        Rows to look back on at most; fewer with many covariates.
    most_windows : int, default `MOST_WINDOWS`
        Windows that are read at most, to fit and to choose each.

    Returns
    -------
    LaggedMap
        Of no rows if none saves `LEAST_GAIN` of the squared validation error.
    """
    some = int(features.sum())
    rows = min(rows, MOST_ROWS, MOST_INPUTS // max(some, 1), linear.context_length)
    train, validation = windows_to_judge(reader, train_end, most_windows)
    if not some or not len(train) or not len(validation) or rows < 1:
        return LaggedMap()
    least, best = np.inf, LaggedMap()
    for centred in (False, True):
        fitting, judging = (_sums(reader, w, linear, features, rows, centred) for w in (train, validation))
        least = min(least, (1.0 - LEAST_GAIN) * judging[2])
        for penalty in PENALTIES:
            weights = _solve(*fitting[:2], penalty)
            error = judging[2] + float(np.vdot(weights, judging[0] @ weights - 2.0 * judging[1]))
            if error < least:
                every = np.zeros((rows, len(features), reader.horizon))
                every[:, features] = weights.reshape(rows, some, -1)
                least, best = error, LaggedMap(every, centred)
    return best


def _inputs(windows: FloatArray, centred: bool) -> FloatArray:
    """Inputs (n, rows × n_covariates) of windows of covariates (n, rows, n_covariates)."""
    if centred:
        windows = windows - windows.mean(1, keepdims=True)
    return windows.reshape(len(windows), windows.shape[1] * windows.shape[2])


def _sums(
    reader: WindowReader, windows: Windows, linear: LinearMap, features: BoolArray, rows: int, centred: bool
) -> tuple[FloatArray, FloatArray, float]:
    """Products of inputs, of inputs and the map's errors, and the sum of the squared errors; missing ones are 0."""
    n_inputs = rows * int(features.sum())
    squares, cross, total = np.zeros((n_inputs, n_inputs)), np.zeros((n_inputs, linear.horizon)), 0.0
    for block in reader.blocks(windows):
        which = block.windows.series
        group = np.zeros_like(which) if linear.shared else which
        error = block.targets - linear.predict(block.inputs, block.inputs_observed, group)
        error *= block.targets_observed
        x = _inputs(reader.panel.gather_covariates(which, block.windows.cutoff - rows, rows)[..., features], centred)
        squares, cross = squares + x.T @ x, cross + x.T @ error
        total += float(np.vdot(error, error))
    return squares, cross, total


def _solve(squares: FloatArray, cross: FloatArray, penalty: float) -> FloatArray:
    power = float(np.trace(squares)) / len(squares)
    return np.asarray(np.linalg.solve(squares + (penalty * power + 1e-9) * np.eye(len(squares)), cross))
