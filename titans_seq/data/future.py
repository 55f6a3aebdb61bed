"""Covariates of the rows to forecast: the frame to fill in, and reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array, to_integers
from titans_seq.data._format import FrameFormat
from titans_seq.data._read import find_times, is_frame, open_frame
from titans_seq.data._read_times import read_times
from titans_seq.data._times import to_wall_clock
from titans_seq.data._write import write_long, write_times
from titans_seq.data.covariates import Covariates, FloatArray
from titans_seq.data.frequency import Frequency, OffGridError

__all__ = ["future_frame", "read_future"]

_ROW = "row of the frame"


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
        `form.time_col`, for long frames `form.id_col`, and the columns of role "future", rows in any order. Of rows
        of other times and series nothing else is read.
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
    part = _part(data, form, covariates, ids)
    rows = _Rows.read(part, form, ids, frequency)
    asked = rows.asked(np.asarray(last_ds), frequency, horizon)
    names = covariates.names("future")
    used = np.unique(asked[asked >= 0])
    few = part[used]
    _refuse_unfilled(few, names, rows.named[used])
    lacking = np.flatnonzero((asked < 0).any(1))
    if len(lacking):
        i = int(lacking[0])
        begin, end = (frequency.show(frequency.advance(last_ds[i], steps)) for steps in (1, horizon))
        raise ValueError(
            f"future= must hold the rows of series {ids[i]!r} from {begin} to {end}, {horizon} in all; "
            "see make_future_frame()"
        )
    known = Covariates(tuple(column for column in covariates.columns if column.role == "future"))
    try:
        found = known.read(few, rows.series[used], rows.ids, rows=rows.named[used])
    except ValueError as error:
        raise ValueError(f"future=, {error}") from None
    every = np.zeros((len(ids), horizon, covariates.n_features))
    every[..., covariates.features_of("future")] = found[np.searchsorted(used, asked)]
    return every


@dataclass(frozen=True)
class _Rows:
    """Rows of a frame of covariates.

    Attributes
    ----------
    ids : sequence, or None
        Names of the series; None where every row belongs to all of them.
    series : int array (rows,)
        Place of each row's series in ``ids``.
    times : int array (rows,)
        On the clock of the history.
    named : int array (rows,)
        What messages call the rows.
    time_col : str
    """

    ids: Sequence[str | int] | None
    series: NDArray[np.int64]
    times: Int64Array
    named: NDArray[np.int64]
    time_col: str

    @classmethod
    def read(cls, part: Any, form: FrameFormat, ids: Sequence[str | int], frequency: Frequency) -> _Rows:
        """Read ids and times; ValueError for times that are not of the kind that the history has."""
        named = np.asarray(part.get_column(_ROW).to_numpy(), dtype=np.int64)
        series, names = np.zeros(len(named), dtype=np.int64), None
        if form.kind == "long":
            names, codes = list(ids), part.get_column(form.id_col).to_list()
            at = {name: i for i, name in enumerate(names)}
            series = np.array([at[name] for name in codes], dtype=np.int64)
        unread = cls(names, series, np.zeros_like(series), named, form.time_col)
        try:
            times, found = read_times(part.get_column(form.time_col), unread.place)
        except ValueError as error:
            raise ValueError(f"future=, {error}") from None
        if (found.kind == "integer") != (frequency.kind == "integer"):
            kinds = ("integers", "dates") if found.kind == "integer" else ("dates", "integers")
            raise ValueError(
                f"future=, {unread.place(0)}: {form.time_col} holds {kinds[0]}, but the earlier rows had {kinds[1]}; "
                "convert the column"
            )
        if found.timezone != form.time.timezone:
            zones = [zone or "no time zone" for zone in (found.timezone, form.time.timezone)]
            raise ValueError(
                f"future=: column {form.time_col!r} is in {zones[0]}, fit had {zones[1]}; convert it first"
            )
        if found.timezone is not None and frequency.follows_wall_clock:
            times = to_wall_clock(times, found.timezone)
        return replace(unread, times=times)

    def place(self, row: int) -> str:
        """Return "series 'a', row 5", or "row 5" where rows belong to all series."""
        shown = f"row {self.named[row]}"
        return shown if self.ids is None else f"series {self.ids[self.series[row]]!r}, {shown}"

    def asked(self, last_ds: NDArray[Any], frequency: Frequency, horizon: int) -> NDArray[np.int64]:
        """Return the rows to forecast, (n_series, horizon): which one of these it is, or -1."""
        last, end = (to_integers(at) for at in (last_ds, frequency.advance(last_ds, horizon)))
        asked = np.full((len(last), horizon), -1, dtype=np.int64)
        if self.ids is None:
            inside = (self.times > last[:, None]) & (self.times <= end[:, None])
            series, rows = np.nonzero(inside)
        else:
            rows = np.flatnonzero((self.times > last[self.series]) & (self.times <= end[self.series]))
            series = self.series[rows]
        try:
            steps = frequency.steps_between(last_ds[series], self.times[rows].astype(last_ds.dtype)) - 1
        except OffGridError as error:
            where = self.place(int(rows[error.position]))
            raise ValueError(f"future=, {where}: {error}, its last known row") from None
        self._refuse_repeated(series, rows, steps, frequency)
        asked[series, steps] = rows
        return asked

    def _refuse_repeated(
        self, series: NDArray[np.int64], rows: NDArray[np.int64], steps: Int64Array, frequency: Frequency
    ) -> None:
        order = np.lexsort((steps, series))
        twice = np.flatnonzero((np.diff(series[order]) == 0) & (np.diff(steps[order]) == 0))
        if len(twice):
            first, second = (int(rows[order[k]]) for k in (twice[0], twice[0] + 1))
            key = "time" if self.ids is None else "id and time"
            raise ValueError(
                f"future=, {self.place(second)}: {self.time_col} {frequency.show(self.times[second])} is there twice "
                f"(first in row {self.named[first]}); keep one row per {key}"
            )


def _part(data: Any, form: FrameFormat, covariates: Covariates, ids: Sequence[str | int]) -> Any:
    """Return the columns that are needed and the rows of the series, a narwhals frame with row numbers."""
    import narwhals as nw

    if not is_frame(data):
        raise TypeError(f"future= must be a pandas or polars DataFrame, found {type(data).__name__}")
    frame = open_frame(data)
    if not len(frame):
        raise ValueError("future= is empty; see make_future_frame()")
    times = find_times(data, frame, form.time_col).alias(form.time_col)
    names = covariates.names("future")
    keys = [form.id_col] if form.kind == "long" else []
    for name in (*keys, *names):
        if name not in frame.columns:
            raise ValueError(f"future= has no column {name!r}; see make_future_frame()")
    # The index of a pandas frame may bear the name of the time column.
    part = nw.maybe_reset_index(frame.select(*keys, *names)).with_columns(
        times.to_frame().pipe(nw.maybe_reset_index).get_column(form.time_col)
    )
    part = part.with_row_index(_ROW)
    if keys:
        part = part.filter(nw.col(form.id_col).is_in(list(ids)))
    if not len(part):
        raise ValueError("future= holds no row of the series to forecast; see make_future_frame()")
    return part


def _refuse_unfilled(part: Any, names: Sequence[str], named: NDArray[np.int64]) -> None:
    """Raise a ValueError at the first value that is missing."""
    missing = np.stack([_missing(part.get_column(name)) for name in names])
    if missing.any():
        row, column = (int(x[0]) for x in np.nonzero(missing.T))
        raise ValueError(f"future=, row {named[row]}: {names[column]!r} is missing; fill it in")


def _missing(column: Any) -> NDArray[np.bool_]:
    missing = np.asarray(column.is_null().to_numpy(), dtype=bool)
    if column.dtype.is_float():
        missing = missing | np.asarray(column.is_nan().fill_null(True).to_numpy(), dtype=bool)
    return missing
