"""Judging forecasts: metrics, naive baselines, anomalies and figures."""

from titans_seq.evaluation.anomalies import anomaly_events
from titans_seq.evaluation.baselines import drift, naive, seasonal_naive
from titans_seq.evaluation.linear_baselines import online_ridge, ridge
from titans_seq.evaluation.logo_plots import plot_logo
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
from titans_seq.evaluation.novelty_plots import plot_novelty
from titans_seq.evaluation.plots import ForecastPanel, plot_forecast
from titans_seq.evaluation.surprise_plots import plot_surprise

__all__ = [
    "ForecastPanel",
    "anomaly_events",
    "coverage",
    "drift",
    "mae",
    "mase",
    "mse",
    "msis",
    "naive",
    "online_ridge",
    "plot_forecast",
    "plot_logo",
    "plot_novelty",
    "plot_surprise",
    "quantile_loss",
    "ridge",
    "rmse",
    "seasonal_error",
    "seasonal_naive",
    "smape",
    "weighted_quantile_loss",
]
