"""What `TitansForecaster.surprise` does, step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq.adapters.online import online_forecasts
from titans_seq.adapters.row_forecasts import RowForecasts, along_stream, from_windows, serve
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.stream import SeriesStream
from titans_seq.data import FrameFormat, Panel, row_frame
from titans_seq.estimators._bounds import to_units
from titans_seq.estimators._panels import follows
from titans_seq.estimators._settings import NAME

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster

FloatArray = NDArray[np.float64]
STARTS = ("fresh", "carried")


@dataclass(frozen=True)
class _Request:
    """Rows to be judged, and what is read before them.

    Attributes
    ----------
    asked : Panel
        The rows given.
    data : ScaledPanel
        These rows, and ``skipped`` before them: those read last, and a gap.
    skipped : int array (n_series,)
    stream : SeriesStream or None
        What the rows continue; None: nothing.
    position : int array (n_series,)
        Rows of each stream before the first of ``data``.
    learned : int array (n_series,)
        Row of ``data`` up to which the linear map has learned, if it goes on learning.
    earliest : int array (n_series,)
        Rows of each stream before the first that may be judged.
    known : int array (n_series,)
        Place of each series in `fit`; -1 if it was not there.
    """

    asked: Panel
    data: ScaledPanel
    skipped: IntArray
    stream: SeriesStream | None
    position: IntArray
    learned: IntArray
    earliest: IntArray
    known: IntArray

    def of_asked(self) -> IntArray:
        """Return the place of every row asked for in the panel of ``data``."""
        lengths = self.asked.lengths
        begin = self.data.panel.offsets[:-1] + self.skipped
        return np.repeat(begin - self.asked.offsets[:-1], lengths) + np.arange(len(self.asked.values))


def surprise(forecaster: TitansForecaster, X: Any, start: str | None, threshold: float | None) -> Any:
    """Judge every row of ``X``; see `TitansForecaster.surprise`."""
    _check(X, start, threshold)
    new, fmt = forecaster._read_later(X)
    if start == "carried" or (start is None and follows(forecaster, new, fmt)):
        request = _carried(forecaster, new, fmt)
    else:
        request = _fresh(forecaster, new)
    level = forecaster.anomaly_threshold_ if threshold is None else float(threshold)
    rows = request.of_asked()
    columns = {name: values[rows] for name, values in _judge(forecaster, request, level).items()}
    asked = request.asked
    given = {forecaster.target_col: np.where(asked.observed, asked.values, np.nan)}
    twice = next((name for name in columns if name in given), None)
    if twice is not None:
        raise ValueError(f"two columns would be called {twice!r}; rename the one of the data and pass target_col=")
    return row_frame(fmt, asked, given | columns)


def _check(X: Any, start: str | None, threshold: float | None) -> None:
    if X is None:
        raise ValueError(
            "surprise needs the rows to judge: what fit and update read is not kept. Pass new rows before update "
            "reads them, or the history once more"
        )
    if start is not None and start not in STARTS:
        raise ValueError(f"start must be 'fresh', 'carried' or None, found {start!r}")
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, Real)):
        raise TypeError(f"threshold must be a number or None, found {threshold!r}")
    if threshold is not None and not threshold > 0:
        raise ValueError(f"threshold must be above 0, found {threshold}")


def _carried(forecaster: TitansForecaster, new: Panel, fmt: FrameFormat) -> _Request:
    """Rows that continue what was read: each series goes on from its stream, a gap in between as missing."""
    after = forecaster._rows_after(new, fmt)
    known = forecaster._places(new.ids)
    kept, stream = forecaster._kept_rows(known), forecaster._stream.select(torch.from_numpy(known))
    panel, steps, patch = kept.concat(after.select(known)), stream.steps.numpy(), forecaster.patch_length_
    position = steps - kept.lengths
    data = ScaledPanel(panel, forecaster._center[known], forecaster._scale[known], forecaster._group[known])
    learned, earliest = steps // patch * patch - position, np.full(len(known), patch)
    return _Request(new, data, panel.lengths - new.lengths, stream, position, learned, earliest, known)


def _fresh(forecaster: TitansForecaster, new: Panel) -> _Request:
    """Rows of which nothing was read before; a new series is scaled by the first ones, which are not judged."""
    known = forecaster._places(new.ids)
    earliest = np.where(known < 0, forecaster.context_length_, forecaster.patch_length_)
    if (new.lengths <= earliest).all():
        i = int(np.argmax(new.lengths - earliest))
        raise ValueError(
            f"series {new.ids[i]!r} has {new.lengths[i]} rows, and with none read before them the first "
            f"{earliest[i]} cannot be judged; pass more rows, or rows that continue what was read (before update "
            "reads them)"
        )
    data = forecaster._scaled(new, np.minimum(new.lengths, forecaster.context_length_))
    nothing, online = np.zeros(new.n_series, dtype=np.int64), forecaster._online_for(new)
    learned = nothing if online is None else online[1]
    return _Request(new, data, nothing, None, nothing, learned, earliest, known)


def _judge(forecaster: TitansForecaster, request: _Request, level: float) -> dict[str, NDArray[Any]]:
    """Return the columns of the result, by row of ``request.data``."""
    found, panel = _read(forecaster, request), request.data.panel
    expected, unit = _forecasts(forecaster, request, found)
    memory = _memory(request, found, forecaster.patch_length_)
    position = _positions(request)
    early = position < np.repeat(request.earliest, panel.lengths)
    expected[early] = np.nan
    memory[early & np.repeat(request.known < 0, panel.lengths)] = np.nan  # they set the scale it read with
    surprise = np.where(panel.observed, np.abs(panel.values - expected) / unit, np.nan)
    return {
        NAME: expected + _effect(forecaster, request),
        "surprise": surprise,
        "memory_surprise": memory,
        "threshold": np.full(len(surprise), level),
        "anomaly": (surprise > level) & (position >= forecaster.context_length_),
    }


def _effect(forecaster: TitansForecaster, request: _Request) -> FloatArray:
    """Effect of covariates on every row, in units of the data."""
    panel = request.data.panel
    which = np.repeat(np.arange(panel.n_series), panel.lengths)
    return forecaster._effect.of(panel.covariates, request.known[which]) * request.data.scale[which]


def _forecasts(forecaster: TitansForecaster, request: _Request, found: RowForecasts) -> tuple[FloatArray, FloatArray]:
    """Return the forecast of every row, and its usual error; in the units of the data, NaN where there is none."""
    data, chosen, forecasts = request.data, forecaster._combination, found.forecasts
    expected, unit = (np.full(len(data.panel.values), np.nan) for _ in range(2))
    row, entry, step = serve(data, forecasts.series, forecasts.cutoff, found.reach)
    lowest = forecaster._lowest_before(data.panel, forecasts.series, forecasts.cutoff)
    expected[row] = to_units(data, forecasts, chosen.point(forecasts), lowest)[entry, step]
    place = request.known[forecasts.series]
    usual = chosen.usual_of(place) * data.scale[forecasts.series]
    unit[row] = (chosen.unit(forecasts, place) * usual[:, None])[entry, step]
    return expected, unit


def _memory(request: _Request, found: RowForecasts, patch_length: int) -> FloatArray:
    """Return the memory's surprise at the patch of every row; NaN where there is none."""
    series, end, surprises = found.patches
    result = np.full(len(request.data.panel.values), np.nan)
    row, entry, _ = serve(request.data, series, end - patch_length, np.full_like(end, patch_length))
    result[row] = surprises[entry]
    return result


def _read(forecaster: TitansForecaster, request: _Request) -> RowForecasts:
    """Read the rows once: on from their streams, or by the windows before each cut-off."""
    reader, data, position = forecaster._reader, request.data, request.position
    network = forecaster._combination.needs_network
    asked = network and forecaster._model.backbone.has_memory
    if forecaster._reads_on:
        found = along_stream(reader, data, position, request.stream, surprise=asked)
    else:
        found = from_windows(reader, data, position, request.skipped, network=network, surprise=asked)
    if forecaster._online is None:
        return found
    forecasts = found.forecasts
    linear = online_forecasts(
        forecaster._online.online, data, forecasts.series, forecasts.cutoff, before=request.learned,
        position=position, patch_length=forecaster.patch_length_,
    )  # fmt: skip
    linear = linear + forecaster._lags.forecast(data, forecasts.series, forecasts.cutoff)
    steps = forecasts.linear.shape[1]
    return replace(found, forecasts=replace(forecasts, linear=linear[:, :steps].astype(np.float32)))


def _positions(request: _Request) -> IntArray:
    """Rows of its stream before every row of ``request.data``."""
    panel = request.data.panel
    return np.repeat(request.position - panel.offsets[:-1], panel.lengths) + np.arange(len(panel.values))
