"""Forecasts of a fitted forecaster, in the form that its data came in."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.forecasts import Forecasts
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.data import (
    FrameFormat,
    forecast_frame,
    future_frame,
    hold_entries,
    path_frame,
    read_entries_ahead,
    read_future,
)
from titans_seq.estimators import _long_horizon
from titans_seq.estimators._bounds import to_units
from titans_seq.estimators._carrying import Carrying
from titans_seq.estimators._covariates_ahead import with_static
from titans_seq.estimators._settings import check_horizon, check_integer, output_columns
from titans_seq.training.launch import is_main


class Predicting(Carrying):
    """Point forecasts, intervals and sample paths from where the streams stand, or from other histories."""

    verbose: int

    def predict(
        self,
        X: Any = None,
        *,
        future: Any = None,
        level: Iterable[float] | None = None,
        quantiles: Iterable[float] | None = None,
        horizon: int | None = None,
    ) -> Any:
        """Forecast the next ``horizon`` rows of every series.

        Parameters
        ----------
        X : frame, array or GluonTS dataset, optional
            Other histories to forecast from, of known or new series. Default: continue what was read in `fit`
            and `update`. The estimator is not changed either way.
        future : frame, optional
            Covariates of the rows to forecast: `make_future_frame` with its columns filled in, or any frame with
            these columns and rows; others are not read. Needed if a covariate has the role "future", unless ``X`` are
            GluonTS entries whose ``feat_dynamic_real`` (and ``…_cat``) go on as far as the forecast.
        level : iterable of float, optional
            Prediction intervals in percent, at most 99: 80 gives columns ``-lo-80`` and ``-hi-80``.
        quantiles : iterable of float, optional
            Quantiles in [0.005, 0.995]: 0.1 gives column ``-q-0.1``.
        horizon : int, optional
            Rows to forecast. Default: those of the constructor. Beyond them a copy of the state reads its own point
            forecasts as if they had been observed; intervals there are those of 100 sample paths that are read the
            same way, and never narrower than at the same row of the first horizon. Covariates of role "future" are then
            needed up to the last row; past ones are continued towards their mean, by an autoregression of order one
            on their last rows whose errors the sample paths draw.

        Returns
        -------
        frame or array
            Of the library that `fit` was given: long frames ``id_col, time_col, TitansForecaster, …``; wide
            frames a column per series; arrays (n_series, horizon), or (n_series, horizon, 1 + extra columns).
            GluonTS datasets are answered with a long pandas frame, whose times are the beginnings of the periods.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            For levels outside their range, data that can't be used, or covariates that are missing; the message names
            series, row and column.
        """
        self._check_fitted()
        columns = output_columns(level, quantiles)
        rows = check_horizon(horizon, self._settings.horizon)
        start, fmt, last, effect = self._start_with_covariates(X, future, rows)
        levels = tuple(sorted({q for q in columns.values() if q is not None}))
        point, spread = _long_horizon.in_units(self, start, rows, np.array(levels))
        point, spread = point + effect, spread + effect[..., None]
        out = {name: point if q is None else spread[..., levels.index(q)] for name, q in columns.items()}
        return forecast_frame(fmt, start.data.panel.ids, last, self.frequency_, out)

    def sample(
        self,
        n_paths: int = 100,
        X: Any = None,
        *,
        future: Any = None,
        horizon: int | None = None,
        random_state: int | np.random.Generator | None = None,
    ) -> Any:
        """Draw sample paths of the next ``horizon`` rows: ways in which a series may go on as a whole.

        Sums, maxima and whatever else depends on several rows have the distribution of that of the paths. At each row
        alone the values of all paths are the quantiles that `predict` gives.

        Parameters
        ----------
        n_paths : int, default 100
            Paths of each series.
        X, future, horizon
            As in `predict`.
        random_state : int, Generator or None
            Default: other paths at every call. A Generator gives other ones each time that it is used. The estimator
            is not changed.

        Returns
        -------
        frame or array
            Arrays for arrays, (n_series, n_paths, horizon); for all else a long frame ``id_col, time_col, sample,
            TitansForecaster``, where ``sample`` counts paths from 0.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As for `predict`, or if ``n_paths`` is below 1.

        Notes
        -----
        Errors at the rows of a path go together as validation errors did: a Gaussian copula with their correlation
        (Pinson et al. 2009). Beyond the trained horizon each path is read as if it had been observed, and forecast
        from. Paths of different series are drawn independently; those of a series depend on ``random_state`` and its
        id, and not on which other series there are or in which order. Models saved before there were paths know no
        correlation: the steps of theirs are independent.

        Examples
        --------
        >>> import numpy as np
        >>> y = np.sin(np.arange(400) / 5)
        >>> TitansForecaster(horizon=12, max_epochs=0).fit(y).sample(50, random_state=0).sum(-1).shape
        (1, 50)
        """
        self._check_fitted()
        check_integer("n_paths", n_paths, 1)
        rows = check_horizon(horizon, self._settings.horizon)
        start, fmt, last, effect = self._start_with_covariates(X, future, rows)
        random = np.random.default_rng(random_state)
        paths = _long_horizon.paths_in_units(self, start, rows, n_paths, random) + effect[:, None]
        return path_frame(fmt, start.data.panel.ids, last, self.frequency_, paths)

    def _start(self, X: Any) -> tuple[_long_horizon.Start, FrameFormat, NDArray[Any]]:
        """Where forecasts begin, the format they are given back in, and the last time of each series."""
        if X is None:
            now = (self._known(None), self._forecast_now(), self._lowest_now(), self._stream, self._origins)
            return _long_horizon.Start(*now), self._format, self._last_ds
        panel, fmt = self._read_later(X)
        data = self._scaled(panel, panel.lengths)
        forecasts, lowest = self._forecast_from(data), self._lowest_at_ends(data)
        return _long_horizon.Start(data, forecasts, lowest, None, panel.origins), fmt, panel.last_ds

    def _lowest_at_ends(self, data: ScaledPanel) -> NDArray[np.float64]:
        """Bound of the forecasts that follow the last rows of series, (n_series,), in units; -inf for none."""
        return self._lowest_before(data.panel, np.arange(data.panel.n_series), data.panel.lengths)

    def _start_with_covariates(
        self, X: Any, future: Any, rows: int
    ) -> tuple[_long_horizon.Start, FrameFormat, NDArray[Any], NDArray[np.float64]]:
        """Do the same, and return the effect of the covariates of the rows to forecast, (n, rows), in units."""
        X = hold_entries(X)
        start, fmt, last = self._start(X)
        if not self._covariates.columns and future is None:
            return start, fmt, last, np.zeros((len(last), rows))
        ahead = self._read_ahead(X, future, fmt, start.data, last, rows)
        effect = self._effect_of(ahead, start.data)
        return replace(start, ahead=with_static(ahead, self._covariates, start.data)), fmt, last, effect

    def _in_units(
        self, data: ScaledPanel, forecasts: Forecasts, lowest: NDArray[np.float64], levels: tuple[float, ...]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Point forecasts (n, horizon) and quantiles (n, horizon, n_levels), in the units of the data."""
        point = to_units(data, forecasts, self._combination.point(forecasts), lowest)
        if not levels:
            return point, np.zeros((*point.shape, 0))
        return point, to_units(data, forecasts, self._quantiles(data, forecasts, levels), lowest)

    def make_future_frame(self, X: Any = None, *, horizon: int | None = None) -> Any:
        """Return a frame of the rows that `predict` will forecast, to be filled in and given to it as ``future=``.

        Parameters
        ----------
        X : frame, optional
            The histories that ``predict(X)`` will be given. Default: those read in `fit` and `update`.
        horizon : int, optional
            As in ``predict(horizon=)``.

        Returns
        -------
        frame
            In the library and form of the history: ids and times, and an empty column for each covariate of role
            "future" (none without such).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If the history was not a frame.
        """
        self._check_fitted()
        ids, last, fmt = self.ids_, self._last_ds, self._format
        if X is not None:
            panel, fmt = self._read_later(X)
            ids, last = list(panel.ids), panel.last_ds
        if fmt.kind == "numpy":
            raise ValueError("the history was an array, whose rows have no times; pass a frame to fit")
        rows, names = check_horizon(horizon, self._settings.horizon), self._covariates.names("future")
        return future_frame(fmt, ids, last, self.frequency_, rows, names)

    def _read_ahead(
        self, X: Any, future: Any, fmt: FrameFormat, data: ScaledPanel, last: NDArray[Any], horizon: int
    ) -> NDArray[np.float64]:
        """Features of the covariates of the rows to forecast, (n, horizon, n_features); 0 but for the role "future"."""
        ids, names = data.panel.ids, self._covariates.names("future")
        if not names:
            if future is not None:
                raise ValueError("future= is given, but no covariate has the role 'future'; see roles=")
            return np.zeros((len(ids), horizon, self._covariates.n_features))
        if future is not None:
            return read_future(future, fmt, self._covariates, ids, last, self.frequency_, horizon)
        if isinstance(X, list):  # GluonTS entries hold those of the rows to forecast themselves
            return read_entries_ahead(X, self._covariates, horizon)
        raise ValueError(
            f"pass future= with {', '.join(map(repr, names))} of the {horizon} rows to forecast; "
            "make_future_frame() returns a frame to fill in"
        )

    def _effect_of(self, ahead: NDArray[np.float64], data: ScaledPanel) -> NDArray[np.float64]:
        """Effect of covariates (n, horizon, n_features) on each series, (n, horizon), in units of the data."""
        return self._effect.of(ahead, self._places(data.panel.ids)) * data.scale[:, None]

    def _show_progress(self) -> bool:
        return bool(self.verbose) and is_main() and sys.stdout.isatty() and sys.stderr.isatty()
