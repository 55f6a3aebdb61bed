"""The public face: estimators that fit, predict and update."""

from titans_seq.estimators.backtest import BacktestResult
from titans_seq.estimators.dna_language_model import DNALanguageModel, pretrain
from titans_seq.estimators.forecaster import TitansForecaster

__all__ = ["BacktestResult", "DNALanguageModel", "TitansForecaster", "pretrain"]
