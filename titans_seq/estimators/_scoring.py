"""What `TitansForecaster.score` does: forecast, compare, read on, on a copy."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from titans_seq.data import Panel

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster


def score(forecaster: TitansForecaster, later: Panel) -> float:
    """Minus the mean squared error of forecasts of ``later``, in units of spread; see `TitansForecaster.score`.

    Parameters
    ----------
    forecaster : TitansForecaster
        Fitted; it is not changed.
    later : Panel
        Rows that follow those the forecaster has read, of all its series; some may be empty.
    """
    if not later.observed.any():
        raise ValueError("no value of X is observed, so there is nothing to score")
    # A shallow copy reads on by itself: reading puts a new state in place of the old one and changes none.
    reader = copy.copy(forecaster)
    every = np.arange(later.n_series)
    horizon = forecaster._settings.horizon
    units = (forecaster._scale / forecaster._spread)[:, None]
    total = 0.0
    for first in range(0, int(later.lengths.max()), horizon):
        block = later.slice_rows(first, first + horizon)
        data = reader._known(block)
        actual, observed = data.gather(every, np.zeros(later.n_series, dtype=np.int64), horizon)
        error = (actual.numpy() - reader._combination.point(reader._forecast_now())) * units
        total += float((error[observed.numpy()] ** 2).sum())
        reader._read_on(data)
    return -total / int(later.observed.sum())
