"""Forecasts of any number of rows: beyond the horizon, a copy of each stream reads what was forecast, and goes on.

Point forecasts read their own point forecasts. How far they may be off is found by sample paths: each is drawn with
the errors of validation, read as if it had been observed, and forecast from, so that later blocks know what earlier
ones do not. Covariates are read on, too, see `_covariates_ahead`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq.adapters.forecasts import Forecasts, batches, read_all
from titans_seq.adapters.scaled import LARGEST, IntArray, ScaledPanel
from titans_seq.adapters.stream import SeriesStream
from titans_seq.estimators._bounds import to_units
from titans_seq.estimators._conformal import LEVELS
from titans_seq.estimators._covariates_ahead import CovariatesAhead
from titans_seq.estimators._normal_scores import at_levels
from titans_seq.estimators._ordering import order_of
from titans_seq.estimators._paths import common_seed, draw_scores, in_order_of, own_stream, stratified_levels
from titans_seq.estimators._progress import with_progress

if TYPE_CHECKING:
    from titans_seq.estimators._predicting import Predicting

FloatArray = NDArray[np.float64]

_PATHS = 100
"""Paths that the intervals of later blocks are made of."""
_SHARES = stratified_levels(20)
"""Levels that stand for the errors of the last block of each path."""
_ROWS_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class Start:
    """Series, and their forecasts from where they end.

    Attributes
    ----------
    data : ScaledPanel
        The series; of those of `fit`, perhaps no more than their last rows.
    forecasts : Forecasts
    lowest : float array (n_series,)
        Their lower bound, in the units of the data; -inf: there is none.
    stream : SeriesStream or None
        After the last row; None: read ``data`` from its first row on.
    origins : array (n_series,)
        Timestamp of the first row of each stream.
    ahead : float array (n_series, horizon, n_features)
        Features of the rows to forecast: those of the roles "future" and "static".
    """

    data: ScaledPanel
    forecasts: Forecasts
    lowest: FloatArray
    stream: SeriesStream | None
    origins: NDArray[Any]
    ahead: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))


def in_units(forecaster: Predicting, start: Start, horizon: int, levels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return point forecasts (n, horizon) and quantiles (n, horizon, n_levels), in the units of the data."""
    trained = forecaster._settings.horizon
    if horizon <= trained:
        point, quantiles = forecaster._in_units(start.data, start.forecasts, start.lowest, tuple(levels))
        return point[:, :horizon], quantiles[:, :horizon]
    stream = _stream_of(forecaster, start)
    scaled = _points(forecaster, start, stream, horizon)
    point = to_units(start.data, start.forecasts, scaled, start.lowest)
    if not len(levels):
        return point, np.zeros((*point.shape, 0))
    table = _table(forecaster, start, stream, scaled)
    return point, to_units(start.data, start.forecasts, at_levels(table, levels), start.lowest)


def paths_in_units(
    forecaster: Predicting, start: Start, horizon: int, n_paths: int, random: np.random.Generator
) -> FloatArray:
    """Return sample paths (n, n_paths, horizon), in the units of the data; their marginals are those of `in_units`."""
    _, quantiles = in_units(forecaster, start, horizon, stratified_levels(n_paths))
    seed, steps = common_seed(random), forecaster._settings.horizon
    if horizon <= steps:
        streams, factor = (own_stream(seed, i) for i in start.data.panel.ids), forecaster._combination.dependence
        drawn = [draw_scores(factor, n_paths, steps, stream)[:, :horizon] for stream in streams]
        return in_order_of(np.stack(drawn), quantiles)
    scores = np.empty((len(quantiles), n_paths, horizon))
    for which, blocks in _simulate(forecaster, start, _stream_of(forecaster, start), horizon, n_paths, seed):
        scores[which] = np.concatenate([block.values for block in blocks], axis=2)[:, :, :horizon]
    return in_order_of(scores, quantiles)


class _Block(NamedTuple):
    """A horizon of paths, each array (m, n_paths, horizon) in scaled units: what was forecast, and what was drawn."""

    point: FloatArray
    width: FloatArray
    values: FloatArray


def _stream_of(forecaster: Predicting, start: Start) -> SeriesStream:
    if start.stream is not None:
        return start.stream
    reader = forecaster._reader
    return read_all(reader, start.data, reader.start(start.data.panel.n_series), rows_only=not forecaster._reads_on)


def _points(forecaster: Predicting, start: Start, stream: SeriesStream, horizon: int) -> FloatArray:
    """Point forecasts (n, horizon) of which each block has read the ones before it, scaled units."""
    blocks, ahead = [forecaster._combination.point(start.forecasts)], _covariates(forecaster, start, stream)
    steps = blocks[0].shape[1]
    later = (range(at, min(at + steps, horizon)) for at in range(steps, horizon, steps))
    for rows in with_progress(later, horizon - steps, "rows ahead", forecaster._show_progress()):
        beside = None if ahead is None else ahead.expected(rows.start - steps, rows.start)
        stream, forecasts = _read_and_forecast(forecaster, start, stream, start.forecasts.series, blocks[-1], beside)
        blocks.append(forecaster._combination.point(forecasts))
    return np.concatenate(blocks, axis=1)[:, :horizon]


def _table(forecaster: Predicting, start: Start, stream: SeriesStream, point: FloatArray) -> FloatArray:
    """Quantiles at `LEVELS`, (n, horizon, n_levels), scaled units.

    Beyond the first horizon they are those of all paths' forecasts together, yet no nearer to the point forecast
    than at the same step of the first horizon.
    """
    (n, horizon), steps = point.shape, forecaster._settings.horizon
    table = np.empty((n, horizon, len(LEVELS)))
    table[:, :steps] = forecaster._quantiles(start.data, start.forecasts, tuple(LEVELS))
    seed = common_seed(np.random.default_rng(0))  # the same paths at every call: a forecast is not random
    for which, blocks in _simulate(forecaster, start, stream, horizon, _PATHS, seed):
        shape = forecaster._error_quantiles(start.data.panel.ids, which, _SHARES)[:, None]
        for number, block in enumerate(blocks[1:], 1):
            place = slice(number * steps, min((number + 1) * steps, horizon))
            spread = block.point[..., None] + block.width[..., None] * shape
            pooled = spread.swapaxes(1, 2).reshape(len(which), steps, -1)
            found = np.moveaxis(np.quantile(pooled, LEVELS, axis=2), 0, 2)
            table[which, place] = found[:, : place.stop - place.start]
    deviation = table - point[..., None]
    first = deviation[:, np.arange(steps, horizon) % steps]
    below, above = np.minimum(deviation[:, steps:], first), np.maximum(deviation[:, steps:], first)
    wide = np.where(LEVELS < 0.5, below, np.where(LEVELS > 0.5, above, deviation[:, steps:]))
    table[:, steps:] = point[:, steps:, None] + np.maximum.accumulate(wide, axis=2)
    return forecaster._combination.within_bounds(start.forecasts, table)


def _simulate(
    forecaster: Predicting,
    start: Start,
    stream: SeriesStream,
    horizon: int,
    n_paths: int,
    seed: list[int],
) -> Iterator[tuple[IntArray, list[_Block]]]:
    """Draw paths of some series after the other, block by block; each draws its own, whatever the others are."""
    ids = start.data.panel.ids
    steps, factor = forecaster._settings.horizon, forecaster._combination.dependence
    shape, ahead = (-(-horizon // steps), n_paths, steps), _covariates(forecaster, start, stream)
    read = (shape[0] - 1) * steps
    for which in batches(order_of(ids), max(1, _ROWS_AT_ONCE // (n_paths * steps))):
        drawn, beside = [], []
        for i in which:
            drawn.append(draw_scores(factor, shape[0] * n_paths, steps, own_stream(seed, ids[i])).reshape(shape))
            beside.append(None if ahead is None else ahead.draw(own_stream(seed, ids[i], 1), n_paths, read))
        features = None
        if ahead is not None:
            numbers = None if beside[0] is None else np.stack([x for x in beside if x is not None])
            features = ahead.paths(which, numbers, read, n_paths)
        yield which, _paths_of(forecaster, start, stream, which, np.stack(drawn, axis=1), features)


def _covariates(forecaster: Predicting, start: Start, stream: SeriesStream) -> CovariatesAhead | None:
    """Covariates of the rows that are read before the end is reached; None where there are none."""
    covariates = forecaster._covariates
    if not covariates.n_features:
        return None
    return CovariatesAhead.after(start.ahead, covariates.features_of("past"), stream)


def _paths_of(
    forecaster: Predicting,
    start: Start,
    stream: SeriesStream,
    which: IntArray,
    scores: FloatArray,
    features: FloatArray | None,
) -> list[_Block]:
    """Follow paths of the series ``which`` with the given normal scores (n_blocks, m, n_paths, steps).

    ``features`` (m × n_paths, rows, n_features) are their covariates.
    """
    shape, chosen = scores.shape[1:], forecaster._combination
    series = np.repeat(which, shape[1])
    place = forecaster._places(start.data.panel.ids)[series]
    stream, forecasts = stream.select(torch.from_numpy(series)), start.forecasts.take(series)
    blocks: list[_Block] = []
    numbers = (range(number, number + 1) for number in range(len(scores)))
    what = f"blocks of the paths of {len(which)} of {len(start.forecasts.series)} series"
    for (number,) in with_progress(numbers, len(scores), what, forecaster._show_progress()):
        z = scores[number]
        if blocks:
            read = slice((number - 1) * shape[2], number * shape[2])
            beside = None if features is None else features[:, read]
            stream, forecasts = _read_and_forecast(forecaster, start, stream, series, blocks[-1].values, beside)
        point, width = chosen.point(forecasts), chosen.width(forecasts, place)
        values = point + width * chosen.errors(z.reshape(point.shape), forecaster._recent_quantiles(place))
        values = chosen.within_bounds(forecasts, values)
        blocks.append(_Block(*(x.reshape(shape) for x in (point, width, values))))
    return blocks


def _read_and_forecast(
    forecaster: Predicting,
    start: Start,
    stream: SeriesStream,
    series: IntArray,
    values: FloatArray,
    features: FloatArray | None,
) -> tuple[SeriesStream, Forecasts]:
    """Let streams of the named series read values and covariates as if observed, and forecast from there."""
    where = (start.origins[series], torch.from_numpy(start.data.group[series]))
    rows = np.clip(values.reshape(len(series), -1), -LARGEST, LARGEST)
    stream = forecaster._feed(stream, rows, *where, features)
    return stream, forecaster._forecast_stream(stream, *where)
