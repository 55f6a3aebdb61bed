"""The public face: estimators that fit, predict and update.

Attributes are loaded on first use: a forecaster needs nothing of what reads DNA, nor the other way round.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from titans_seq.estimators._attribution import Attribution
    from titans_seq.estimators._mutagenesis import Mutagenesis
    from titans_seq.estimators.backtest import BacktestResult
    from titans_seq.estimators.classifier import TitansClassifier
    from titans_seq.estimators.dna_classifier import DNAClassifier
    from titans_seq.estimators.dna_language_model import DNALanguageModel, pretrain
    from titans_seq.estimators.dna_regressor import DNARegressor
    from titans_seq.estimators.forecaster import TitansForecaster
    from titans_seq.estimators.regressor import TitansRegressor
    from titans_seq.estimators.search import TitansSearch

__all__ = [
    "Attribution",
    "BacktestResult",
    "DNAClassifier",
    "DNALanguageModel",
    "DNARegressor",
    "Mutagenesis",
    "TitansClassifier",
    "TitansForecaster",
    "TitansRegressor",
    "TitansSearch",
    "pretrain",
]

_LAZY = {
    "Attribution": "titans_seq.estimators._attribution",
    "BacktestResult": "titans_seq.estimators.backtest",
    "DNAClassifier": "titans_seq.estimators.dna_classifier",
    "DNALanguageModel": "titans_seq.estimators.dna_language_model",
    "DNARegressor": "titans_seq.estimators.dna_regressor",
    "Mutagenesis": "titans_seq.estimators._mutagenesis",
    "TitansClassifier": "titans_seq.estimators.classifier",
    "TitansForecaster": "titans_seq.estimators.forecaster",
    "TitansRegressor": "titans_seq.estimators.regressor",
    "TitansSearch": "titans_seq.estimators.search",
    "pretrain": "titans_seq.estimators.dna_language_model",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
