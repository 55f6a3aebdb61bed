"""Titans for sequences: forecasting with a memory that goes on learning while it reads.

Attributes are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from titans_seq._version import __version__

if TYPE_CHECKING:
    from titans_seq.data import RollingOrigin
    from titans_seq.estimators import DNALanguageModel, TitansForecaster, pretrain

__all__ = ["DNALanguageModel", "RollingOrigin", "TitansForecaster", "__version__", "pretrain"]

_LAZY = {
    "DNALanguageModel": "titans_seq.estimators",
    "RollingOrigin": "titans_seq.data",
    "TitansForecaster": "titans_seq.estimators",
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
