"""The public face: estimators that fit, predict and update."""

from titans_seq.estimators.backtest import BacktestResult
from titans_seq.estimators.forecaster import TitansForecaster

__all__ = ["BacktestResult", "TitansForecaster"]
