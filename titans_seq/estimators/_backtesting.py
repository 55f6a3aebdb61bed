"""Forecasts at the cut-offs of a backtest, and what they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.forecasts import Forecasts, streaming_forecasts, windowed_forecasts
from titans_seq.adapters.online import OnlineLinear, online_forecasts
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.stream import StreamReader
from titans_seq.estimators._bounds import to_units
from titans_seq.estimators._combination import Combination
from titans_seq.estimators._error_memory import WARM_UP, ErrorReader
from titans_seq.estimators._processes import share_out, share_series
from titans_seq.estimators._recent import Window, quantiles_along
from titans_seq.estimators._settings import Settings
from titans_seq.evaluation import naive
from titans_seq.training.ranks import ALONE, Ranks


def check_backtest(mode: str, first_cutoff: int, stride: int) -> None:
    """Raise a ValueError for arguments of `TitansForecaster.backtest` that make no sense."""
    if mode not in ("windowed", "streaming"):
        raise ValueError(f"mode must be 'windowed' or 'streaming', found {mode!r}")
    if first_cutoff < 1 or stride < 1:
        raise ValueError(f"first_cutoff and stride must be at least 1, found {first_cutoff} and {stride}")


def first_row(settings: Settings, mode: str, first_cutoff: int) -> int:
    """Return the row at which reading begins: patches are laid so that the first cut-off is a patch boundary."""
    return first_cutoff % settings.patch_length if mode == "streaming" else 0


def forecast_at(
    reader: StreamReader,
    settings: Settings,
    data: ScaledPanel,
    mode: str,
    first_cutoff: int,
    stride: int,
    *,
    online: tuple[OnlineLinear, IntArray] | None = None,
    zero_memory: bool = False,
    every_patch: bool = False,
    errors: ErrorReader | None = None,
    ranks: Ranks = ALONE,
) -> Forecasts:
    """Forecast from every ``stride``-th row from ``first_cutoff`` on whose horizon lies within the data.

    ``online``, in streaming mode: a map that goes on learning, and the rows of each series that it knows already.
    ``every_patch``, in streaming mode: also from the ends of patches in between. ``errors``, likewise: a memory that
    reads along, from some patches before the first cut-off on. ``ranks``: processes that share out the work.
    """
    last = data.panel.lengths - settings.horizon
    if mode == "windowed":
        ends = [np.arange(first_cutoff, n + 1, stride) for n in last]
        series = np.repeat(np.arange(len(ends)), [len(e) for e in ends])
        cutoff, rows = np.concatenate(ends), settings.context_length

        def of_some(some: IntArray) -> Forecasts:
            return windowed_forecasts(reader, data, series[some], cutoff[some], rows=rows, zero_memory=zero_memory)

        return share_out(ranks, len(series), settings.horizon, of_some)
    start = np.full(data.panel.n_series, first_row(settings, mode, first_cutoff))
    first = np.full(data.panel.n_series, first_cutoff)
    earlier = None if errors is None else errors.first_warm(start, first, WARM_UP)

    def make(part: ScaledPanel, which: IntArray) -> Forecasts:
        return streaming_forecasts(
            reader, part, start=start[which], first=first[which], until=last[which], stride=stride,
            zero_memory=zero_memory, every_patch=every_patch or errors is not None,
            earlier=None if earlier is None else earlier[which],
        )  # fmt: skip

    every = share_series(ranks, data, settings.horizon, make)
    every = every if online is None else _with_online(reader, settings, data, every, online, start)
    if errors is None:
        return every
    found, _ = errors.read(errors.memory.start(len(start)), data, every, -start)
    since = found.cutoff - first_cutoff
    return found.take(np.flatnonzero((since >= 0) & (every_patch | (since % stride == 0))))


def _with_online(
    reader: StreamReader,
    settings: Settings,
    data: ScaledPanel,
    every: Forecasts,
    online: tuple[OnlineLinear, IntArray],
    start: IntArray,
) -> Forecasts:
    carried, before = online
    linear = online_forecasts(
        carried,
        data,
        every.series,
        every.cutoff,
        before=before,
        position=-start,
        patch_length=settings.patch_length,
    )
    linear = linear + reader.linear.lags.forecast(data, every.series, every.cutoff)
    return replace(every, linear=linear.astype(np.float32))


def with_recent(
    settings: Settings,
    combination: Combination,
    data: ScaledPanel,
    forecasts: Forecasts,
    place: IntArray,
    first_cutoff: int,
    stride: int,
) -> tuple[Forecasts, NDArray[np.float64]]:
    """Of forecasts at the end of every patch, those asked for, and what errors before each say of its quantiles."""
    window = Window(settings.horizon, settings.patch_length)
    asked = np.flatnonzero((forecasts.cutoff - first_cutoff) % stride == 0)
    recent = quantiles_along(window, data, forecasts, asked, first_cutoff, combination, place)
    return forecasts.take(asked), recent


def split_into_parts(
    combination: Combination, data: ScaledPanel, forecasts: Forecasts, zeroed: Forecasts, lowest: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Forecasts (n, horizon) of each part, in the units of the data; see `BacktestResult.components`."""
    series, cutoff = forecasts.series, forecasts.cutoff
    shift = forecasts.shift * data.scale[series, None]
    return {
        "ridge": data.to_original(forecasts.linear.astype(np.float64), series),
        "network": naive(data.panel, series, cutoff, shift.shape[1]) + shift,
        "combined": to_units(data, forecasts, combination.point(forecasts), lowest),
        "memory_zeroed": to_units(data, zeroed, combination.point(zeroed), lowest),
    }
