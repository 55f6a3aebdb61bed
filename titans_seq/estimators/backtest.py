"""The result of a backtest: forecasts beside what then happened."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Panel


@dataclass(frozen=True)
class BacktestResult:
    """Forecasts at many cut-offs, in the units of the data.

    Attributes
    ----------
    panel : Panel
        The data the backtest read.
    series, cutoff : int array (n,)
        Series, and its row at which each forecast begins.
    actual, observed : array (n, horizon)
        What then happened, and where it was observed.
    point : float array (n, horizon)
    quantiles : float array (n, horizon, n_levels)
    quantile_levels : tuple of float
    components : dict of float array (n, horizon)
        On request: "ridge" (closed form alone; in streaming mode it goes on learning
        if the forecaster's does), "network" (its correction, in full, on the last value instead of
        the linear forecast), "combined"
        and "memory_zeroed" (combined, with what the memories return replaced by zeros).
    """

    panel: Panel
    series: NDArray[np.int64]
    cutoff: NDArray[np.int64]
    actual: NDArray[np.float64]
    observed: NDArray[np.bool_]
    point: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    quantile_levels: tuple[float, ...]
    components: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def n_windows(self) -> int:
        """Number of forecasts."""
        return len(self.series)
