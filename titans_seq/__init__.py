"""Titans for sequences: forecasting and genomics with a memory that goes on learning while it reads.

Attributes are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from titans_seq._version import __version__

if TYPE_CHECKING:
    from titans_seq.data import RollingOrigin
    from titans_seq.estimators import (
        DNAClassifier,
        DNALanguageModel,
        DNARegressor,
        TitansClassifier,
        TitansForecaster,
        TitansRegressor,
        TitansSearch,
        pretrain,
    )

__all__ = [
    "DNAClassifier",
    "DNALanguageModel",
    "DNARegressor",
    "RollingOrigin",
    "TitansClassifier",
    "TitansForecaster",
    "TitansRegressor",
    "TitansSearch",
    "__version__",
    "pretrain",
]

_LAZY = {
    "DNAClassifier": "titans_seq.estimators",
    "DNALanguageModel": "titans_seq.estimators",
    "DNARegressor": "titans_seq.estimators",
    "RollingOrigin": "titans_seq.data",
    "TitansClassifier": "titans_seq.estimators",
    "TitansForecaster": "titans_seq.estimators",
    "TitansRegressor": "titans_seq.estimators",
    "TitansSearch": "titans_seq.estimators",
    "pretrain": "titans_seq.estimators",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
