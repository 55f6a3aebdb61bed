"""A forecast recipe for a file that was never seen before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Panel
from titans_seq.data.text_tables import TableForm, is_text_table
from titans_seq.data.time_texts import ISO, parse_times
from titans_seq.recipes._blame import naming
from titans_seq.recipes._data import read_whole
from titans_seq.recipes.draft.columns import Layout, find_layout
from titans_seq.recipes.draft.describe import describe
from titans_seq.recipes.draft.form import sniff_numbers, sniff_table, with_numbers
from titans_seq.recipes.draft.plan import Plan, aligned_panel, make_plan
from titans_seq.recipes.draft.times import INTEGER, TimeColumn, find_times
from titans_seq.recipes.schema import Data

if TYPE_CHECKING:
    import pandas as pd

_ZONES = (
    "Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "Australia/Sydney",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What was seen in a file.

    Attributes
    ----------
    data : dict
        Keys of the data section.
    layout : Layout
    panel : Panel
        Every series that could be read, aligned if the recipe aligns them.
    plan : Plan
    notes : list of str
        What could have been meant otherwise, and what is left out.
    """

    data: dict[str, Any]
    layout: Layout
    panel: Panel
    plan: Plan
    notes: list[str] = field(default_factory=list)


def draft_forecast(path: str, recipe_name: str, horizon: int | None = None) -> str:
    """Return the text of a recipe that runs on a table of series as it is.

    Parameters
    ----------
    path : str
        A .csv, .tsv, .txt or .dat file (also gzipped), or .parquet.
    recipe_name : str
        File of the recipe, for the command in its header.
    horizon : int, optional
        Rows to forecast; default: about one season.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it can't be forecast: the message says what is in the way.
    """
    return describe(_look(path, horizon), path, recipe_name)


def _look(path: str, horizon: int | None) -> Seen:
    form, cells = _open(Path(path))
    numbers = sniff_numbers(cells, form.delimiter)
    form = with_numbers(form, numbers)
    times = find_times(cells, month_first=form.decimal != ",")
    layout = find_layout(cells, times, numbers.columns, path)
    notes = [numbers.note] if numbers.note else []
    zone = _zone(cells, layout.time)
    if zone is not None:
        layout = replace(layout, time=replace(layout.time, times=_in_zone(cells, layout.time, zone)))
    data = _data_section(path, form, layout, zone) | {"sort": _needs_sorting(cells, layout)}
    with naming(path):
        whole = read_whole(_checked(data | {"on_gap": "mask"}))
    if len(whole.panel.values) > _rows_read(cells, layout):
        data["on_gap"] = "mask"
    aligned = aligned_panel(whole.panel)
    if aligned.how is not None:
        data |= {"align": aligned.how, "on_gap": "mask"}  # later rows may lag behind, too
    plan = make_plan(aligned.panel, horizon, path)
    panel = aligned.panel.select(plan.kept)
    if panel.n_series < whole.panel.n_series:
        data["columns"] = [str(name) for name in panel.ids]
        dropped = [str(name) for name in whole.panel.ids if name not in set(panel.ids)]
        notes.append(f"left out, too few values to train and test on: {_some(dropped)}")
    seen = {key: value for key, value in data.items() if value not in (None, False)}
    return Seen(seen, layout, panel, plan, [*notes, *_layout_notes(layout)])


def _open(path: Path) -> tuple[TableForm, pd.DataFrame]:
    if is_text_table(path):
        return sniff_table(path)
    if path.suffix != ".parquet":
        raise ValueError(f"{path}: tables end in .csv, .tsv, .txt, .dat (each also with .gz) or .parquet")
    from titans_seq.data.catalog import load_dataset

    frame = load_dataset(str(path))
    return TableForm(), frame.astype(object).where(frame.notna(), "").astype(str)


def _data_section(path: str, form: TableForm, layout: Layout, zone: str | None) -> dict[str, Any]:
    text = is_text_table(Path(path))
    usual = TableForm(delimiter="tab" if form.separator(Path(path)) == "\t" and ".tsv" in path else ",")
    columns = list(layout.series) if layout.others or layout.left_out else None
    return {
        "path": path,
        "format": "long" if layout.long else "wide",
        "delimiter": form.delimiter if text and form.delimiter != usual.delimiter else None,
        "decimal": form.decimal if form.decimal != "." else None,
        "thousands": form.thousands,
        "encoding": form.encoding if form.encoding != "utf-8" else None,
        "missing": list(form.missing) or None,
        "time": layout.time.name,
        "time_format": layout.time.stated if text else None,
        "timezone": zone,
        "id": layout.id,
        "target": layout.target,
        "columns": columns if not layout.long else None,
    }


def _checked(data: dict[str, Any]) -> Data:
    return Data.model_validate({"split": [1, 0, 0]} | {key: value for key, value in data.items() if value is not None})


def _rows_read(cells: pd.DataFrame, layout: Layout) -> int:
    return len(cells) * (1 if layout.long else len(layout.series))


def _needs_sorting(cells: pd.DataFrame, layout: Layout) -> bool:
    """Whether times of some series go back in the file."""
    import pandas as pd

    codes = pd.factorize(cells[layout.id])[0] if layout.id is not None else np.zeros(len(cells), dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    steps, same = np.diff(layout.time.times[order]).astype(np.int64), np.diff(codes[order]) == 0
    return bool((steps[same] < 0).any())


def _zone(cells: pd.DataFrame, time: TimeColumn) -> str | None:
    """Return a zone on whose clock all times have one time of day, if in UTC they do not but their days follow on."""
    if not time.has_offset or len(_times_of_day(time.times)) == 1:
        return None
    if np.diff(np.unique(time.times)).min() < np.timedelta64(22, "h"):
        return None
    return next((zone for zone in _ZONES if len(_times_of_day(_in_zone(cells, time, zone))) == 1), None)


def _times_of_day(times: NDArray[Any]) -> NDArray[Any]:
    return np.unique(times - times.astype("datetime64[D]"))


def _in_zone(cells: pd.DataFrame, time: TimeColumn, zone: str) -> NDArray[Any]:
    return parse_times(cells[time.name], ISO, zone)


def _layout_notes(layout: Layout) -> list[str]:
    notes = [f"left out: {name!r} ({why})" for name, why in layout.left_out if why != "empty"]
    if layout.others:
        names = _some(layout.others)
        notes.append(f"not read: {names}; columns that help are named like this, below data: roles: "
                     f"{{{layout.others[0]}: past}} (or future, if it is known ahead)")  # fmt: skip
    if layout.time.also is not None:
        notes.append(
            f"times such as {layout.time.example} could also be {layout.time.also}, no row tells: correct time_format "
            "if so"
        )
    if layout.time.has_offset:
        notes.append("times have a UTC offset: forecasts are given on the clock of timezone, by default that of UTC")
    if layout.time.form == INTEGER:
        notes.append("times are whole numbers: nothing is known of weekdays or months")
    return notes


def _some(names: Any) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - 5:,} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more
