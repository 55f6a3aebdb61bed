"""Estimators that fail in the ways trials fail."""

from __future__ import annotations

import os
import signal
from typing import Any, Self

from titans_seq import TitansForecaster


class FailingForecaster(TitansForecaster):
    """Raises an error where it is 24 wide."""

    def fit(self, X: Any, y: None = None, **arguments: Any) -> Self:
        if self.d_model == 24:
            raise RuntimeError("no luck at all")
        return super().fit(X, y, **arguments)


class FatalForecaster(TitansForecaster):
    """Is killed where it is 24 wide, as the system kills what takes too much memory."""

    def fit(self, X: Any, y: None = None, **arguments: Any) -> Self:
        if self.d_model == 24:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y, **arguments)
