"""Judging forecasts and classes: metrics, baselines, anomalies and figures."""

from titans_seq.evaluation.anomalies import anomaly_events
from titans_seq.evaluation.baselines import drift, naive, seasonal_naive
from titans_seq.evaluation.label_plots import plot_several_classes, plot_two_classes, plot_values
from titans_seq.evaluation.label_scores import class_scores, value_scores
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
from titans_seq.evaluation.sequence_baselines import kmer_logistic, kmer_ridge, position_logistic, position_ridge
from titans_seq.evaluation.sequence_counts import kmer_counts, position_one_hot
from titans_seq.evaluation.surprise_plots import plot_surprise

__all__ = [
    "ForecastPanel",
    "anomaly_events",
    "class_scores",
    "coverage",
    "drift",
    "kmer_counts",
    "kmer_logistic",
    "kmer_ridge",
    "mae",
    "mase",
    "mse",
    "msis",
    "naive",
    "online_ridge",
    "plot_forecast",
    "plot_logo",
    "plot_novelty",
    "plot_several_classes",
    "plot_surprise",
    "plot_two_classes",
    "plot_values",
    "position_logistic",
    "position_one_hot",
    "position_ridge",
    "quantile_loss",
    "ridge",
    "rmse",
    "seasonal_error",
    "seasonal_naive",
    "smape",
    "value_scores",
    "weighted_quantile_loss",
]
