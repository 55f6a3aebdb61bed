"""Frames and arrays to panels; the public face is `titans_seq.data.frames`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data._columns import NotANumberError, objects_to_float, read_ids, read_values, refuse_infinite
from titans_seq.data._format import FrameFormat
from titans_seq.data._grid import Grid, RepeatedTimeError, Stamps, rows_by_time, to_grid
from titans_seq.data._periods import Origins
from titans_seq.data._read_times import read_times
from titans_seq.data.covariates import Covariates
from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel


@dataclass(frozen=True)
class Reading:
    """The arguments of `read_panel` other than the data; ``rows``: what messages call the rows of a frame."""

    id_col: str
    time_col: str
    target_col: str
    on_gap: str
    frequency: Frequency | None
    origins: Origins | None = None
    covariates: Covariates = Covariates()
    rows: Int64Array | None = None

    def row(self, row: int) -> int:
        """Return what messages call a row."""
        return row if self.rows is None else int(self.rows[row])


def read_frame(data: Any, how: Reading) -> tuple[Panel, FrameFormat]:
    """Read a pandas or polars frame, long or wide."""
    frame = open_frame(data)
    if len(frame) == 0:
        raise ValueError("the frame is empty; it needs at least two rows per series")
    times = find_times(data, frame, how.time_col)
    if how.id_col in frame.columns:
        _refuse_missing_columns(data, frame, how)
        return _read_long(frame, how)
    return _read_wide(frame, times, how)


def is_empty_frame(data: Any, how: Reading, ids: Sequence[str | int]) -> bool:
    """Whether the data are a frame without rows; ValueError if its columns are not those of rows of these series."""
    if not is_frame(data) or len(frame := open_frame(data)):
        return False
    find_times(data, frame, how.time_col)
    how.covariates.refuse_missing(frame)
    if how.id_col in frame.columns:
        _refuse_missing_columns(data, frame, how)
        return True
    series = _series_columns(frame, how)
    unknown = next((name for name in series if name not in set(ids)), None)
    if unknown is not None:
        raise ValueError(f"the frame is empty, and its column {unknown!r} is no series of fit; pass those it knows")
    return True


def read_array(data: NDArray[Any], how: Reading) -> tuple[Panel, FrameFormat]:
    """Read an array (n_series, time) or (time,)."""
    if data.ndim not in (1, 2):
        raise ValueError(f"the array has {data.ndim} dimensions; it must be (time,) or (n_series, time)")
    if data.size == 0:
        raise ValueError(f"the array is empty (shape {data.shape}); it must be (n_series, time)")
    values = _array_values(np.atleast_2d(np.ma.getdata(data)))
    values[np.atleast_2d(np.ma.getmaskarray(data))] = np.nan
    n_series, length = values.shape
    if how.frequency is not None and how.frequency.kind != "integer":
        raise ValueError("an array has no dates, but the earlier rows had; pass a frame with a time column")
    if how.frequency is None and length < 2:
        raise ValueError(
            f"series 0 has one row (shape {data.shape}); an array is (n_series, time) and needs two columns"
        )
    panel = Panel(
        *_split_missing(values.ravel()),
        offsets=np.arange(n_series + 1, dtype=np.int64) * length,
        ids=tuple(range(n_series)),
        origins=np.zeros(n_series, dtype=np.int64),
        frequency=how.frequency or Frequency("integer", 1),
    )
    refuse_all_missing(panel, how, "")
    return panel, FrameFormat("numpy", "numpy", how.id_col, how.time_col, how.target_col)


def open_frame(data: Any) -> Any:
    """Return an eager narwhals frame of pandas or polars data."""
    import narwhals as nw

    name = f"{type(data).__module__.split('.')[0]} {type(data).__name__}"
    try:
        frame = nw.from_native(data, pass_through=False)
        columns = frame.columns if isinstance(frame, nw.DataFrame) else []
    except TypeError:
        raise TypeError(
            "data must be a pandas or polars DataFrame, a numpy array (n_series, time) or GluonTS entries, "
            f"got {name}{_part_to_pass(data)}"
        ) from None
    except nw.exceptions.DuplicateError as error:
        raise ValueError(f"the frame has two columns of one name: {' '.join(str(error).split())}") from None
    if not isinstance(frame, nw.DataFrame):
        raise TypeError(f"{name} holds no rows yet; call .collect() first")
    if not (frame.implementation.is_pandas() or frame.implementation.is_polars()):
        raise TypeError(f"data must be a pandas or polars DataFrame, got {name}; convert it first")
    for column in columns:
        if isinstance(column, bool) or not isinstance(column, str | int):
            raise TypeError(f"column {column!r}: column names must be text or integers; rename it")
    return frame


def is_frame(data: Any) -> bool:
    """Whether the data have columns; asks the class, for which a lazy frame need not be computed."""
    return hasattr(type(data), "columns")


def _part_to_pass(data: Any) -> str:
    """Name the part of GluonTS' containers (`TestData`, `TrainDatasets`) that holds the entries."""
    part = next((name for name in ("input", "train") if hasattr(data, name)), None)
    return "" if part is None else f"; pass its .{part}"


def find_times(data: Any, frame: Any, time_col: str) -> Any:
    """Return the time column, or without one the dates of a pandas index as a column; ValueError if there is none."""
    import narwhals as nw

    if time_col in frame.columns:
        return frame.get_column(time_col)
    import pandas as pd

    if not isinstance(getattr(data, "index", None), pd.DatetimeIndex | pd.PeriodIndex):
        raise ValueError(_missing_column(time_col, "time_col", frame.columns, data))
    name = time_col if data.index.name is None else data.index.name
    return nw.from_native(pd.Series(data.index, name=name), series_only=True)


def _refuse_missing_columns(data: Any, frame: Any, how: Reading) -> None:
    """Raise a ValueError for a long frame without the target or the time."""
    for name, argument in ((how.target_col, "target_col"), (how.time_col, "time_col")):
        if name not in frame.columns:
            raise ValueError(_missing_column(name, argument, frame.columns, data))


def _series_columns(frame: Any, how: Reading) -> tuple[str | int, ...]:
    """Columns of a wide frame that are series; ValueError if there are none."""
    beside = how.covariates.names()
    ids = tuple(column for column in frame.columns if column != how.time_col and column not in beside)
    if not ids:
        raise ValueError(f"the frame has no column beside {how.time_col!r}; it needs one per series")
    return ids


def _missing_column(name: str, argument: str, columns: Sequence[Any], data: Any) -> str:
    if name in getattr(getattr(data, "index", None), "names", ()):
        return f"{name!r} is the index, not a column; call reset_index() first"
    near = get_close_matches(name, [str(column) for column in columns], n=1, cutoff=0.5)
    hint = f"{argument}={near[0]!r}" if near else f"{argument}="
    listed = ", ".join(str(column) for column in columns[:8]) + (", ..." if len(columns) > 8 else "")
    return f"the frame has no column {name!r} (it has {listed}); rename one or pass {hint}"


def _read_long(frame: Any, how: Reading) -> tuple[Panel, FrameFormat]:
    codes, ids, id_format = read_ids(frame.get_column(how.id_col))

    def place(row: int) -> str:
        return f"series {ids[codes[row]]!r}, row {how.row(row)}"

    ds, time_format = read_times(frame.get_column(how.time_col), place)
    values = read_values(frame.get_column(how.target_col), place)
    rows = rows_by_time(codes, ds)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.bincount(codes, minlength=len(ids)))])
    named = rows if how.rows is None else how.rows[rows]
    stamps = Stamps(ds[rows], offsets, ids, named, time_format, how.time_col)
    grid = to_grid(stamps, how.frequency, how.on_gap)
    panel = _fill(grid, values[rows], ids, how.covariates.read(frame, codes, ids, rows=how.rows)[rows])
    refuse_all_missing(panel, how, f" of {how.target_col}")
    names = (how.id_col, how.time_col, how.target_col)
    backend = "polars" if frame.implementation.is_polars() else "pandas"
    return panel, FrameFormat("long", backend, *names, time_format, id_format)


def _read_wide(frame: Any, times: Any, how: Reading) -> tuple[Panel, FrameFormat]:
    ids = _series_columns(frame, how)
    values = np.stack([_wide_values(frame.get_column(name), name, how) for name in ids])
    ds, time_format = read_times(times, lambda row: f"row {how.row(row)}")
    one, codes = np.array([0, len(ds)], dtype=np.int64), np.zeros(len(ds), dtype=np.int64)
    rows = rows_by_time(codes, ds)
    named = rows if how.rows is None else how.rows[rows]
    stamps = Stamps(ds[rows], one, None, named, time_format, str(times.name))
    try:
        shared = to_grid(stamps, how.frequency, how.on_gap)
    except RepeatedTimeError as error:
        hint = f"for a long frame pass id_col= (there is no column {how.id_col!r})"
        raise ValueError(f"{error}; {hint}") from None
    features = np.tile(how.covariates.read(frame, codes, None, rows=how.rows)[rows], (len(ids), 1))
    panel = _fill(_repeat(shared, len(ids)), values[:, rows].ravel(), ids, features)
    refuse_all_missing(panel, how, "")
    backend = "polars" if frame.implementation.is_polars() else "pandas"
    return panel, FrameFormat("wide", backend, how.id_col, str(times.name), how.target_col, time_format)


def _wide_values(column: Any, name: str | int, how: Reading) -> NDArray[np.float64]:
    try:
        return read_values(column, lambda row: f"row {row}")
    except NotANumberError as error:
        hint = f"if {name!r} names the series of a long frame, pass id_col={name!r}"
        raise ValueError(f"{error}; {hint}") from None


def _repeat(shared: Grid, n_series: int) -> Grid:
    """Return the grid of n series that share one time column."""
    length = shared.offsets[-1]
    starts = np.arange(n_series + 1, dtype=np.int64) * length
    position = (starts[:-1, None] + shared.position).ravel()
    return Grid(shared.frequency, np.repeat(shared.origins, n_series), starts, position)


def _fill(grid: Grid, values: NDArray[np.float64], ids: tuple[str | int, ...], features: NDArray[np.float64]) -> Panel:
    """Put the values and covariates on the grid; what no row fills is not observed, its covariates are 0."""
    on_grid, covariates = np.full(grid.offsets[-1], np.nan), np.zeros((grid.offsets[-1], features.shape[1]))
    on_grid[grid.position], covariates[grid.position] = values, features
    return Panel(*_split_missing(on_grid), grid.offsets, ids, grid.origins, grid.frequency, covariates)


def _split_missing(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (values with 0.0 for NaN, which are observed)."""
    observed = ~np.isnan(values)
    return np.where(observed, values, 0.0), observed


def refuse_all_missing(panel: Panel, how: Reading, what: str) -> None:
    """Refuse series without a value, except as later rows (`frequency` given): a sensor may be silent."""
    if how.frequency is not None:
        return
    counts = np.add.reduceat(panel.observed.astype(np.int64), panel.offsets[:-1])
    if not counts.all():
        i = int(np.argmin(counts))
        count = panel.lengths[i]
        raise ValueError(f"series {panel.ids[i]!r}: all {count} values{what} are missing; drop the series")


def _array_values(data: NDArray[Any]) -> NDArray[np.float64]:
    """Return a new float64 array; ValueError naming series and row of a value that is no finite number."""
    length = data.shape[1]

    def place(index: int) -> str:
        return f"series {index // length}, row {index % length}"

    if data.dtype.kind in "biuf":
        values = data.astype(np.float64).ravel()
    else:
        items = data.ravel().tolist()
        missing = np.array([item is None or item != item for item in items], dtype=bool)
        values = objects_to_float(items, missing, "value", place)
    refuse_infinite(values, "value", place)
    return values.reshape(data.shape)
