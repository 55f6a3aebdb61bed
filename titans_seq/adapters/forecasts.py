"""Forecasts at many cut-offs: from fresh windows, or from one pass over each series with the state carried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.series import Correction
from titans_seq.adapters.stream import Reads, SeriesStream, StreamReader, detach

Float32Array = NDArray[np.float32]

_PEEKS_AT_ONCE = 1024


@dataclass(frozen=True)
class Forecasts:
    """Forecasts in scaled units, before linear part and correction are put together.

    Attributes
    ----------
    series, cutoff : int array (n,)
        Series, and its row at which the forecast begins.
    linear, shift, log_spread : float32 array (n, horizon)
        Closed-form forecast, the network's correction, and the logarithm of its factor on the intervals.
    scale : float32 array (n,)
        Trailing standard deviation at the cut-off.
    recalled : float32 array (n, horizon)
        What a memory of earlier errors adds; zeros without one.
    lowest : float64 array (n,)
        Value below which a forecast may not fall; -inf: there is no such bound.
    gap : int64 array (n,)
        Missing rows since the last observed one before the cut-off, at most the look-back.
    """

    series: IntArray
    cutoff: IntArray
    linear: Float32Array
    shift: Float32Array
    log_spread: Float32Array
    scale: Float32Array
    recalled: Float32Array
    lowest: NDArray[np.float64]
    gap: IntArray

    @staticmethod
    def join(parts: list[Forecasts]) -> Forecasts:
        """Concatenate in the order given."""
        return Forecasts(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Forecasts)))

    @staticmethod
    def collect(
        which: IntArray, cutoff: IntArray, linear: Tensor, lowest: Tensor, correction: Correction, gap: Tensor
    ) -> Forecasts:
        """Bring tensors (n, horizon), and (n,) for the bounds and the gaps, to numpy."""
        parts = (linear, correction.shift, correction.log_spread, correction.scale)
        linear_, shift, log_spread, scale = (x.detach().cpu().float().numpy() for x in parts)
        recalled = np.zeros_like(shift)
        each = (lowest.cpu().numpy(), gap.cpu().numpy())
        return Forecasts(which, cutoff, linear_, shift, log_spread, scale, recalled, *each)

    def take(self, rows: NDArray[np.intp]) -> Forecasts:
        """Return the forecasts named by an index array."""
        return Forecasts(*(getattr(self, f.name)[rows] for f in fields(Forecasts)))

    def upto(self, steps: int) -> Forecasts:
        """Return the first steps of every forecast, so that the others need no room."""
        rows = ("linear", "shift", "log_spread", "recalled")
        return replace(self, **{n: getattr(self, n)[:, :steps].copy() for n in rows})

    @staticmethod
    def none(steps: int) -> Forecasts:
        """Return no forecasts, of so many steps."""
        nothing, empty = np.zeros(0, dtype=np.int64), np.zeros((0, steps), dtype=np.float32)
        each = (np.zeros(0, dtype=np.float32), empty, np.zeros(0), nothing)
        return Forecasts(nothing, nothing, empty, empty, empty, *each)


def windowed_forecasts(
    reader: StreamReader,
    data: ScaledPanel,
    series: IntArray,
    cutoff: IntArray,
    *,
    rows: int,
    batch_size: int = 512,
    zero_memory: bool = False,
) -> Forecasts:
    """Forecast from a fresh state that reads the ``rows`` rows before each cut-off and nothing else.

    Parameters
    ----------
    reader : StreamReader
    data : ScaledPanel
    series, cutoff : int array (n,)
    rows : int
        A multiple of the patch length.
    batch_size : int
        Windows read at once.
    zero_memory : bool
        Ablation: what the memories return is replaced by zeros.
    """
    windows = read_windows(reader, data, series, cutoff, rows=rows, batch_size=batch_size, zero_memory=zero_memory)
    return Forecasts.join([forecasts for forecasts, _ in windows])


def read_windows(
    reader: StreamReader,
    data: ScaledPanel,
    series: IntArray,
    cutoff: IntArray,
    *,
    rows: int,
    batch_size: int = 512,
    zero_memory: bool = False,
    surprise: bool = False,
) -> Iterator[tuple[Forecasts, Reads]]:
    """Do what `windowed_forecasts` does, batch by batch: yields the forecasts, and what was seen on the way."""
    for at in range(0, max(len(series), 1), batch_size):
        which, end = series[at : at + batch_size], cutoff[at : at + batch_size]
        where = (reader, data, reader.start(len(which)), which, end - rows, rows)
        stream, reads = read_rows(*where, zero_memory, surprise=surprise, forecast=False)
        first_row = data.panel.frequency.advance(data.panel.origins[which], end - rows)
        forecast = reader.forecast_now(stream, first_row, groups_of(reader, data, which), zero_memory=zero_memory)
        yield Forecasts.collect(which, end, *forecast), reads


def streaming_forecasts(
    reader: StreamReader,
    data: ScaledPanel,
    *,
    start: IntArray,
    first: IntArray,
    until: IntArray | None = None,
    stride: int | None = None,
    piece: int = 128,
    batch_size: int = 64,
    zero_memory: bool = False,
    every_patch: bool = False,
    earlier: IntArray | None = None,
) -> Forecasts:
    """Forecast from one pass over each series, the state carried; every row is read once, series by series.

    Parameters
    ----------
    reader : StreamReader
    data : ScaledPanel
    start : int array (n_series,)
        Row at which reading begins.
    first : int array (n_series,)
        First cut-off; whole patches after ``start`` where there is a ``stride``.
    until : int array (n_series,), optional
        Last cut-off, where reading ends. Default: the end of the series.
    stride : int, optional
        Rows between cut-offs. Default: the end of every complete patch is one. A cut-off inside a patch is forecast
        by a copy of the state that reads the rows of the open patch and is not kept.
    piece : int
        Patches read at once; bounds the memory needed, not the result.
    batch_size : int
        Series read at once.
    zero_memory : bool
        Ablation: what the memories return is replaced by zeros.
    every_patch : bool
        Also return the forecasts at the ends of patches that are no cut-off.
    earlier : int array (n_series,), optional
        With ``every_patch``: row of each series from which on they are returned. Default: ``first``.
    """
    p, parts = reader.patching.patch_length, [Forecasts.none(reader.model.horizon)]
    ends = data.panel.lengths if until is None else until
    for which in batches(np.flatnonzero(ends >= first), batch_size):
        walk = _Walk(reader, data, which, start[which], ends[which], zero_memory)
        begin = (first if earlier is None else earlier)[which]
        if stride is not None and stride % p:
            bulk = int((first - start)[which].min()) // p * p
            parts += walk.read(bulk, piece * p, begin)
            parts += walk.read_with_peeks(first[which], stride)
        else:
            parts += walk.read(walk.rows, piece * p, begin)
    found = Forecasts.join(parts)
    found = found.take(np.lexsort((found.cutoff, found.series)))
    if stride is None or every_patch:
        return found
    return found.take(np.flatnonzero((found.cutoff - first[found.series]) % stride == 0))


@dataclass(frozen=True)
class _Peeks:
    """Streams that read on into a patch and are not kept, and the cut-offs they stand at."""

    stream: SeriesStream
    which: IntArray
    origins: NDArray[Any]
    cutoff: IntArray


@dataclass
class _Walk:
    """A pass over a batch of series; the stream it carries is after the rows read so far."""

    reader: StreamReader
    data: ScaledPanel
    which: IntArray
    start: IntArray
    ends: IntArray
    zero_memory: bool

    def __post_init__(self) -> None:
        self.stream = self.reader.start(len(self.which))
        self.rows, self.at = int((self.ends - self.start).max(initial=0)), 0

    def read(self, until: int, step: int, first: IntArray) -> list[Forecasts]:
        """Read on to ``until`` rows after the start, ``step`` at once; forecasts at the patches' ends."""
        parts = []
        while self.at < until:
            begin, rows = self.start + self.at, min(step, until - self.at)
            self.stream, reads = read_rows(
                self.reader, self.data, self.stream, self.which, begin, rows, self.zero_memory, until=self.ends
            )
            self.at += rows
            parts += forecasts_from_reads(self.reader, self.which, begin, first, reads)
        return parts

    def read_with_peeks(self, first: IntArray, stride: int) -> list[Forecasts]:
        """Read on to the end, patch by patch, and forecast also from the cut-offs inside each."""
        p, parts, peeks = self.reader.patching.patch_length, [], []
        while self.at < self.rows:
            peeks += self._peeks(first, stride)
            parts += self.read(min(self.at + p, self.rows), p, first)
            if sum(len(peek.which) for peek in peeks) >= _PEEKS_AT_ONCE or self.at == self.rows:
                parts += self._forecasts(peeks)
                peeks = []
        return parts

    def _peeks(self, first: IntArray, stride: int) -> list[_Peeks]:
        """Copies of the streams that have read on to the cut-offs within the next patch."""
        inside = np.arange(1, self.reader.patching.patch_length)
        cutoff = (self.start + self.at)[:, None] + inside
        wanted = (cutoff > first[:, None]) & (cutoff <= self.ends[:, None]) & ((cutoff - first[:, None]) % stride == 0)
        rows, columns = np.nonzero(wanted)
        if not len(rows):
            return []
        which, ahead = self.which[rows], torch.from_numpy(inside[columns])
        device = self.stream.phase.device
        read = gather_rows(self.data, which, (self.start + self.at)[rows], int(ahead.max()), device)
        ahead = ahead.to(device)
        stream = self.stream.select(torch.from_numpy(rows).to(device))
        stream = stream.push(*read, ahead, ahead, self.reader.patching.patch_length)
        return [_Peeks(stream, which, self._origins(which, self.start[rows]), cutoff[rows, columns])]

    def _forecasts(self, peeks: list[_Peeks]) -> list[Forecasts]:
        """Forecast from all of them at once: a call costs more than the rows in it."""
        if not peeks:
            return []
        which, origins, cutoff = (
            np.concatenate([getattr(p, n) for p in peeks]) for n in ("which", "origins", "cutoff")
        )
        forecast = self.reader.forecast_now(
            SeriesStream.stack([p.stream for p in peeks]), origins, groups_of(self.reader, self.data, which),
            zero_memory=self.zero_memory,
        )  # fmt: skip
        return [Forecasts.collect(which, cutoff, *forecast)]

    def _origins(self, which: IntArray, start: IntArray) -> NDArray[Any]:
        return self.data.panel.frequency.advance(self.data.panel.origins[which], start)


def read_all(
    reader: StreamReader,
    data: ScaledPanel,
    stream: SeriesStream,
    *,
    piece: int = 128,
    rows_only: bool = False,
) -> SeriesStream:
    """Read every row of every series into ``stream``, piece by piece.

    With ``rows_only`` the last rows are kept up to date but the network reads nothing.
    """
    if rows_only:
        return _keep_rows(reader, data, stream)
    which, ends = np.arange(data.panel.n_series), data.panel.lengths
    step = piece * reader.patching.patch_length
    for at in range(0, int(ends.max(initial=0)), step):
        stream, _ = read_rows(reader, data, stream, which, np.full(len(which), at), step, until=ends, forecast=False)
    return stream


def read_and_forecast(
    reader: StreamReader, data: ScaledPanel, stream: SeriesStream, *, piece: int = 128
) -> tuple[SeriesStream, Forecasts]:
    """Do what `read_all` does, and return the forecasts at the ends of the patches that were completed."""
    which, ends = np.arange(data.panel.n_series), data.panel.lengths
    before, found = stream.steps.cpu().numpy(), [Forecasts.none(reader.model.horizon)]
    for at in range(0, int(ends.max(initial=0)), step := piece * reader.patching.patch_length):
        opened = np.minimum(at, ends) - stream.phase.cpu().numpy()
        stream, reads = read_rows(reader, data, stream, which, np.full(len(which), at), step, until=ends)
        found += forecasts_from_reads(reader, which, opened, -before, reads)
    return stream, Forecasts.join(found)


def _keep_rows(reader: StreamReader, data: ScaledPanel, stream: SeriesStream) -> SeriesStream:
    kept = stream.values.shape[1]
    lengths = data.panel.lengths
    fresh = np.minimum(lengths, kept)
    rows = gather_rows(data, np.arange(len(lengths)), lengths - fresh, int(fresh.max(initial=0)), stream.phase.device)
    return stream.push(*rows, torch.from_numpy(fresh), torch.from_numpy(lengths), reader.patching.patch_length)


def read_rows(
    reader: StreamReader,
    data: ScaledPanel,
    stream: SeriesStream,
    which: IntArray,
    start: IntArray,
    rows: int,
    zero_memory: bool = False,
    until: IntArray | None = None,
    *,
    surprise: bool = False,
    forecast: bool = True,
) -> tuple[SeriesStream, Reads]:
    """Let streams read ``rows`` rows of the series ``which`` from their rows ``start`` on.

    Those outside a series are missing, or left out from the rows ``until`` on.
    """
    lengths = np.full(len(which), rows) if until is None else np.clip(until - start, 0, rows)
    device = stream.phase.device
    values, observed, covariates = gather_rows(data, which, start, int(lengths.max(initial=0)), device)
    first_row = data.panel.frequency.advance(data.panel.origins[which], start - stream.steps.cpu().numpy())
    with torch.no_grad():
        stream, reads = reader.read(
            stream,
            values,
            observed,
            torch.from_numpy(lengths).to(device),
            first_row,
            groups_of(reader, data, which),
            covariates=covariates,
            zero_memory=zero_memory,
            surprise=surprise,
            forecast=forecast,
        )
    return detach(stream), reads


def gather_rows(
    data: ScaledPanel, which: IntArray, start: IntArray, length: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows of values, of what was observed, and of covariates, on a device."""
    values, observed = data.gather(which, start, length)
    return values.to(device), observed.to(device), data.gather_covariates(which, start, length).to(device)


def groups_of(reader: StreamReader, data: ScaledPanel, which: IntArray) -> Tensor:
    """Return the groups of the series ``which``, where the linear map lies."""
    return data.groups(which).to(reader.linear.weights.device)


def forecasts_from_reads(
    reader: StreamReader, which: IntArray, start: IntArray, first: IntArray, reads: Reads
) -> list[Forecasts]:
    """Return the forecasts at the ends of the patches read, the first of which began at row ``start``.

    Cut-offs before ``first`` are left out; the list has one entry, or none.
    """
    n = reads.hidden.shape[1]
    ends = start[:, None] + reader.patching.patch_length * np.arange(1, n + 1)
    valid = (np.arange(n) < reads.counts.cpu().numpy()[:, None]) & (ends >= first[:, None])
    if not valid.any():
        return []
    rows, columns = np.nonzero(valid)
    with torch.no_grad():
        correction = reader.model.correct(reads.hidden, reads.tokens.scale)
    picked = Correction(*(x[rows, columns] for x in (correction.shift, correction.log_spread, correction.scale)))
    tokens = reads.tokens
    linear, lowest, gap = (x[rows, columns] for x in (tokens.linear, tokens.lowest, tokens.gap))
    return [Forecasts.collect(which[rows], ends[rows, columns], linear, lowest, picked, gap)]


def batches(items: IntArray, size: int) -> Iterator[IntArray]:
    """Cut an array into pieces of at most ``size``."""
    for at in range(0, len(items), size):
        yield items[at : at + size]
