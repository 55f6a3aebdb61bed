"""Judging forecasts: metrics, naive baselines and figures."""

from titans_seq.evaluation.baselines import drift, naive, seasonal_naive
from titans_seq.evaluation.linear_baselines import online_ridge, ridge
from titans_seq.evaluation.metrics import (
    coverage,
    mae,
    mase,
    mse,
    msis,
    quantile_loss,
    rmse,
    seasonal_error,
    smape,
    weighted_quantile_loss,
)
from titans_seq.evaluation.plots import ForecastPanel, plot_forecast

__all__ = [
    "ForecastPanel",
    "coverage",
    "drift",
    "mae",
    "mase",
    "mse",
    "msis",
    "naive",
    "online_ridge",
    "plot_forecast",
    "quantile_loss",
    "ridge",
    "rmse",
    "seasonal_error",
    "seasonal_naive",
    "smape",
    "weighted_quantile_loss",
]
