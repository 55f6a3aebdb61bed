"""The data section of a recipe: from a card or file to the frames a forecaster takes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.data import Panel, read_panel, split_rows
from titans_seq.data._align import ALIGN
from titans_seq.data.catalog import Card, dataset_card
from titans_seq.recipes._blame import of_the_data
from titans_seq.recipes._load_series import load_table
from titans_seq.recipes.schema import Data

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Columns:
    """Column names of the frames: argument names of `TitansForecaster`."""

    id_col: str = "unique_id"
    time_col: str = "ds"
    target_col: str = "y"


@dataclass(frozen=True)
class Series:
    """Series of a recipe, cut to its split.

    Attributes
    ----------
    panel : Panel
        Train, validation and test rows.
    split : tuple of int
        Rows of each of the three.
    wide : bool
        Form of the frames.
    columns : Columns
        Names in the frames.
    season_length : int
        Steps per season.
    covariates : DataFrame, optional
        Columns with a role, by id (if the frame is long) and time.
    """

    panel: Panel
    split: tuple[int, int, int]
    wide: bool
    columns: Columns
    season_length: int
    covariates: pd.DataFrame | None = None

    @property
    def first_test_row(self) -> int:
        """Row of every series at which the first test forecast begins."""
        return self.split[0] + self.split[1]

    def frame(self, start: int, stop: int) -> pd.DataFrame:
        """Return rows ``start:stop`` of every series as a pandas frame; missing values are NaN."""
        frame = _to_frame(self.panel.slice_rows(start, stop), self.wide, self.columns)
        if self.covariates is None:
            return frame
        return frame.join(self.covariates, on=_keys(self.wide, self.columns))


@of_the_data()
def read_series(data: Data, season_length: int | None = None) -> Series:
    """Read, select and split what the data section names.

    Parameters
    ----------
    data : Data
    season_length : int, optional
        Default: the card's, else the usual one of the frequency.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        See `load_table` and `read_panel`; unknown columns; series shorter than the split.
    """
    whole = read_whole(data)
    panel, columns = whole.panel, whole.columns
    train, validation, test = split = _split(data, whole.card)
    split_rows(panel, split)  # refuses series that are too short
    season = season_length or (whole.card and whole.card.season_length) or panel.frequency.season_length
    used, beside = panel.slice_rows(0, train + validation + test), whole.beside
    has_covariates = len(beside.columns) > 0
    times = panel.ds_of(0).dtype
    covariates = _by_row(whole.frame, beside, whole.wide, columns, times) if has_covariates else None
    return Series(used, split, whole.wide, columns, int(season), covariates)


@dataclass(frozen=True, eq=False)
class Whole:
    """What a data section names, read and selected, before it is split.

    Attributes
    ----------
    panel : Panel
        All rows.
    wide : bool
    columns : Columns
    frame, beside : DataFrame
        Series and covariates, as selected.
    card : Card, optional
    """

    panel: Panel
    wide: bool
    columns: Columns
    frame: pd.DataFrame
    beside: pd.DataFrame
    card: Card | None


def read_whole(data: Data) -> Whole:
    """Read and select what the data section names; raises what `read_series` raises."""
    card = dataset_card(data.name) if data.name is not None else None
    columns = column_names(data, card)
    frame, beside = _apart(load_table(data, columns.time_col, columns.id_col), list(data.roles or {}))
    frame = select(frame, data, card, columns)
    panel, form = read_panel(
        with_numbers(frame, (columns.id_col, columns.time_col)),
        id_col=columns.id_col,
        time_col=columns.time_col,
        target_col=columns.target_col,
        on_gap=data.on_gap,
    )
    panel = ALIGN[data.align](panel) if data.align else panel
    return Whole(panel, form.kind == "wide", columns, frame, beside, card)


def _apart(frame: pd.DataFrame, roles: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the frame without its covariates, and the covariates."""
    for name in roles:
        _known(name, list(frame.columns), "data.roles")
    return frame.drop(columns=roles), frame[roles]


def _by_row(
    frame: pd.DataFrame, covariates: pd.DataFrame, wide: bool, names: Columns, times: np.dtype[Any]
) -> pd.DataFrame:
    """Covariates of the rows of a frame, to be looked up by id and time."""
    import pandas as pd

    keys = frame[_keys(wide, names)].reset_index(drop=True)
    if times.kind == "M":
        keys[names.time_col] = pd.to_datetime(keys[names.time_col]).to_numpy(times)
    found = covariates.loc[frame.index].set_axis(pd.MultiIndex.from_frame(keys) if not wide else keys[names.time_col])
    return with_numbers(found, ())


def _keys(wide: bool, names: Columns) -> list[str]:
    return [names.time_col] if wide else [names.id_col, names.time_col]


def column_names(data: Data, card: Card | None) -> Columns:
    usual = Columns()
    return Columns(
        data.id or (card and card.id) or usual.id_col,
        data.time or (card and card.time) or usual.time_col,
        data.target or (card and card.target) or usual.target_col,
    )


def _split(data: Data, card: Card | None) -> tuple[int, int, int]:
    rows = data.split or (card.split if card else None)
    if rows is None:
        raise ValueError(f"data.split: dataset {data.name!r} has no usual split; give [train, validation, test]")
    train, validation, test = rows
    return train, validation, test


def select(frame: pd.DataFrame, data: Data, card: Card | None, names: Columns) -> pd.DataFrame:
    if _form(frame, data, card, names) == "long":
        _known(names.id_col, list(frame.columns), "data.format: long" if data.format else "data.id")
        return frame if data.columns is None else _select_series(frame, names.id_col, data.columns)
    _known(names.time_col, list(frame.columns), "data.time")
    wanted = data.columns or [column for column in frame.columns if column != names.time_col]
    for column in wanted:
        _known(column, list(frame.columns), "data.columns")
    return frame[[names.time_col, *wanted]]


def _form(frame: pd.DataFrame, data: Data, card: Card | None, names: Columns) -> str:
    has_ids = names.id_col in frame.columns
    if data.format == "wide" and has_ids:
        raise ValueError(f"data.format: wide, but the data have the id column {names.id_col!r} of a long frame")
    known = data.format or (card.format if card else None)
    return known or ("long" if has_ids or data.id else "wide")


def with_numbers(frame: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Turn the numbers of value columns that a stray word made text back into numbers.

    The word itself stays, so that the reader can name it.
    """
    import pandas as pd

    changed = {}
    for name in frame.columns.difference(list(labels)):
        if frame[name].dtype == object:
            numbers = pd.to_numeric(frame[name], errors="coerce")
            changed[name] = frame[name].mask(numbers.notna(), numbers)
    return frame.assign(**changed) if changed else frame


def _select_series(frame: pd.DataFrame, id_col: str, wanted: list[str]) -> pd.DataFrame:
    ids = frame[id_col].astype(str)
    for name in wanted:
        _known(name, list(ids.unique()), "data.columns")
    return frame[ids.isin(wanted)]


def _known(name: str, names: list[Any], key: str) -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, map(str, names), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(str, names[:8]))}"
    raise ValueError(f"{key}: the data have no {name!r}; {hint}")


def _to_frame(panel: Panel, wide: bool, names: Columns) -> pd.DataFrame:
    import pandas as pd

    values = np.where(panel.observed, panel.values, np.nan)
    times = [panel.ds_of(i) for i in range(panel.n_series)]
    if wide:
        parts = np.split(values, panel.offsets[1:-1])
        return pd.DataFrame({names.time_col: times[0], **dict(zip(panel.ids, parts, strict=True))})
    ids = np.repeat(np.asarray(panel.ids), panel.lengths)
    return pd.DataFrame({names.id_col: ids, names.time_col: np.concatenate(times), names.target_col: values})
