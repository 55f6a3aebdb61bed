"""Rows of a file as a saved forecaster takes them: read like the data it was fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data.time_texts import ISO, parse_times
from titans_seq.recipes._data import Columns, column_names, with_numbers
from titans_seq.recipes._load_series import load_file
from titans_seq.recipes.schema import Data

if TYPE_CHECKING:
    import pandas as pd

    from titans_seq.estimators import TitansForecaster


@dataclass(frozen=True)
class Reading:
    """How files of a forecaster are read.

    Attributes
    ----------
    data : Data
        The data section of its recipe; without a recipe one with the forecaster's column names, to which what is seen
        in a file is added.
    columns : Columns
    stated : bool
        Whether there is a recipe.
    """

    data: Data
    columns: Columns
    stated: bool

    @property
    def time_format(self) -> str | None:
        """How times are written; None for ISO and integers."""
        return self.data.time_format


def reading_of(recipe: Path | None, forecaster: TitansForecaster) -> Reading:
    """Return how a forecaster's files are read: by the recipe of its run, else by its own column names."""
    own = Columns(forecaster.id_col, forecaster.time_col, forecaster.target_col)
    if recipe is None:
        data = Data(path="-", split=[1, 0, 0], id=own.id_col, time=own.time_col, target=own.target_col)
        return Reading(data, own, stated=False)
    section = _data_section(recipe)
    return Reading(section, column_names(section, None), stated=True)


def _data_section(recipe: Path) -> Data:
    """Return the data section of a run's recipe; its file need not be there any more."""
    from titans_seq.recipes._yaml import read_document, read_text

    found = read_document(read_text(recipe), str(recipe)).values.get("data")
    try:
        return Data.model_validate(found)
    except ValueError as error:
        raise ValueError(f"{recipe}: data: {' '.join(str(error).split())[:200]}") from None


def later_rows(forecaster: TitansForecaster, path: Path, reading: Reading) -> tuple[pd.DataFrame, int]:
    """Return the rows of a file that the forecaster has not read, and how many it has.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file; a column or series that is missing, or rows that can't be read.
    """
    wide, names = forecaster._format.kind == "wide", reading.columns
    needed = [str(name) for name in forecaster.ids_] if wide else [names.id_col, names.target_col]
    frame = _open(forecaster, path, reading, [*needed, *forecaster._covariates.names()])
    times = _times(frame[forecaster.time_col])
    if wide:
        last = np.full(len(frame), forecaster._last_ds.min())
    else:
        frame = _with_ids(frame, forecaster)
        ends = dict(zip(forecaster.ids_, forecaster._last_ds, strict=True))
        first = np.datetime64("1677-09-22", "ns") if times.dtype.kind == "M" else np.iinfo(np.int64).min
        last = np.array([ends.get(name, first) for name in frame[forecaster.id_col]], dtype=times.dtype)
    new = ~(times <= last)  # what has no time stays, so that the reader can name it
    return frame[new].reset_index(drop=True), int((~new).sum())


def all_rows(forecaster: TitansForecaster, path: Path, reading: Reading) -> pd.DataFrame:
    """Return every row of a file, of known or new series; raises like `later_rows`."""
    return _renamed(forecaster, _load(path, reading), reading.columns)


def future_rows(forecaster: TitansForecaster, path: Path, reading: Reading) -> pd.DataFrame:
    """Return the covariates of the rows to forecast from a file; raises like `later_rows`."""
    wide, names = forecaster._format.kind == "wide", forecaster._covariates.names("future")
    frame = _open(forecaster, path, reading, [*([] if wide else [reading.columns.id_col]), *names])
    return frame if wide else _with_ids(frame, forecaster)


def _open(forecaster: TitansForecaster, path: Path, reading: Reading, needed: list[str]) -> pd.DataFrame:
    """Read a file and keep the columns that are needed, the time first, under the forecaster's names."""
    if forecaster._format.kind == "numpy":
        raise ValueError("the forecaster was fitted on an array, whose rows have no times; use update in Python")
    names = reading.columns
    frame = _load(path, reading)
    wanted = [names.time_col, *needed]
    frame.columns = frame.columns.map(str)
    missing = next((name for name in wanted if name not in frame.columns), None)
    if missing is not None:
        listed = ", ".join(map(str, frame.columns[:8]))
        raise ValueError(f"{path}: there is no column {missing!r}; it has {listed}")
    return _renamed(forecaster, frame[wanted], names)


def _load(path: Path, reading: Reading) -> pd.DataFrame:
    """Read a file, in order of time if the recipe asks for that."""
    names = reading.columns
    data = reading.data if reading.stated else _seen(path, reading.data)
    frame = load_file(path, data, names.time_col, names.id_col)
    if data.sort and names.time_col in frame.columns:
        frame = frame.sort_values(names.time_col, kind="stable", ignore_index=True)
    return frame


def _renamed(forecaster: TitansForecaster, frame: pd.DataFrame, names: Columns) -> pd.DataFrame:
    """Call columns what the forecaster calls them."""
    own = (forecaster.time_col, forecaster.id_col, forecaster.target_col)
    theirs = (names.time_col, names.id_col, names.target_col)
    return with_numbers(frame, theirs[:2]).rename(columns=dict(zip(theirs, own, strict=True)))


def _seen(path: Path, data: Data) -> Data:
    """Add what is seen of the form of a text file."""
    from titans_seq.data.text_tables import is_text_table
    from titans_seq.recipes.draft.form import sniff_numbers, sniff_table
    from titans_seq.recipes.draft.times import find_times

    if not path.is_file() or not is_text_table(path):
        return data
    form, cells = sniff_table(path)
    numbers = sniff_numbers(cells, form.delimiter)
    times = [one for one in find_times(cells, month_first=numbers.decimal != ",") if one.name == data.time]
    seen: dict[str, Any] = {
        "delimiter": form.delimiter,
        "decimal": numbers.decimal,
        "thousands": numbers.thousands,
        "encoding": form.encoding,
        "missing": list(numbers.missing) or None,
        "time_format": times[0].stated if times else None,
    }
    return data.model_copy(update=seen)


def _times(column: pd.Series) -> NDArray[Any]:
    """Return times that can be compared: datetime64[ns] or int64."""
    if column.dtype.kind in "iu":
        return column.to_numpy().astype(np.int64)
    if column.dtype.kind == "M":
        return column.to_numpy().astype("datetime64[ns]")
    return parse_times(column, ISO)


def _with_ids(frame: pd.DataFrame, forecaster: TitansForecaster) -> pd.DataFrame:
    """Return a long frame with ids of the type that the forecaster's have."""
    known, column = {type(name) for name in forecaster.ids_}, frame[forecaster.id_col]
    if known == {str} and column.dtype.kind in "iu":
        return frame.assign(**{forecaster.id_col: column.astype(str)})
    if known == {int} and column.dtype == object and column.astype(str).str.fullmatch(r"[+-]?\d+").all():
        return frame.assign(**{forecaster.id_col: column.astype(np.int64)})
    return frame
