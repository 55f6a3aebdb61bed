"""Forecasts corrected by a memory of the errors of those before: how it is fitted, started and read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.calendar import calendar_features
from titans_seq.adapters.error_memory import Cuts, ErrorMemory, ErrorStream, Leads
from titans_seq.adapters.forecasts import Forecasts, batches, streaming_forecasts
from titans_seq.adapters.row_forecasts import linear_forecasts
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.stream import StreamReader
from titans_seq.adapters.tokens import make_tokens
from titans_seq.estimators._settings import Settings

BoolArray = NDArray[np.bool_]

WARM_UP = 1024
"""Patches of its series that a memory has read at most when it is first asked."""
_TRAINED_ON = 4096
_FEWEST = 64
_LARGEST = 1 << 26
_WINDOWS_AT_ONCE = 4096


@dataclass(frozen=True)
class ErrorReader:
    """Lets an error memory read along with forecasts; holds no state itself.

    Attributes
    ----------
    memory : ErrorMemory
    reader : StreamReader
    settings : Settings
    weight : float
        Of the network's correction: what is corrected here is the forecast with it.
    """

    memory: ErrorMemory
    reader: StreamReader
    settings: Settings
    weight: float

    def read(
        self,
        stream: ErrorStream,
        data: ScaledPanel,
        forecasts: Forecasts,
        position: IntArray,
        *,
        write: bool = True,
    ) -> tuple[Forecasts, ErrorStream]:
        """Return the forecasts with what the memory recalls at each, and the stream after the last of them.

        Parameters
        ----------
        stream : ErrorStream
            Of all series of the data.
        data : ScaledPanel
        forecasts : Forecasts
            Those at the end of every patch from where the stream stands on, and any others.
        position : int array (n_series,)
            Rows of each stream before the first of the data.
        write : bool, default True
            False: nothing is written, also not at the end of a patch.
        """
        order = np.lexsort((forecasts.cutoff, forecasts.series))
        cuts, place = self.cuts(data, forecasts.take(order), position)
        if not write:
            cuts = replace(cuts, writes=torch.zeros_like(cuts.writes))
        with torch.no_grad():
            found, stream = self.memory.read(stream, cuts)
        recalled = np.empty_like(forecasts.linear)
        recalled[order] = found[place].numpy()
        return replace(forecasts, recalled=recalled), stream

    def recall(self, stream: ErrorStream, data: ScaledPanel, forecasts: Forecasts, position: IntArray) -> Forecasts:
        """Return forecasts, one for each series, with what streams as they are recall."""
        return self.read(stream, data, forecasts, position, write=False)[0]

    def begin(self, data: ScaledPanel) -> ErrorStream:
        """Return the streams of series that were read whole, from their first row on."""
        start = np.zeros(data.panel.n_series, dtype=np.int64)
        before = self.history(data, start, data.panel.lengths, WARM_UP)
        return self.read(self.memory.start(data.panel.n_series), data, before, start)[1]

    def history(self, data: ScaledPanel, start: IntArray, until: IntArray, patches: int) -> Forecasts:
        """Forecast from the ends of the last ``patches`` patches up to row ``until``, laid from row ``start`` on."""
        first = self.first_warm(start, until, patches)
        if self.weight > 0:
            return streaming_forecasts(self.reader, data, start=start, first=first, until=until)
        p = self.settings.patch_length
        counts = np.maximum((until - first) // p + 1, 0)
        series = np.repeat(np.arange(len(counts)), counts)
        nth = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
        ends, parts = first[series] + p * nth, [Forecasts.none(self.settings.horizon)]
        for some in batches(np.arange(len(series)), _WINDOWS_AT_ONCE):
            parts.append(linear_forecasts(self.reader, data, series[some], ends[some]))
        return Forecasts.join(parts)

    def first_warm(self, start: IntArray, until: IntArray, patches: int) -> IntArray:
        """Row of the first of the last ``patches`` ends of patches that have a whole context before them."""
        p, context = self.settings.patch_length, self.settings.context_length
        whole = np.maximum((until - start) // p - patches + 1, -(-context // p))
        return start + p * whole

    def cuts(self, data: ScaledPanel, forecasts: Forecasts, position: IntArray) -> tuple[Cuts, tuple[Tensor, Tensor]]:
        """Describe forecasts, by series and cut-off, and say where each is: series and cut."""
        series, cutoff = forecasts.series, forecasts.cutoff
        counts = np.bincount(series, minlength=data.panel.n_series)
        column = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = torch.from_numpy(series), torch.from_numpy(column)
        features, scale = self._described(data, series, cutoff)
        rows = self.memory.leads.rows
        actual, seen = data.gather(series, cutoff - rows, rows)
        row = position[series] + cutoff
        writes = (row % self.settings.patch_length == 0) & (row >= self.settings.context_length)
        point = torch.from_numpy(forecasts.linear + np.float32(self.weight) * forecasts.shift)
        own = {"features": features, "scale": scale, "point": point, "actual": actual.float(), "seen": seen}
        own["writes"], shape = torch.from_numpy(writes), (len(counts), int(counts.max(initial=0)))
        tables = {name: _table(x, place, shape) for name, x in own.items()}
        return Cuts(**tables, lengths=torch.from_numpy(counts)), place

    def _described(self, data: ScaledPanel, series: IntArray, cutoff: IntArray) -> tuple[Tensor, Tensor]:
        """Return what the memory is told of each cut-off, (n, n_features), and the trailing scale (n,)."""
        patching, panel = self.settings.patching, data.panel
        length, n_features = patching.context_length, patching.n_features
        features, scale = [torch.zeros(0, n_features)], [torch.zeros(0)]
        for some in batches(np.arange(len(series)), _WINDOWS_AT_ONCE):
            which, end = series[some], cutoff[some]
            values, observed = data.gather(which, end - length, length)
            ends = torch.full((len(some), 1), length)
            calendar = calendar_features(panel.frequency, patching.periods, panel.origins[which], end[:, None])
            tokens = make_tokens(
                patching, None, torch.zeros(len(some), dtype=torch.int64), values, observed,
                ends - patching.patch_length, ends, torch.from_numpy(calendar),
                data.gather_covariates(which, end - length, length),
            )  # fmt: skip
            features.append(tokens.features[:, 0].float())
            scale.append(tokens.scale[:, 0])
        return torch.cat(features), torch.cat(scale)


def _table(x: Tensor, place: tuple[Tensor, Tensor], shape: tuple[int, int]) -> Tensor:
    return x.new_zeros(*shape, *x.shape[1:]).index_put(place, x)


def is_feasible(settings: Settings, n_series: int) -> bool:
    """Whether the memories of all series are small enough to be carried."""
    leads = Leads(settings.horizon, settings.patch_length)
    kept = leads.pending * (settings.horizon + settings.patching.n_features)
    return 4 * n_series * (4 * leads.count * leads.width**2 + kept) <= _LARGEST


def fit_error_memory(
    reader: StreamReader,
    settings: Settings,
    weight: float,
    data: ScaledPanel,
    train_end: IntArray,
    judged: Forecasts,
    seed: int,
) -> tuple[ErrorMemory | None, Forecasts]:
    """Train a memory on the errors before ``train_end``, and let it read along with the forecasts that choose.

    Parameters
    ----------
    reader : StreamReader
    settings : Settings
    weight : float
        Of the network's correction.
    data : ScaledPanel
    train_end : int array (n_series,)
    judged : Forecasts
        At the ends of patches from ``train_end`` on.
    seed : int

    Returns
    -------
    memory : ErrorMemory or None
        None where there is too little to train or to judge on.
    judged : Forecasts
        With what the memory recalls.
    """
    from titans_seq.training.error_memory import train_error_memory
    from titans_seq.training.fit import seeded

    leads, some = Leads(settings.horizon, settings.patch_length), np.unique(judged.series)
    enough = len(judged.series) >= len(some) * max(_FEWEST // 4, 2 * leads.pending)
    if not enough or not is_feasible(settings, data.panel.n_series):
        return None, judged
    with seeded(seed):
        memory = ErrorMemory(settings.patching.n_features, leads)
    part, end = data.select(some), train_end[some]
    along = ErrorReader(memory, reader, settings, weight)
    start = end % settings.patch_length
    most = min(_TRAINED_ON, max(_FEWEST, _LARGEST // (4 * len(some) * settings.horizon)))
    before = along.history(part, start, end - settings.patch_length, most)
    cuts, place = along.cuts(part, before, -start)
    if int(cuts.lengths.max()) < _FEWEST + 2 * leads.pending:
        return None, judged
    actual, observed = part.gather(before.series, before.cutoff, settings.horizon)
    known = observed & torch.from_numpy(_count(part, before, end))
    shape = (len(some), cuts.writes.shape[1])
    error = _table(actual.float(), place, shape) - cuts.point
    train_error_memory(memory, cuts, error, _table(known, place, shape), seed=seed)
    memory.eval()
    with torch.no_grad():
        _, stream = memory.read(memory.start(len(some)), cuts)
    own = replace(judged, series=np.searchsorted(some, judged.series))
    found, _ = along.read(stream, part, own, -start)
    return memory, replace(judged, recalled=found.recalled)


def _count(data: ScaledPanel, forecasts: Forecasts, end: IntArray) -> BoolArray:
    """Which rows of forecasts count in training, (n, horizon): those before row ``end`` of a weight above 0."""
    horizon = forecasts.linear.shape[1]
    before = forecasts.cutoff[:, None] + np.arange(horizon) < end[forecasts.series, None]
    return before & (data.weights(forecasts.series, forecasts.cutoff, horizon) > 0)
