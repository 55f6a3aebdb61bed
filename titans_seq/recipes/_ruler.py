"""One way of measuring for model, parts and baselines: same windows, same observed values, same unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Panel

if TYPE_CHECKING:
    from titans_seq.estimators import BacktestResult

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

UNITS = {
    "none": "the data's own",
    "train_zscore": "standard deviations of each series' train rows",
}
"""Unit of errors for each `evaluate.scale` of a recipe."""


@dataclass(frozen=True)
class Ruler:
    """Measures forecasts made in the data's units; errors come out in the recipe's unit.

    Attributes
    ----------
    metrics : sequence of str
    actual : float array (n, horizon)
        In the recipe's unit.
    observed : bool array (n, horizon)
    mean, scale : float array (n, 1)
        A forecast f is measured as (f - mean) / scale.
    naive_error : float array (n,)
        In-sample seasonal naive error of each window's series over the train rows, recipe's unit.
    """

    metrics: Sequence[str]
    actual: FloatArray
    observed: BoolArray
    mean: FloatArray
    scale: FloatArray
    naive_error: FloatArray

    @classmethod
    def of(
        cls, result: BacktestResult, metrics: Sequence[str], unit: str, train_rows: int, season_length: int
    ) -> Ruler:
        """Return the ruler for a backtest whose first `train_rows` rows of every series set the unit."""
        train = result.panel.slice_rows(0, train_rows)
        mean, scale = train_scale(train)
        if unit == "none":
            mean, scale = np.zeros_like(mean), np.ones_like(scale)
        error = _naive_errors(train, season_length) / scale
        center, size = mean[result.series][:, None], scale[result.series][:, None]
        actual = np.where(result.observed, (result.actual - center) / size, 0.0)
        return cls(metrics, actual, result.observed, center, size, error[result.series])

    def point_scores(self, point: FloatArray) -> dict[str, float]:
        """Return the point metrics asked for of forecasts (n, horizon)."""
        from titans_seq.evaluation import mae, mase, mse, rmse, smape

        forecast = (point - self.mean) / self.scale
        plain: Mapping[str, Callable[..., Any]] = {"mse": mse, "mae": mae, "rmse": rmse, "smape": smape}
        scores = {}
        for name in self.metrics:
            if name in plain:
                scores[name] = float(plain[name](self.actual, forecast, self.observed))
            elif name == "mase":
                scores[name] = float(mase(self.actual, forecast, self.naive_error, self.observed))
        return scores

    def quantile_scores(self, quantiles: FloatArray, levels: Sequence[float]) -> dict[str, float]:
        """Return the weighted quantile loss of quantiles (n, horizon, n_levels), if it was asked for."""
        from titans_seq.evaluation import weighted_quantile_loss

        if "weighted_quantile_loss" not in self.metrics:
            return {}
        scaled = (quantiles - self.mean[..., None]) / self.scale[..., None]
        return {"weighted_quantile_loss": weighted_quantile_loss(self.actual, scaled, levels, self.observed)}

    def interval_scores(self, lower: FloatArray, upper: FloatArray, level: float) -> dict[str, float]:
        """Return the interval metrics asked for, e.g. as "coverage_80"."""
        from titans_seq.evaluation import coverage, msis

        low, high = (lower - self.mean) / self.scale, (upper - self.mean) / self.scale
        scores = {}
        if "coverage" in self.metrics:
            scores[f"coverage_{level:g}"] = float(coverage(self.actual, low, high, self.observed))
        if "msis" in self.metrics:
            value = msis(self.actual, low, high, self.naive_error, self.observed, level=level)
            scores[f"msis_{level:g}"] = float(value)
        return scores


def train_scale(train: Panel) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation (ddof 0) of each series' observed rows, (n_series,) each.

    A constant series has the scale 1.
    """
    seen = [values[observed] for values, observed in map(train.series, range(train.n_series))]
    mean = np.array([values.mean() for values in seen])
    scale = np.array([values.std() for values in seen])
    return mean, np.where(scale > 0, scale, 1.0)


def _naive_errors(train: Panel, season_length: int) -> FloatArray:
    from titans_seq.evaluation import seasonal_error

    rows = map(train.series, range(train.n_series))
    return np.array([seasonal_error(values, seen, season_length=season_length) for values, seen in rows])
