"""The result of a backtest: forecasts beside what then happened."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Panel
from titans_seq.evaluation import metrics


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

    def coverage(self, level: float) -> float:
        """Return the share of observed truths within the ``level`` % interval, from 0 to 1.

        Parameters
        ----------
        level : float
            In percent; the quantiles at both its ends must be among ``quantile_levels``: 0.1 and 0.9 for 80.

        Raises
        ------
        ValueError
            If they are not.
        """
        ends = (0.5 - level / 200, 0.5 + level / 200)
        at = [i for end in ends for i, x in enumerate(self.quantile_levels) if abs(x - end) < 1e-9]
        if len(at) != 2 or at[0] == at[1]:
            raise ValueError(
                f"the {level:g} % interval needs quantiles at {ends[0]:g} and {ends[1]:g}; name them in the "
                "forecaster's quantile_levels"
            )
        low, high = self.quantiles[..., at[0]], self.quantiles[..., at[1]]
        return float(metrics.coverage(self.actual, low, high, self.observed))
