"""How well a fitted forecaster does, and what it is surprised by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from titans_seq.estimators import _scoring, _surprise
from titans_seq.estimators._backtesting import check_backtest, first_row, forecast_at, split_into_parts, with_recent
from titans_seq.estimators._bounds import to_units
from titans_seq.estimators._predicting import Predicting
from titans_seq.estimators.backtest import BacktestResult


class Judging(Predicting):
    """Scores, backtests, and what each row's surprise was."""

    def score(self, X: Any, y: None = None) -> float:
        """Forecast the rows of ``X``, which follow those read so far, and return minus the mean squared error.

        Errors are in units of each series' own standard deviation in the ``X`` of `fit` (1 if it was constant), as
        published benchmarks report them, so that series of any size can be averaged: 0 is perfect, and a forecast
        that is always the mean scores about -1. No constructor argument changes the units. Where ``X`` is longer
        than the horizon, its next rows are forecast once the earlier ones have been read, as after `update`. The
        estimator is not changed.

        With `titans_seq.RollingOrigin` this is what `sklearn.model_selection.cross_val_score` and
        ``GridSearchCV`` need; leave their ``scoring=`` at its default.

        Parameters
        ----------
        X : frame, array or GluonTS dataset
            As for `update`: rows that continue some or all series. Missing values are not scored.
        y : None
            Ignored.

        Returns
        -------
        float
            At most 0; higher is better. Every observed value of ``X`` counts once.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            As for `update`, or if no value of ``X`` is observed.
        """
        return _scoring.score(self, self._following(X))

    def backtest(
        self,
        X: Any,
        *,
        first_cutoff: int,
        mode: Literal["windowed", "streaming"] | None = None,
        stride: int = 1,
        components: bool = False,
    ) -> BacktestResult:
        """Forecast from many cut-offs of ``X`` with the weights as they are.

        Parameters
        ----------
        X : frame, array or GluonTS dataset
            History and the rows to forecast, of known or new series.
        first_cutoff : int
            Row of each series at which the first forecast begins.
        mode : {"windowed", "streaming"}, optional
            "windowed": a fresh state reads the ``context_length`` rows before each cut-off. "streaming": one
            pass over each series, the state carried. Default: as ``carry_state`` says.
        stride : int, default 1
            Rows between cut-offs. In streaming mode a multiple of ``patch_length`` is faster: a cut-off inside a
            patch takes a look ahead of its own.
        components : bool, default False
            Also return what linear map and network contribute, and the forecast without memory.

        Returns
        -------
        BacktestResult
            Every cut-off from ``first_cutoff`` on whose ``horizon`` rows lie within ``X``, as arrays; `to_frame` gives
            them the columns of neuralforecast's ``cross_validation``.

        Raises
        ------
        ValueError
            If no cut-off fits.
        """
        self._check_fitted()
        mode = mode or ("streaming" if self._settings.carry_state else "windowed")
        check_backtest(mode, first_cutoff, stride)
        panel, fmt = self._read_later(X)
        data = self._scaled(panel, np.minimum(panel.lengths, first_cutoff))
        last = panel.lengths - self._settings.horizon
        if not (last >= first_cutoff).any():
            raise ValueError(
                f"no series has {first_cutoff} + {self._settings.horizon} rows; the longest has {panel.lengths.max()}"
            )
        online = self._online_for(panel) if mode == "streaming" else None
        where = (self._reader, self._settings, data, mode, first_cutoff, stride)
        follow = mode == "streaming" and self._recent is not None
        errors = self._error_reader if mode == "streaming" and self._errors is not None else None
        ranks = self._ranks()
        ranks.check_same("X", panel.values, panel.lengths)
        forecasts, recent = forecast_at(*where, online=online, every_patch=follow, errors=errors, ranks=ranks), None
        if follow:
            place = self._places(panel.ids)[forecasts.series]
            forecasts, recent = with_recent(
                self._settings, self._combination, data, forecasts, place, first_cutoff, stride
            )
        back = forecasts.series
        actual, observed = panel.gather(back, forecasts.cutoff, self._settings.horizon)
        first = first_row(self._settings, mode, first_cutoff)
        lowest = self._lowest_before(data.panel, back, forecasts.cutoff, first)
        effect = self._effect_at(data, back, forecasts.cutoff, self._settings.horizon)
        levels = tuple(self.quantile_levels)
        parts: dict[str, NDArray[np.float64]] = {}
        if components:
            zeroed = replace(forecast_at(*where, zero_memory=True, ranks=ranks), linear=forecasts.linear)
            parts = split_into_parts(self._combination, data, forecasts, zeroed, lowest)
            parts = {name: part + effect for name, part in parts.items()}
        place = self._places(panel.ids)[back]
        quantiles = self._combination.quantiles(forecasts, levels, place, recent)
        return BacktestResult(
            panel=panel,
            series=back,
            cutoff=forecasts.cutoff,
            actual=actual,
            observed=observed,
            point=to_units(data, forecasts, self._combination.point(forecasts), lowest) + effect,
            quantiles=to_units(data, forecasts, quantiles, lowest) + effect[..., None],
            quantile_levels=levels,
            components=parts,
            form=fmt,
        )

    def surprise(
        self, X: Any = None, *, start: Literal["fresh", "carried"] | None = None, threshold: float | None = None
    ) -> Any:
        """Say of every row how far it was from what was expected, and which rows are out of the ordinary.

        Each row is compared with its forecast: the one made at the last patch boundary at or before it, 1 to
        ``patch_length_`` rows ahead (with a shorter horizon, also made in between), from the rows before that
        alone. All come from one pass over the rows: none is read for each. The estimator is not changed.

        Parameters
        ----------
        X : frame, array or GluonTS dataset
            Rows to judge: histories of known or new series, or new rows of known ones, before `update` reads them.
        start : {"fresh", "carried"}, optional
            "carried": the rows continue what was read in `fit` and `update`, and a copy of that state reads them.
            The cost is theirs alone, and the result that of a pass over the whole history. "fresh": nothing was read
            before them. Default: "carried" if every series begins with the row after the last that was read, else
            "fresh". The rows of an array have no time: they are "fresh" unless said otherwise.
        threshold : float, optional
            Surprise above which a row is an anomaly. Default: ``anomaly_threshold_``, which `fit` chose so that about
            one row in a thousand lies above it while series go on as they did in validation.

        Returns
        -------
        frame or array
            One row per step of ``X``, from its first to its last. Frames, long or wide, give a long frame in their
            library, missing values as NaN (null in polars); GluonTS datasets a long pandas frame; arrays a structured
            array (n_series, time). Columns or fields, after ``id_col`` and ``time_col``:

            - ``target_col``: the value;
            - ``TitansForecaster``: the forecast that was due for it;
            - ``surprise``: |value - forecast| in robust standard deviations: in units of what the width of the 80 %
              prediction interval says of a normal distribution (so that noisy stretches and longer ways ahead count
              less), over 1.4826 times the median of the same in the validation rows of the series;
            - ``memory_surprise``: ‖e_t‖, the error of the memory's write (mean over layers and heads) of the patch
              that holds the row. It is known when the patch is complete, hence the same for its rows, and depends
              on all of them; it has no unit, compare it within a series. NaN in an open patch, in one without a
              value, and everywhere where forecasts do without network or memory: ``network_weight_`` 0 (so with
              ``max_epochs=0``), or a variant without memory;
            - ``threshold``: the level in use;
            - ``anomaly``: whether ``surprise`` is above it. Never in the first ``context_length_`` rows of a series:
              forecasts from less than their look-back are worse than those that were calibrated.

            Forecast and surprise are NaN in the first patch of a series, and all three in the first
            ``context_length_`` rows of one that was not in `fit`, as these set its scale. Surprise is NaN where the
            value is missing.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            Without ``X``, as no history is kept; if every series is too short; for data that can't be used, and with
            ``start="carried"`` as for `update`.

        Notes
        -----
        With ``carry_state=False`` forecasts and the memory's surprise are those of windows of ``context_length_``
        rows, each read from a fresh state.

        With `online_linear_` a copy of the linear map learns on the way, as `update` would let it: the forecast of
        new rows is still the one that `predict` would have made. Rows that it has learned from before are not learned
        again, and are forecast by the map of today.

        The default threshold is a peaks-over-threshold estimate, see `titans_seq.evaluation.anomalies.alarm_level`.
        On Gaussian noise and with many validation rows it is about 3.6, and one row in 1,000 to 3,000 is flagged; with
        few, up to one in 200. Series whose errors grow or change after validation are flagged more often.

        An anomaly is also an input. A spike sways forecasts for up to ``context_length_`` rows, so that rows after it
        may be flagged, too, and widens their intervals, so that smaller ones may not be; to avoid both, hand it to
        `update` as a missing value. After a change of level, rows are flagged until forecasts have followed it,
        usually within a patch or two, and sometimes again a season later.

        Rows that `fit` was given surprise a little less than new ones.

        Examples
        --------
        >>> import numpy as np
        >>> y = np.sin(np.arange(400) / 5) + 0.1 * np.random.default_rng(0).normal(size=400)
        >>> forecaster = TitansForecaster(horizon=12, max_epochs=0).fit(y)
        >>> new = np.sin(np.arange(400, 420) / 5)
        >>> new[7] += 3.0
        >>> np.flatnonzero(forecaster.surprise(new, start="carried")["anomaly"][0])  # and rows that it swayed
        array([ 7,  8, 16])
        """
        self._check_fitted()
        return _surprise.surprise(self, X, start, threshold)
