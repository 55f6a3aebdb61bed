"""What a fitted forecaster carries of its series, and how it reads on and forecasts from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import Tensor

from titans_seq.adapters.effects import CovariateEffect
from titans_seq.adapters.error_memory import ErrorMemory, ErrorStream
from titans_seq.adapters.forecasts import Forecasts, read_all, read_and_forecast, windowed_forecasts
from titans_seq.adapters.lags import LaggedMap
from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.online import OnlineLinear, online_forecasts, solved_at
from titans_seq.adapters.online_stream import OnlineStream
from titans_seq.adapters.row_forecasts import linear_forecasts
from titans_seq.adapters.scaled import FloatArray, IntArray, ScaledPanel, fit_scaling
from titans_seq.adapters.series import SeriesModel
from titans_seq.adapters.stream import SeriesStream, StreamReader, detach
from titans_seq.adapters.tokens import LinearForecast
from titans_seq.data import Covariates, FrameFormat, Frequency, Panel, has_no_rows, read_panel
from titans_seq.estimators._bounds import LastRows, lowest_before
from titans_seq.estimators._combination import Combination
from titans_seq.estimators._error_memory import ErrorReader
from titans_seq.estimators._normal_scores import NORMAL
from titans_seq.estimators._panels import continuing
from titans_seq.estimators._processes import default_device, present, share_out, share_series
from titans_seq.estimators._recent import RecentErrors, Window
from titans_seq.estimators._settings import Settings
from titans_seq.training.ranks import Ranks


class Carrying(BaseEstimator):
    """The state of a forecaster: weights, scalings and streams of the series of `fit`, and reading on with them.

    `TitansForecaster` sets the attributes in `fit`, and `load` does.
    """

    on_gap: str
    device: str
    id_col: str
    time_col: str
    target_col: str
    linear_: LinearMap
    frequency_: Frequency
    ids_: list[str | int]
    _settings: Settings
    _format: FrameFormat
    _combination: Combination
    _model: SeriesModel
    _stream: SeriesStream
    _last_rows: LastRows | None
    _online: OnlineStream | None
    _covariates: Covariates
    _effect: CovariateEffect
    _lags: LaggedMap
    _recent: RecentErrors | None
    _errors: ErrorMemory | None
    _error_stream: ErrorStream | None
    _center: FloatArray
    _scale: FloatArray
    _group: IntArray
    _origins: NDArray[Any]
    _last_ds: NDArray[Any]

    def _read_on(self, data: ScaledPanel) -> None:
        """Read new rows of the series of `fit`, in its order."""
        if self._recent is not None or self._errors is not None:
            self._read_and_judge(data)
        else:
            if self._online is not None:
                self._online = self._online.read(data)
                self.linear_ = self._online.online.linear
            self._read_into_stream(data, self._stream)
        if self._last_rows is not None:
            self._last_rows = self._last_rows.read(data.panel)

    def _read_and_judge(self, data: ScaledPanel) -> None:
        """Do the same, and compare the forecasts made on the way, and those before, with the rows read."""
        before, stream, patch = self._stream.steps.numpy(), self._stream, self._settings.patch_length
        which = np.arange(data.panel.n_series)
        kept = self._kept_rows(which)
        joined = ScaledPanel(kept.concat(data.panel), data.center, data.scale, data.group)
        position = before - kept.lengths
        if self._reads_on:
            self._stream, forecasts = read_and_forecast(self._reader, data, stream)
            forecasts = replace(forecasts, cutoff=forecasts.cutoff + kept.lengths[forecasts.series])
        else:
            series, end = _ends_of_patches(before, data.panel.lengths, patch)
            forecasts = linear_forecasts(self._reader, joined, series, end - position[series])
            self._stream = read_all(self._reader, data, stream, rows_only=True)
        if self._online is not None:
            learned = solved_at(before, patch) - position
            linear = online_forecasts(
                self._online.online, joined, forecasts.series, forecasts.cutoff, before=learned, position=position,
                patch_length=patch,
            )  # fmt: skip
            linear = linear + self._lags.forecast(joined, forecasts.series, forecasts.cutoff)
            forecasts = replace(forecasts, linear=linear.astype(np.float32))
            self._online = self._online.read(data)
            self.linear_ = self._online.online.linear
        if self._error_stream is not None:
            forecasts, self._error_stream = self._error_reader.read(self._error_stream, joined, forecasts, position)
        if self._recent is not None:
            cutoff = forecasts.cutoff + position[forecasts.series]
            self._recent = self._recent.read(data, forecasts, cutoff, self._combination)
        self._last_ds = self.frequency_.advance(self._origins, self._stream.steps.numpy() - 1)

    @property
    def _error_reader(self) -> ErrorReader:
        assert self._errors is not None
        return ErrorReader(self._errors, self._reader, self._settings, self._combination.weight)

    def _start_recent(self) -> RecentErrors | None:
        """Begin to watch errors, if intervals are to follow them."""
        if self._settings.intervals != "adaptive":
            return None
        window = Window(self._settings.horizon, self._settings.patch_length)
        return RecentErrors.start(window, self._forecast_now(), self._combination)

    def _recent_quantiles(self, place: IntArray) -> FloatArray | None:
        """Normal scores that the quantiles of each series have of late, (n, n_levels); None where none are kept."""
        if self._recent is None:
            return None
        known = np.unique(place[place >= 0])
        every = np.tile(NORMAL, (len(self.ids_) + 1, 1))  # the last is that of series that were not in `fit`
        every[known] = self._recent.quantiles(known)
        return every[place]

    def _quantiles(self, data: ScaledPanel, forecasts: Forecasts, levels: tuple[float, ...]) -> FloatArray:
        """Quantile forecasts (n, horizon, n_levels), scaled units."""
        place = self._places(data.panel.ids)[forecasts.series]
        return self._combination.quantiles(forecasts, levels, place, self._recent_quantiles(place))

    def _error_quantiles(self, ids: Sequence[str | int], which: IntArray, levels: FloatArray) -> FloatArray:
        """Quantiles of errors of the series ``which`` in units of width, (n or 1, horizon, n_levels)."""
        return self._combination.error_quantiles(levels, self._recent_quantiles(self._places(ids)[which]))

    def _start_online(self, data: ScaledPanel) -> OnlineStream | None:
        """Begin the sums of the linear map, if it goes on learning."""
        if not self._settings.online_linear:
            return None
        stream = OnlineStream.start(self.linear_, data, self._settings.patch_length)
        self.linear_ = stream.online.linear
        return stream

    def _read_into_stream(self, data: ScaledPanel, stream: SeriesStream) -> None:
        self._stream = read_all(self._reader, data, stream, rows_only=not self._reads_on)
        self._last_ds = self.frequency_.advance(self._origins, self._stream.steps.numpy() - 1)

    @property
    def _reads_on(self) -> bool:
        """Whether the network's state has to be carried at all."""
        return self._settings.carry_state and self._combination.needs_network

    def _has_no_rows(self, X: Any) -> bool:
        """Whether ``X`` is a frame of the right columns without rows: a tick without news."""
        self._check_fitted()
        names = {"id_col": self.id_col, "time_col": self.time_col, "target_col": self.target_col}
        return has_no_rows(X, self.ids_, **names, covariates=self._covariates)

    def _following(self, X: Any) -> Panel:
        """Rows that follow those read so far, as a panel of all series of `fit`, in its order."""
        self._check_fitted()
        return self._rows_after(*self._read_later(X))

    def _rows_after(self, new: Panel, fmt: FrameFormat) -> Panel:
        """The same of rows that were read into a panel; a gap before them is part of it."""
        if fmt.time.timezone != self._format.time.timezone:
            found, fitted = (zone or "no time zone" for zone in (fmt.time.timezone, self._format.time.timezone))
            raise ValueError(f"column {self.time_col!r} is in {found}, fit had {fitted}; convert it first")
        tail = self._tail_panel()
        unknown = [i for i in new.ids if i not in set(tail.ids)]
        if unknown:
            raise ValueError(f"series {unknown[0]!r} was not in fit; predict(X) forecasts new series, fit learns them")
        places = self._places(new.ids)
        left = self._effect.take_out(continuing(tail, new, fmt), self._scale[places], places)
        return tail.concat(left, on_gap=self.on_gap).slice_rows(1, None)

    def _tail_panel(self) -> Panel:
        """The last row of every series, so that new rows can be checked against it."""
        return self._kept_rows(np.arange(len(self.ids_)), 1)

    def _kept_rows(self, which: IntArray, most: int | None = None) -> Panel:
        """The last rows of series, as many as are kept, or at most ``most``."""
        source = self._stream if self._online is None else self._online  # the map that learns keeps more of them
        values, observed, steps = (np.asarray(x)[which] for x in (source.values, source.observed, source.steps))
        kept = values.shape[1]
        lengths = np.minimum(steps, kept if most is None else most)
        inside = np.arange(kept) >= kept - lengths[:, None]
        values = values * self._scale[which, None] + self._center[which, None]
        if self._last_rows is not None:
            values[:, -self._last_rows.values.shape[1] :] = self._last_rows.values[which]
        beside = self._stream.covariates[which].double().numpy()
        beside = np.concatenate([np.zeros((len(which), kept - beside.shape[1], beside.shape[2])), beside], 1)
        return Panel(
            np.where(observed, values, 0.0)[inside],
            observed[inside],
            np.concatenate([[0], np.cumsum(lengths)]),
            tuple(self.ids_[i] for i in which),
            self.frequency_.advance(self._last_ds[which], 1 - lengths),
            self.frequency_,
            beside[inside],
        )

    def _start_last_rows(self, panel: Panel) -> LastRows | None:
        """Keep rows as they are, if forecasts have a lower bound."""
        if not self._combination.lower_bound:
            return None
        return LastRows.of(panel, self._stream.values.shape[1])

    def _lowest_now(self) -> FloatArray:
        """Bound of the forecasts of each series of `fit`, (n_series,), in the units of the data; -inf for none."""
        if self._last_rows is None:
            return np.full(len(self.ids_), -np.inf)
        return self._last_rows.lowest(self._settings.context_length)

    def _lowest_before(self, panel: Panel, series: IntArray, cutoff: IntArray, first: int = 0) -> FloatArray:
        """Bound of forecasts from rows of a panel, (n,), likewise; rows before row ``first`` were not read."""
        if not self._combination.lower_bound:
            return np.full(len(series), -np.inf)
        return lowest_before(panel, series, cutoff, self._settings.context_length, first)

    def _forecast_now(self) -> Forecasts:
        forecasts = self._share_stream()
        if self._error_stream is None:
            return forecasts
        kept = self._kept_rows(forecasts.series, self._settings.context_length)
        here = replace(forecasts, cutoff=kept.lengths)
        found = self._error_reader.recall(self._error_stream, self._known(kept), here, forecasts.cutoff - kept.lengths)
        return replace(forecasts, recalled=found.recalled)

    def _share_stream(self) -> Forecasts:
        """Forecast from where the streams of `fit` stand, each process its part of them."""
        ranks, group = self._ranks(), torch.from_numpy(self._group)
        if ranks.alone:
            return self._forecast_stream(self._stream, self._origins, group)

        def of_some(which: IntArray) -> Forecasts:
            rows = torch.from_numpy(which)
            own = self._forecast_stream(self._stream.select(rows), self._origins[which], group[rows])
            return replace(own, series=which)

        return share_out(ranks, self._stream.n_series, self._settings.horizon, of_some)

    def _forecast_stream(self, stream: SeriesStream, origins: NDArray[Any], group: Tensor) -> Forecasts:
        """Forecast from where streams stand; ``origins`` (n,) are the timestamps of their first rows."""
        n, cutoff = stream.n_series, stream.steps.numpy()
        if not self._reads_on and self._combination.needs_network:
            rows = self._settings.context_length
            values, observed = stream.values[:, -rows:], stream.observed[:, -rows:]
            origins = self.frequency_.advance(origins, cutoff - rows)
            lengths = torch.full((n,), rows)
            with torch.no_grad():
                stream, _ = self._reader.read(
                    self._reader.start(n), values, observed, lengths, origins, group,
                    covariates=stream.covariates[:, -rows:], forecast=False,
                )  # fmt: skip
        return Forecasts.collect(np.arange(n), cutoff, *self._reader.forecast_now(stream, origins, group))

    def _feed(
        self, stream: SeriesStream, rows: FloatArray, origins: NDArray[Any], group: Tensor, features: FloatArray | None
    ) -> SeriesStream:
        """Return streams that have read on; ``rows`` (n, length) in scaled units, all observed."""
        beside = None if features is None else torch.from_numpy(features).float()
        values, patch = torch.from_numpy(rows), self._settings.patch_length
        observed, lengths = torch.ones_like(values, dtype=torch.bool), torch.full((len(rows),), rows.shape[1])
        if self._reads_on:
            with torch.no_grad():
                read = self._reader.read(stream, values, observed, lengths, origins, group, covariates=beside)
                return detach(read[0])
        kept = stream.values.shape[1]
        beside = None if beside is None else beside[:, -kept:]
        return stream.push(values[:, -kept:], observed[:, -kept:], beside, lengths.clamp(max=kept), lengths, patch)

    def _forecast_from(self, data: ScaledPanel) -> Forecasts:
        ranks = self._ranks()
        ranks.check_same("X", data.panel.values, data.panel.lengths)
        return share_series(ranks, data, self._settings.horizon, lambda part, _: self._forecast_part(part))

    def _forecast_part(self, data: ScaledPanel) -> Forecasts:
        forecasts = self._forecast_ends(data)
        if self._errors is None:
            return forecasts
        stream = self._error_reader.begin(data)
        return self._error_reader.recall(stream, data, forecasts, np.zeros(data.panel.n_series, dtype=np.int64))

    def _forecast_ends(self, data: ScaledPanel) -> Forecasts:
        which, ends = np.arange(data.panel.n_series), data.panel.lengths
        if not self._reads_on:
            return windowed_forecasts(self._reader, data, which, ends, rows=self._settings.context_length)
        stream = read_all(self._reader, data, self._reader.start(len(which)))
        forecast = self._reader.forecast_now(stream, data.panel.origins, torch.from_numpy(data.group))
        return Forecasts.collect(which, ends, *forecast)

    def _device(self) -> torch.device:
        return default_device() if self.device == "auto" else torch.device(self.device)

    def _ranks(self) -> Ranks:
        return present(self, self._device())

    @property
    def _reader(self) -> StreamReader:
        linear = LinearForecast(self.linear_, self._lags, lower_bound=self._combination.lower_bound)
        return StreamReader(self._model, linear, self.frequency_)

    def _read_later(self, X: Any) -> tuple[Panel, FrameFormat]:
        """Read data of the same kind as those of `fit`."""
        origins = dict(zip(self.ids_, self._origins, strict=True))
        return self._read(X, self._covariates, self.frequency_, origins)

    def _read(
        self,
        X: Any,
        covariates: Covariates,
        frequency: Frequency | None = None,
        origins: dict[str | int, Any] | None = None,
    ) -> tuple[Panel, FrameFormat]:
        return read_panel(
            X,
            id_col=self.id_col,
            time_col=self.time_col,
            target_col=self.target_col,
            on_gap=self.on_gap,
            frequency=frequency,
            origins=origins,
            covariates=covariates,
        )

    def _known(self, panel: Panel | None) -> ScaledPanel:
        """The series of `fit`, in its order, with new rows (or none needed)."""
        return ScaledPanel(panel or self._tail_panel(), self._center, self._scale, self._group)

    def _scaled(self, panel: Panel, history: IntArray) -> ScaledPanel:
        """Other histories: known series keep their scaling, new ones get that of their first ``history`` rows.

        The effect of covariates is taken out of them.
        """
        center, scale = fit_scaling(panel, history)
        unseen = 0 if self.linear_.shared else len(self.linear_.weights)
        group = np.full(panel.n_series, unseen, dtype=np.int64)
        known = self._places(panel.ids)
        rows = np.flatnonzero(known >= 0)
        center[rows], scale[rows], group[rows] = (a[known[rows]] for a in (self._center, self._scale, self._group))
        return ScaledPanel(self._effect.take_out(panel, scale, known), center, scale, group)

    def _places(self, ids: Sequence[str | int]) -> IntArray:
        """Place of series in `fit`; -1 for one that was not there."""
        place = {name: i for i, name in enumerate(self.ids_)}
        return np.array([place.get(name, -1) for name in ids], dtype=np.int64)

    def _effect_at(self, data: ScaledPanel, series: IntArray, start: IntArray, length: int) -> FloatArray:
        """Effect of covariates on windows of rows, (n, length), in units of the data; (n, 1) zeros without any."""
        if not self._covariates.has("future"):
            return np.zeros((len(series), 1))
        covariates = data.panel.gather_covariates(series, start, length)
        return self._effect.of(covariates, self._places(data.panel.ids)[series]) * data.scale[series, None]

    def _online_for(self, panel: Panel) -> tuple[OnlineLinear, IntArray] | None:
        """The map that goes on learning, and the rows of ``panel`` that it has learned from already."""
        if self._online is None:
            return None
        known = np.zeros(panel.n_series, dtype=np.int64)
        at = {name: i for i, name in enumerate(self.ids_)}
        for i, name in enumerate(panel.ids):
            if name in at:
                begun = self.frequency_.steps_at_most(self._origins[at[name]], panel.origins[i : i + 1])[0]
                known[i] = np.clip(self._online.counted[at[name]] - begun, 0, panel.lengths[i])
        return self._online.online, known

    def _check_fitted(self) -> None:
        if not hasattr(self, "_stream"):
            raise NotFittedError("this TitansForecaster is not fitted yet; call fit first")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_stream")


def _ends_of_patches(before: IntArray, new: IntArray, patch_length: int) -> tuple[IntArray, IntArray]:
    """Series and rows of the stream at which patches end, among the ``new`` rows after those ``before``."""
    first, last = before // patch_length + 1, (before + new) // patch_length
    series = np.repeat(np.arange(len(new)), last - first + 1)
    ends = [np.arange(a, b + 1) * patch_length for a, b in zip(first, last, strict=True)]
    return series, np.concatenate(ends) if ends else np.zeros(0, dtype=np.int64)
