"""Covariates of the rows to forecast: the frame to fill in, and reading it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._format import FrameFormat
from titans_seq.data._read import Reading, find_times, is_frame, open_frame, read_frame
from titans_seq.data._write import write_long, write_times
from titans_seq.data.covariates import Covariates, FloatArray
from titans_seq.data.frequency import Frequency, OffGridError
from titans_seq.data.panel import Panel

__all__ = ["future_frame", "read_future"]

_EVERY, _ROW = "every series", "row of the frame"


def future_frame(
    form: FrameFormat,
    ids: Sequence[str | int],
    last_ds: NDArray[Any],
    frequency: Frequency,
    horizon: int,
    names: Sequence[str],
) -> Any:
    """Return a frame of the rows to forecast, with empty columns to fill in.

    Parameters
    ----------
    form : FrameFormat
        Of the history: long frames get a row per series and time, wide ones a row per time.
    ids : sequence (n_series,)
    last_ds : array (n_series,)
        Time of each series' last row.
    frequency : Frequency
    horizon : int
    names : sequence of str
        The columns.

    Raises
    ------
    ValueError
        If the series of a wide frame end at different times.
    """
    ds = frequency.advance(np.asarray(last_ds)[:, None], np.arange(1, horizon + 1))
    empty = {name: np.full(ds.shape, np.nan) for name in names}
    if form.kind == "long":
        return write_long(form, ids, ds, frequency, empty)
    if (ds != ds[:1]).any():
        raise ValueError("the series end at different times; use a long frame")
    return write_times(form, ds[0], frequency, {name: values[0] for name, values in empty.items()})


def read_future(
    data: Any,
    form: FrameFormat,
    covariates: Covariates,
    ids: Sequence[str | int],
    last_ds: NDArray[Any],
    frequency: Frequency,
    horizon: int,
) -> FloatArray:
    """Read the covariates of the rows to forecast.

    Parameters
    ----------
    data : pandas or polars DataFrame
        `form.time_col`, for long frames `form.id_col`, and the columns of role "future", rows in any order; rows of
        other times and series do not matter.
    form, ids, last_ds, frequency, horizon
        As of `future_frame`.
    covariates : Covariates

    Returns
    -------
    float64 array (n_series, horizon, n_features)
        Features of other roles are 0.

    Raises
    ------
    TypeError, ValueError
        One line that names the series, row and column: no frame, a column or a row that is missing, a missing value.
    """
    panel, unfilled = _read(data, form, covariates, ids, frequency)
    first, which = _first_rows(panel, form, ids, last_ds, frequency)
    _, there = panel.gather(np.maximum(which, 0), -first, horizon)
    lacking = np.flatnonzero(~there.all(1) | (which < 0))
    if len(lacking):
        i = int(lacking[0])
        begin, end = (frequency.show(frequency.advance(last_ds[i], steps)) for steps in (1, horizon))
        raise ValueError(
            unfilled
            or f"future= must hold the rows of series {ids[i]!r} from {begin} to {end}, {horizon} in all; "
            "see make_future_frame()"
        )
    found = panel.gather_covariates(which, -first, horizon)
    every = np.zeros((len(ids), horizon, covariates.n_features))
    every[..., covariates.features_of("future")] = found
    return every


def _read(
    data: Any, form: FrameFormat, covariates: Covariates, ids: Sequence[str | int], frequency: Frequency
) -> tuple[Panel, str]:
    """Read the columns that are needed; what is there has the value 1. Also which value is missing first, if any."""
    import narwhals as nw

    if not is_frame(data):
        raise TypeError(f"future= must be a pandas or polars DataFrame, found {type(data).__name__}")
    frame = open_frame(data)
    if not len(frame):
        raise ValueError("future= is empty; see make_future_frame()")
    times = find_times(data, frame, form.time_col).alias(form.time_col)
    names = covariates.names("future")
    known = Covariates(tuple(column for column in covariates.columns if column.role == "future"))
    keys = [form.id_col] if form.kind == "long" else []
    for name in (*keys, *names):
        if name not in frame.columns:
            raise ValueError(f"future= has no column {name!r}; see make_future_frame()")
    target = form.target_col if form.kind == "long" else _EVERY
    # The index of a pandas frame may bear the name of the time column.
    part = nw.maybe_reset_index(frame.select(*keys, *names)).with_columns(
        times.to_frame().pipe(nw.maybe_reset_index).get_column(form.time_col), nw.lit(1.0).alias(target)
    )
    part = part.with_row_index(_ROW)
    if keys:
        part = part.filter(nw.col(form.id_col).is_in(list(ids)))
    missing = np.stack([_missing(part.get_column(name)) for name in names])
    unfilled = ""
    if missing.any():
        row, column = (int(x[0]) for x in np.nonzero(missing.T))
        row = part.get_column(_ROW)[row]
        unfilled = f"future=, row {row}: {names[column]!r} is missing; fill it in"
    if missing.any(0).all():
        raise ValueError(unfilled or "future= holds no row of the series to forecast; see make_future_frame()")
    part = part.filter((~missing.any(0)).tolist()).sort(*keys, form.time_col)
    rows = np.asarray(part.get_column(_ROW).to_numpy(), dtype=np.int64)
    how = Reading(form.id_col, form.time_col, target, "mask", frequency, None, known, rows)
    try:
        panel, found = read_frame(part.drop(_ROW).to_native(), how)
    except ValueError as error:
        raise ValueError(f"future=, {error}") from None
    if found.time.timezone != form.time.timezone:
        zones = [zone or "no time zone" for zone in (found.time.timezone, form.time.timezone)]
        raise ValueError(f"future=: column {form.time_col!r} is in {zones[0]}, fit had {zones[1]}; convert it first")
    return panel, unfilled


def _missing(column: Any) -> NDArray[np.bool_]:
    missing = np.asarray(column.is_null().to_numpy(), dtype=bool)
    if column.dtype.is_float():
        missing = missing | np.asarray(column.is_nan().fill_null(True).to_numpy(), dtype=bool)
    return missing


def _first_rows(
    panel: Panel, form: FrameFormat, ids: Sequence[str | int], last_ds: NDArray[Any], frequency: Frequency
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the panel's series counted from the first to forecast (negative: before it), and their places.

    The place of a series that is not there is -1.
    """
    at = {name: i for i, name in enumerate(panel.ids)}
    which = np.array([at.get(name, -1) if form.kind == "long" else 0 for name in ids], dtype=np.int64)
    try:
        return frequency.steps_between(last_ds, panel.origins[which]) - 1, which
    except OffGridError as error:
        raise ValueError(f"future=, series {ids[error.position]!r}: {error}, its last known row") from None
