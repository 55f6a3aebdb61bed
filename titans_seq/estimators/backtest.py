"""The result of a backtest: forecasts beside what then happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import FrameFormat, Panel, cutoff_frame
from titans_seq.data.frames import POINT_COLUMN
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
        What then happened, the values of the data themselves, and where it was observed; 0 where it was not.
    point : float array (n, horizon)
    quantiles : float array (n, horizon, n_levels)
    quantile_levels : tuple of float
    components : dict of float array (n, horizon)
        On request: "ridge" (closed form alone; in streaming mode it goes on learning
        if the forecaster's does), "network" (its correction, in full, on the last value instead of
        the linear forecast), "combined"
        and "memory_zeroed" (combined, with what the memories return replaced by zeros).
    form : FrameFormat, optional
        Of the data, for `to_frame`.
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
    form: FrameFormat | None = None

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
        low, high = self._interval(level)
        return float(metrics.coverage(self.actual, low, high, self.observed))

    def to_frame(self, level: Iterable[float] | None = None) -> Any:
        """Return every forecast beside what then happened, as neuralforecast's ``cross_validation`` does.

        Parameters
        ----------
        level : iterable of float, optional
            Prediction intervals in percent, as for `coverage`: 80 gives columns ``-lo-80`` and ``-hi-80``. Default: a
            column for each of ``quantile_levels`` instead, such as ``-q-0.1``.

        Returns
        -------
        frame
            Of the library of the data, long: ``id_col``, ``time_col``, ``cutoff`` (time of the last row that the
            forecast knew), ``target_col`` (missing where it was not observed), ``TitansForecaster``, ….

        Raises
        ------
        ValueError
            If the data were an array, or a level is not among the quantiles.
        """
        if self.form is None:
            raise ValueError("this result does not know what its data looked like; TitansForecaster.backtest says so")
        name, y = POINT_COLUMN, np.where(self.observed, self.actual, np.nan)
        columns = {self.form.target_col: y, name: self.point}
        if level is None:
            for i, q in enumerate(self.quantile_levels):
                columns[f"{name}-q-{q:g}"] = self.quantiles[..., i]
        for percent in level or ():
            ends = self._interval(percent)
            columns |= {f"{name}-{side}-{percent:g}": x for side, x in zip(("lo", "hi"), ends, strict=True)}
        return cutoff_frame(self.form, self.panel, self.series, self.cutoff, columns)

    def _interval(self, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ends of the ``level`` % interval, each (n, horizon)."""
        ends = (0.5 - level / 200, 0.5 + level / 200)
        at = [i for end in ends for i, x in enumerate(self.quantile_levels) if abs(x - end) < 1e-9]
        if len(at) != 2 or at[0] == at[1]:
            raise ValueError(
                f"the {level:g} % interval needs quantiles at {ends[0]:g} and {ends[1]:g}; name them in the "
                "forecaster's quantile_levels"
            )
        return self.quantiles[..., at[0]], self.quantiles[..., at[1]]
