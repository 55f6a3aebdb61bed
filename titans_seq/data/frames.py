"""Frames in, frames out: pandas, polars, numpy and GluonTS to panels, forecasts back in the same form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._columns import read_values
from titans_seq.data._entries import as_entries, read_dataset
from titans_seq.data._format import FrameFormat
from titans_seq.data._periods import Origins
from titans_seq.data._read import Reading, is_empty_frame, open_frame, read_array, read_frame
from titans_seq.data._write import write_array, write_long, write_row_array, write_rows, write_wide
from titans_seq.data.covariates import Covariates
from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel

__all__ = [
    "FrameFormat",
    "cutoff_frame",
    "forecast_frame",
    "has_no_rows",
    "path_frame",
    "read_column",
    "read_panel",
    "row_frame",
]

POINT_COLUMN = "TitansForecaster"


def read_panel(
    data: Any,
    *,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str = "y",
    on_gap: str = "raise",
    frequency: Frequency | None = None,
    origins: Origins | None = None,
    covariates: Covariates | None = None,
) -> tuple[Panel, FrameFormat]:
    """Read time series into a panel. The data are not changed.

    Parameters
    ----------
    data : pandas or polars DataFrame, pandas Series, numpy array, or GluonTS dataset
        *Long*: the columns `id_col`, `time_col` and `target_col`, one row per series and time,
        in any order; other columns are not read. *Wide*: no `id_col`; `time_col` (or a pandas
        DatetimeIndex or PeriodIndex) and one numeric column per series, whose name becomes the
        id. A frame of just `time_col` and `target_col` is thus one series. *Numpy*: (n_series,
        time) or (time,); ids are 0, 1, ... and times 0, 1, .... *GluonTS*: an iterable of
        entries, read once; see `read_entries`.
    id_col, time_col, target_col : str
        Column names; default "unique_id", "ds", "y".
    on_gap : {"raise", "mask"}, default "raise"
        What to do where rows are missing: refuse, or take them as missing values; then also in
        series of which only some rows are there (quarters among months).
    frequency : Frequency, optional
        Step between rows. Default: inferred, for which every series needs two rows and one
        value. When given (rows that continue earlier ones), one row is enough and all its
        values may be missing.
    origins : dict of id to timestamp, optional
        A row of each earlier series, on whose grid GluonTS periods are read; see `read_entries`.
    covariates : Covariates, optional
        Columns of a frame, or fields of GluonTS entries (see `read_entries`), that are read beside the target. In a
        wide frame they belong to every series.

    Returns
    -------
    Panel
        Series in order of first appearance. Missing values (NaN, None, null) are not observed;
        booleans become 0 and 1; everything is float64.
    FrameFormat
        What `forecast_frame` needs to answer in the same form; in that of a long pandas frame
        to GluonTS entries, whose times are the first instants of their periods.

    Raises
    ------
    ValueError, TypeError
        One line that names the series, the row (counted from 0), the time and what to do: empty
        data, missing columns, missing or repeated times, gaps, mixed frequencies, times off the
        grid, values that are not finite numbers, a series of one row or without a value.

    Notes
    -----
    With a time zone, steps of whole days and longer follow local dates and shorter steps follow
    elapsed time.
    """
    if on_gap not in ("raise", "mask"):
        raise ValueError(f"on_gap must be 'raise' or 'mask', got {on_gap!r}")
    how = Reading(id_col, time_col, target_col, on_gap, frequency, origins, covariates or Covariates())
    if how.covariates.columns and isinstance(data, np.ndarray):
        raise TypeError("covariates are columns of a frame or fields of GluonTS entries; the data are ndarray")
    if isinstance(data, np.ndarray):
        return read_array(data, how)
    data = _as_frame(data, target_col)
    entries = as_entries(data)
    return read_frame(data, how) if entries is None else read_dataset(entries, how)


def has_no_rows(
    data: Any, ids: Sequence[str | int], *, id_col: str, time_col: str, target_col: str, covariates: Covariates
) -> bool:
    """Return whether data are a frame without rows, as a tick without news has.

    Parameters
    ----------
    data : anything that `read_panel` takes
    ids : sequence
        Earlier series; no column of a wide frame may be another one.
    id_col, time_col, target_col, covariates
        As for `read_panel`.

    Raises
    ------
    ValueError
        If it has no rows, and its columns are not those of later rows of these series.
    """
    how = Reading(id_col, time_col, target_col, "raise", None, covariates=covariates)
    return is_empty_frame(_as_frame(data, target_col), how, ids)


def _as_frame(data: Any, target_col: str) -> Any:
    """Return a pandas Series as a frame of one column; other data as they are."""
    if type(data).__module__.startswith("pandas.") and type(data).__name__ == "Series":
        return data.to_frame(target_col if data.name is None else data.name)
    return data


def forecast_frame(
    form: FrameFormat,
    panel_ids: Sequence[str | int],
    last_ds: NDArray[Any],
    frequency: Frequency,
    columns: Mapping[str, NDArray[Any]],
) -> Any:
    """Return forecasts as the kind of data they were made from.

    Parameters
    ----------
    form : FrameFormat
        From `read_panel`.
    panel_ids : sequence (n_series,)
        Name of each series.
    last_ds : array (n_series,)
        Time of each series' last row; forecasts begin one step later.
    frequency : Frequency
        Step between rows.
    columns : dict of name to array (n_series, horizon)
        The point forecast is called "TitansForecaster", bounds and quantiles
        "TitansForecaster-lo-80" and the like.

    Returns
    -------
    DataFrame or array
        Long: `id_col`, `time_col`, then the columns. Wide: `time_col`, then each series' point
        forecast under the series' name and the others with their suffix ("a-lo-80"). Numpy:
        (n_series, horizon), or (n_series, horizon, n_columns) for several columns. Ids and times
        have the types they came in; a pandas index is 0, 1, ....

    Raises
    ------
    ValueError
        Arrays of different shapes, a wide frame whose series end at different times or whose
        columns would share a name, or times out of range.
    """
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2 or shape[0] != len(panel_ids):
        found = [values.shape for values in arrays.values()]
        raise ValueError(f"columns must be arrays ({len(panel_ids)}, horizon), got shapes {found}")
    if form.kind == "numpy":
        return write_array(arrays)
    ds = frequency.advance(np.asarray(last_ds)[:, None], np.arange(1, shape[1] + 1))
    if form.kind == "long":
        return write_long(form, panel_ids, ds, frequency, arrays)
    return write_wide(form, panel_ids, ds, frequency, arrays, POINT_COLUMN)


def path_frame(
    form: FrameFormat,
    panel_ids: Sequence[str | int],
    last_ds: NDArray[Any],
    frequency: Frequency,
    paths: NDArray[np.float64],
) -> Any:
    """Return sample paths (n_series, n_paths, horizon) in the library of the data they were made from.

    Parameters
    ----------
    form, panel_ids, last_ds, frequency
        As for `forecast_frame`.
    paths : float array (n_series, n_paths, horizon)

    Returns
    -------
    DataFrame or array
        For frames, long or wide, a long frame: `id_col`, `time_col`, "sample" (from 0) and "TitansForecaster", one
        path after another. Arrays as they are.
    """
    if form.kind == "numpy":
        return paths
    n, n_paths, horizon = paths.shape
    ds = frequency.advance(np.asarray(last_ds)[:, None], np.tile(np.arange(1, horizon + 1), n_paths))
    sample = np.tile(np.repeat(np.arange(n_paths), horizon), n)
    columns = {"sample": sample, POINT_COLUMN: paths.reshape(-1)}
    return write_rows(form, panel_ids, np.full(n, n_paths * horizon), ds.reshape(-1), frequency, columns)


def cutoff_frame(
    form: FrameFormat,
    panel: Panel,
    series: NDArray[np.int64],
    cutoff: NDArray[np.int64],
    columns: Mapping[str, NDArray[Any]],
) -> Any:
    """Return forecasts from many cut-offs as one long frame in the library of the data they were made from.

    Parameters
    ----------
    form : FrameFormat
        From `read_panel`.
    panel : Panel
    series, cutoff : int array (n,)
        Series, and its row at which each forecast begins.
    columns : dict of name to array (n, horizon)

    Returns
    -------
    DataFrame
        `id_col`, `time_col`, "cutoff" (time of the last row before the forecast), then the columns.

    Raises
    ------
    ValueError
        If the data were an array, or columns would share a name.
    """
    if form.kind == "numpy":
        raise ValueError("the data were an array, whose rows have no times; use the arrays of the result")
    horizon = next(iter(columns.values())).shape[1]
    origins = panel.origins[series]
    ds = panel.frequency.advance(origins[:, None], cutoff[:, None] + np.arange(horizon))
    last = np.repeat(panel.frequency.advance(origins, cutoff - 1), horizon)
    named = {"cutoff": form.time.native(last, panel.frequency, form.backend)}
    named |= {name: values.reshape(-1) for name, values in columns.items()}
    ids, lengths = [panel.ids[i] for i in series], np.full(len(series), horizon)
    return write_rows(form, ids, lengths, ds.reshape(-1), panel.frequency, named)


def row_frame(form: FrameFormat, panel: Panel, columns: Mapping[str, NDArray[Any]]) -> Any:
    """Return what is known of every row of a panel in the library that the panel was read from.

    Parameters
    ----------
    form : FrameFormat
        From `read_panel`.
    panel : Panel
    columns : dict of name to array (total,)
        By row of the panel, one series after another.

    Returns
    -------
    DataFrame or array
        For frames, long or wide, a long frame: `id_col`, `time_col`, then the columns; NaN is missing (null in
        polars). Wide frames name their columns in `id_col`. For arrays a structured array (n_series, time) with a
        field for each column.

    Raises
    ------
    ValueError
        Arrays that don't have one entry per row, or columns that would share a name.
    """
    wrong = next((name for name, values in columns.items() if values.shape != panel.values.shape), None)
    if wrong is not None:
        raise ValueError(f"{wrong} has shape {columns[wrong].shape}, the panel {len(panel.values)} rows")
    if form.kind == "numpy":
        return write_row_array(panel.lengths, columns)
    steps = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], panel.lengths)
    ds = panel.frequency.advance(np.repeat(panel.origins, panel.lengths), steps)
    return write_rows(form, panel.ids, panel.lengths, ds, panel.frequency, columns)


def read_column(
    data: Any,
    name: str,
    check: Callable[[NDArray[np.float64], Callable[[int], str]], None],
    *,
    argument: str,
    id_col: str,
    time_col: str,
    on_gap: str,
    frequency: Frequency,
) -> Panel:
    """Read one more numeric column of a long frame onto the grid of its series.

    Parameters
    ----------
    data : pandas or polars DataFrame
        Long, as for `read_panel`.
    name : str
        The column.
    check : callable
        ``check(values, place)`` refuses values (rows,), in the order of the frame and NaN where missing;
        ``place(row)`` names a row and its series.
    argument : str
        What messages call the argument that named the column.
    id_col, time_col, on_gap, frequency
        As for `read_panel`, which has read the same frame.

    Returns
    -------
    Panel
        The column as values, on the grid on which `read_panel` puts the target.

    Raises
    ------
    ValueError
        If there are no such columns, and whatever ``check`` raises.
    """
    columns = getattr(data, "columns", ())
    if isinstance(data, np.ndarray) or id_col not in columns:
        raise ValueError(f"{argument}={name!r} names a column, which only a long frame has; pass one for each series")
    frame = open_frame(data)
    if name not in frame.columns:
        listed = ", ".join(str(column) for column in frame.columns[:8])
        raise ValueError(f"{argument} names column {name!r}, which the frame has not (it has {listed})")
    ids = frame.get_column(id_col).to_list()

    def place(row: int) -> str:
        return f"series {ids[row]!r}, row {row}"

    check(read_values(frame.get_column(name), place), place)
    how = Reading(id_col, time_col, name, on_gap, frequency)
    return read_frame(data, how)[0]
