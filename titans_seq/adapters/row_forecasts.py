"""One pass over series: the forecast that was due for every row, made before it, and the memories' surprise.

No row is read twice but as part of a window. A forecast is a function of the rows before its cut-off alone, so what
is said of a row does not depend on any later one; the surprise of a patch depends on the rows of that patch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq.adapters._cutoffs import Cutoffs
from titans_seq.adapters._linear_gaps import trailing_gap
from titans_seq.adapters.forecasts import (
    Forecasts,
    batches,
    forecasts_from_reads,
    groups_of,
    read_rows,
    read_windows,
)
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.series import Correction
from titans_seq.adapters.stream import Reads, SeriesStream, StreamReader
from titans_seq.adapters.tokens import trailing_statistics

FloatArray = NDArray[np.float64]

PATCHES_AT_ONCE = 128
SERIES_AT_ONCE = 64
WINDOWS_AT_ONCE = 512


class Patches(NamedTuple):
    """Patches that were read whole, and the mean surprise of the memories at them.

    Attributes
    ----------
    series, end : int array (n,)
        Series, and the row after the last of the patch.
    surprise : float array (n,)
    """

    series: IntArray
    end: IntArray
    surprise: FloatArray


@dataclass(frozen=True)
class RowForecasts:
    """What one pass found, in rows of the data; a cut-off may lie before the first.

    Attributes
    ----------
    forecasts : Forecasts
        By cut-off, no two of a series alike; no more steps than the longest way to the next one.
    reach : int array (n,)
        Rows that each forecast serves.
    patches : Patches
        Empty if surprise was not asked for.
    """

    forecasts: Forecasts
    reach: IntArray
    patches: Patches


class Served(NamedTuple):
    """Rows, and what serves each: indices into the panel's values, and the entry and the step that belong there."""

    row: IntArray
    entry: IntArray
    step: IntArray


def serve(data: ScaledPanel, series: IntArray, start: IntArray, reach: IntArray) -> Served:
    """Find the rows of a panel that entries stand for: ``reach`` rows from ``start`` on, as far as they exist."""
    steps = np.arange(int(reach.max(initial=0)))
    rows = start[:, None] + steps
    inside = (steps < reach[:, None]) & (rows >= 0) & (rows < data.panel.lengths[series][:, None])
    entry, step = np.nonzero(inside)
    return Served(data.panel.offsets[series[entry]] + rows[entry, step], entry, step)


def along_stream(
    reader: StreamReader,
    data: ScaledPanel,
    position: IntArray,
    stream: SeriesStream | None = None,
    *,
    surprise: bool = False,
) -> RowForecasts:
    """Read every series once, from where its stream stands, and forecast on the way.

    Parameters
    ----------
    reader : StreamReader
    data : ScaledPanel
    position : int array (n_series,)
        Rows of each stream before the first of the data.
    stream : SeriesStream, optional
        Of every series; rows that it has read are not read again. It is not changed. Default: nothing was read.
    surprise : bool, default False
        Ask the memories, too.
    """
    grid = Cutoffs(reader.patching.patch_length, reader.model.horizon)
    walk = _by_piece if grid.step == grid.patch_length else _by_step
    found: list[_Found] = []
    for which in batches(np.arange(data.panel.n_series), SERIES_AT_ONCE):
        part = reader.start(len(which)) if stream is None else stream.select(torch.from_numpy(which))
        found += walk(_Batch(reader, data, which, position[which]), part, grid, surprise)
    return _joined(found, position, grid)


def from_windows(
    reader: StreamReader,
    data: ScaledPanel,
    position: IntArray,
    first: IntArray,
    *,
    network: bool,
    surprise: bool = False,
) -> RowForecasts:
    """Forecast from the context before every cut-off, and nothing older.

    Parameters
    ----------
    reader : StreamReader
    data : ScaledPanel
    position : int array (n_series,)
        Rows of each stream before the first of the data: patches are counted from the first row of the stream.
    first : int array (n_series,)
        Row of the data from which on rows are to be served.
    network : bool
        Let the network read each window from a fresh state. False: its correction is taken to be zero.
    surprise : bool, default False
        Ask the memories, too; needs the network.
    """
    grid = Cutoffs(reader.patching.patch_length, reader.model.horizon)
    series, place = grid.between(position + first, position + data.panel.lengths)
    cutoff = place - position[series]
    found: list[_Found] = []
    for some in batches(np.arange(len(series)), WINDOWS_AT_ONCE):
        which, end = series[some], cutoff[some]
        if not network:
            found.append(_Found([linear_forecasts(reader, data, which, end).upto(grid.step)], []))
            continue
        rows = reader.patching.context_length
        for forecasts, reads in read_windows(reader, data, which, end, rows=rows, surprise=surprise):
            found.append(_Found([forecasts.upto(grid.step)], _last_patches(reads, which, end, position, grid)))
    return _joined(found, position, grid)


class _Found(NamedTuple):
    forecasts: list[Forecasts]
    patches: list[Patches]


class _Batch(NamedTuple):
    """Series ``which`` of the data, and the rows of their streams before the first of the data."""

    reader: StreamReader
    data: ScaledPanel
    which: IntArray
    position: IntArray

    def read(self, stream: SeriesStream, rows: int, until: IntArray, surprise: bool) -> tuple[SeriesStream, Reads]:
        """Let streams read on, ``rows`` rows at most, and not beyond row ``until`` of the data."""
        start = stream.steps.cpu().numpy() - self.position
        return read_rows(self.reader, self.data, stream, self.which, start, rows, until=until, surprise=surprise)


def _by_piece(batch: _Batch, stream: SeriesStream, grid: Cutoffs, surprise: bool) -> Iterator[_Found]:
    """Many patches at a time: every cut-off is a patch boundary, and the reading itself has its forecast."""
    yield _Found([_forecast(batch, stream, grid)], [])
    p, ends = grid.patch_length, batch.data.panel.lengths[batch.which]
    everything = np.full(len(ends), np.iinfo(np.int64).min)
    while ((row := stream.steps.cpu().numpy() - batch.position) < ends).any():
        opened = row - stream.phase.cpu().numpy()
        stream, reads = batch.read(stream, PATCHES_AT_ONCE * p, ends, surprise)
        forecasts = forecasts_from_reads(batch.reader, batch.which, opened, everything, reads)
        completed = opened[:, None] + p * np.arange(1, reads.hidden.shape[1] + 1)
        yield _Found([f.upto(grid.step) for f in forecasts], _patches(reads, batch.which, completed))


def _by_step(batch: _Batch, stream: SeriesStream, grid: Cutoffs, surprise: bool) -> Iterator[_Found]:
    """From one cut-off to the next: those within a patch are forecast from by a copy that reads the open patch."""
    yield _Found([_forecast(batch, stream, grid)], [])
    ends = batch.data.panel.lengths[batch.which]
    while ((row := stream.steps.cpu().numpy() - batch.position) < ends).any():
        until = np.minimum(grid.next(row + batch.position) - batch.position, ends)
        stream, reads = batch.read(stream, grid.step, until, surprise)
        completed = np.broadcast_to(until[:, None], reads.hidden.shape[:2])
        there = until + batch.position
        new = np.flatnonzero((until > row) & (grid.latest(there) == there))
        yield _Found([_forecast(batch, stream, grid).take(new)], _patches(reads, batch.which, completed))


def _forecast(batch: _Batch, stream: SeriesStream, grid: Cutoffs) -> Forecasts:
    """Forecast from the last cut-offs of streams."""
    reader, data, which, position = batch
    steps = stream.steps.cpu().numpy()
    origins = data.panel.frequency.advance(data.panel.origins[which], -position)
    seen = torch.from_numpy(grid.within_patch(steps)).to(stream.phase.device)
    forecast = reader.forecast_now(stream, origins, groups_of(reader, data, which), open_rows=seen)
    return Forecasts.collect(which, grid.latest(steps) - position, *forecast).upto(grid.step)


def linear_forecasts(reader: StreamReader, data: ScaledPanel, which: IntArray, end: IntArray) -> Forecasts:
    """Forecast by the linear map alone, from the context before each cut-off ``end`` (n,)."""
    rows = reader.patching.context_length
    values, observed = (x.to(reader.linear.weights.device) for x in data.gather(which, end - rows, rows))
    linear = reader.linear(values.float(), observed, groups_of(reader, data, which))
    lowest = reader.linear.lowest(values, observed)
    cutoff = torch.full((len(which), 1), rows, device=values.device)
    _, scale = trailing_statistics(values, observed, cutoff, rows)
    gap = trailing_gap(observed, cutoff, rows)[:, 0]
    linear = linear + torch.as_tensor(reader.linear.lags.forecast(data, which, end)).to(linear)
    nothing = torch.zeros_like(linear)
    return Forecasts.collect(which, end, linear, lowest, Correction(nothing, nothing, scale[:, 0]), gap)


def _patches(reads: Reads, which: IntArray, ends: IntArray) -> list[Patches]:
    """Return the patches that were completed; ``ends`` (n_series, patches)."""
    if reads.surprise is None or not reads.surprise.shape[1]:
        return []
    row, column = np.nonzero(np.arange(ends.shape[1]) < reads.counts.cpu().numpy()[:, None])
    return [Patches(which[row], ends[row, column], reads.surprise.cpu().double().numpy()[row, column])]


def _last_patches(reads: Reads, which: IntArray, end: IntArray, position: IntArray, grid: Cutoffs) -> list[Patches]:
    """Return the last patch of windows, of those that end where a patch of the stream does."""
    if reads.surprise is None:
        return []
    whole = np.flatnonzero((position[which] + end) % grid.patch_length == 0)
    return [Patches(which[whole], end[whole], reads.surprise[:, -1].cpu().double().numpy()[whole])]


def _joined(found: Iterable[_Found], position: IntArray, grid: Cutoffs) -> RowForecasts:
    """Join what was found; nothing is forecast before a first patch was read."""
    parts = list(found)
    forecasts = Forecasts.join([Forecasts.none(grid.step), *(f for part in parts for f in part.forecasts)])
    place = position[forecasts.series] + forecasts.cutoff
    known = np.flatnonzero(place >= grid.patch_length)
    forecasts, place = forecasts.take(known), place[known]
    none = np.zeros(0, dtype=np.int64)
    patches = [Patches(none, none, np.zeros(0)), *(p for part in parts for p in part.patches)]
    return RowForecasts(
        forecasts, grid.next(place) - place, Patches(*(np.concatenate(x) for x in zip(*patches, strict=True)))
    )
