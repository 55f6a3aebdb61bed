"""Forecasts at many cut-offs: from fresh windows, or from one pass over each series with the state carried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.series import Correction
from titans_seq.adapters.stream import Reads, SeriesStream, StreamReader, detach

Float32Array = NDArray[np.float32]


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
    """

    series: IntArray
    cutoff: IntArray
    linear: Float32Array
    shift: Float32Array
    log_spread: Float32Array
    scale: Float32Array

    @staticmethod
    def join(parts: list[Forecasts]) -> Forecasts:
        """Concatenate in the order given."""
        return Forecasts(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Forecasts)))

    @staticmethod
    def collect(which: IntArray, cutoff: IntArray, linear: Tensor, correction: Correction) -> Forecasts:
        """Bring tensors (n, horizon) to numpy."""
        parts = (linear, correction.shift, correction.log_spread, correction.scale)
        return Forecasts(which, cutoff, *(x.detach().cpu().float().numpy() for x in parts))

    def take(self, rows: NDArray[np.intp]) -> Forecasts:
        """Return the forecasts named by an index array."""
        return Forecasts(*(getattr(self, f.name)[rows] for f in fields(Forecasts)))


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
    parts = []
    for at in range(0, max(len(series), 1), batch_size):
        which, end = series[at : at + batch_size], cutoff[at : at + batch_size]
        stream, _ = _read_rows(reader, data, reader.start(len(which)), which, end - rows, rows, zero_memory)
        first_row = data.panel.frequency.advance(data.panel.origins[which], end - rows)
        linear, correction = reader.forecast_now(
            stream, first_row, _group(reader, data, which), zero_memory=zero_memory
        )
        parts.append(Forecasts.collect(which, end, linear, correction))
    return Forecasts.join(parts)


def streaming_forecasts(
    reader: StreamReader,
    data: ScaledPanel,
    *,
    start: IntArray,
    first: IntArray,
    piece: int = 128,
    batch_size: int = 64,
    zero_memory: bool = False,
) -> Forecasts:
    """Forecast at the end of every complete patch, from one pass over each series with the state carried.

    Parameters
    ----------
    reader : StreamReader
    data : ScaledPanel
    start : int array (n_series,)
        Row at which reading begins.
    first : int array (n_series,)
        Earlier cut-offs are read but not returned.
    piece : int
        Patches read at once; bounds the memory needed, not the result.
    batch_size : int
        Series read at once.
    zero_memory : bool
        Ablation: what the memories return is replaced by zeros.
    """
    parts: list[Forecasts] = []
    for which in _batches(np.arange(data.panel.n_series), batch_size):
        stream = reader.start(len(which))
        for offset, _, reads in _pieces(reader, data, stream, which, start[which], piece, zero_memory):
            with torch.no_grad():
                correction = reader.model.correct(reads.hidden, reads.tokens.scale)
            parts += _from_reads(reader, which, start[which] + offset, first[which], reads, correction)
    return Forecasts.join(parts) if parts else _nothing(reader.model.horizon)


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
    which = np.arange(data.panel.n_series)
    if rows_only:
        return _keep_rows(reader, data, stream)
    for _, after, _ in _pieces(reader, data, stream, which, np.zeros(len(which), dtype=np.int64), piece, False):
        stream = after
    return stream


def _keep_rows(reader: StreamReader, data: ScaledPanel, stream: SeriesStream) -> SeriesStream:
    kept = stream.values.shape[1]
    lengths = data.panel.lengths
    fresh = np.minimum(lengths, kept)
    values, observed = data.gather(np.arange(len(lengths)), lengths - fresh, int(fresh.max(initial=0)))
    return stream.push(
        values, observed, torch.from_numpy(fresh), torch.from_numpy(lengths), reader.patching.patch_length
    )


def _pieces(
    reader: StreamReader,
    data: ScaledPanel,
    stream: SeriesStream,
    which: IntArray,
    start: IntArray,
    piece: int,
    zero_memory: bool,
) -> Iterator[tuple[int, SeriesStream, Reads]]:
    """Read on from ``start``; yields the offset of each piece, the stream after it, and what was seen."""
    step = piece * reader.patching.patch_length
    ends = data.panel.lengths[which]
    for offset in range(0, int((ends - start).max(initial=0)), step):
        stream, reads = _read_rows(reader, data, stream, which, start + offset, step, zero_memory, until=ends)
        yield offset, stream, reads


def _read_rows(
    reader: StreamReader,
    data: ScaledPanel,
    stream: SeriesStream,
    which: IntArray,
    start: IntArray,
    rows: int,
    zero_memory: bool,
    until: IntArray | None = None,
) -> tuple[SeriesStream, Reads]:
    lengths = np.full(len(which), rows) if until is None else np.clip(until - start, 0, rows)
    values, observed = data.gather(which, start, int(lengths.max(initial=0)))
    device = stream.phase.device
    first_row = data.panel.frequency.advance(data.panel.origins[which], start - stream.steps.cpu().numpy())
    with torch.no_grad():
        stream, reads = reader.read(
            stream,
            values.to(device),
            observed.to(device),
            torch.from_numpy(lengths).to(device),
            first_row,
            _group(reader, data, which),
            zero_memory=zero_memory,
        )
    return detach(stream), reads


def _group(reader: StreamReader, data: ScaledPanel, which: IntArray) -> Tensor:
    return data.groups(which).to(reader.linear.weights.device)


def _from_reads(
    reader: StreamReader,
    which: IntArray,
    start: IntArray,
    first: IntArray,
    reads: Reads,
    correction: Correction,
) -> list[Forecasts]:
    n = reads.hidden.shape[1]
    ends = start[:, None] + reader.patching.patch_length * np.arange(1, n + 1)
    valid = (np.arange(n) < reads.counts.cpu().numpy()[:, None]) & (ends >= first[:, None])
    if not valid.any():
        return []
    rows, columns = np.nonzero(valid)
    picked = Correction(*(x[rows, columns] for x in (correction.shift, correction.log_spread, correction.scale)))
    return [Forecasts.collect(which[rows], ends[rows, columns], reads.tokens.linear[rows, columns], picked)]


def _batches(items: IntArray, size: int) -> Iterator[IntArray]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _nothing(horizon: int) -> Forecasts:
    none, empty = np.zeros(0, dtype=np.int64), np.zeros((0, horizon), dtype=np.float32)
    return Forecasts(none, none, empty, empty, empty, np.zeros(0, dtype=np.float32))
