"""What the columns of a table are: times, ids, values; wide or long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from titans_seq.data.text_tables import MISSING
from titans_seq.recipes.draft.times import INTEGER, TimeColumn, no_time_in

if TYPE_CHECKING:
    import pandas as pd

_ID = re.compile(r"^(unique_id|item_id|id|series|series_id|name|sku|store|shop|item|product|station|sensor|site|symbol"
                 r"|ticker|country|region|city|location|device|meter|customer|group|code|key|artikel|filiale)$"
                 r"|_id$|_name$|_code$", re.IGNORECASE)  # fmt: skip
_TARGET = re.compile(
    r"^(y|target|value|values|val|wert|sales|demand|count|quantity|qty|amount|load|close|price|verkauf|umsatz|menge"
    r"|valeur|valor|total|consumption|power|temperature|observation)s?$",
    re.IGNORECASE,
)
_NUMBER = r"[+-]?[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?: ?[AaPp][Mm])?"
_HOUR = re.compile(r"^(hours?|hr|hour_of_day|stunde|heure|hora|ora|uur|uhrzeit)$", re.IGNORECASE)
_ONE_TARGET = re.compile(r"^(y|target)$", re.IGNORECASE)
_COUNTER = re.compile(r"^(unnamed: \d+|index|no\.?|nr\.?|row|#|id|_id|rowid|row_id)$", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """What the columns are.

    Attributes
    ----------
    time : TimeColumn
    id : str or None
        Of a long table.
    target : str or None
        Of a long table.
    series : tuple of str
        Columns of a wide table that are series.
    others : tuple of str
        Columns of numbers that are not used.
    left_out : tuple of (str, str)
        Columns that can't be series, and why.
    """

    time: TimeColumn
    id: str | None
    target: str | None
    series: tuple[str, ...]
    others: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def long(self) -> bool:
        """Whether there is a row for each series and time."""
        return self.id is not None


def find_layout(cells: pd.DataFrame, times: list[TimeColumn], numbers: tuple[str, ...], path: str) -> Layout:
    """Tell what the columns of a table are.

    Parameters
    ----------
    cells : DataFrame of str
    times : list of TimeColumn
        The likeliest first.
    numbers : tuple of str
        Columns that hold numbers.
    path : str
        For messages.

    Raises
    ------
    ValueError
        No column of times or of numbers; times that are there twice and no column tells the rows apart.
    """
    if not times:
        why = no_time_in(cells) or "every row needs its time"
        raise ValueError(f"{path}: no column of times was found among {_listed(cells.columns)}; {why}")
    for time in times:  # the first whose rows can be told apart
        rest = [str(name) for name in cells.columns if name != time.name]
        values = [name for name in rest if name in numbers]
        if len(np.unique(time.times)) == len(cells):
            return _wide(cells, time, values, path)
        ids = [name for name in _id_columns(cells, time, rest, numbers) if values != [name]]
        if ids:
            return _long(cells, time, ids[0], [name for name in values if name != ids[0]], path)
        if time.form != INTEGER and any(_holds_clock(cells, name) for name in rest):
            raise ValueError(f"{path}: {_why_not(cells, time, numbers)}")
    raise ValueError(f"{path}: {_why_not(cells, times[0], numbers)}")


def _wide(cells: pd.DataFrame, time: TimeColumn, values: list[str], path: str) -> Layout:
    left_out, series = [], []
    for name in (str(name) for name in cells.columns if name != time.name):
        why = _no_series(name, cells[name]) if name in values else "no numbers"
        if why is None:
            series.append(name)
        else:
            left_out.append((name, why))
    constant = [name for name, why in left_out if why == "constant"]
    if not series and constant:
        series, left_out = constant, [entry for entry in left_out if entry[0] not in constant]
    if not series:
        raise ValueError(
            f"{path}: no column of numbers was found beside the times in {time.name!r}{_nearest(cells, time)}"
        )
    wanted = [name for name in series if _ONE_TARGET.match(name)]
    if len(wanted) == 1:
        return Layout(time, None, None, tuple(wanted), tuple(n for n in series if n != wanted[0]), tuple(left_out))
    return Layout(time, None, None, tuple(series), (), tuple(left_out))


def _nearest(cells: pd.DataFrame, time: TimeColumn) -> str:
    """Name the column that holds most numbers, and its first cell that is none."""
    shares = {str(n): cells[n].str.strip().str.fullmatch(_NUMBER).mean() for n in cells.columns if n != time.name}
    name = max(shares, key=lambda name: shares[name], default=None)
    if name is None:
        return ""
    if shares[name] < 0.5:
        return f"; {name!r} holds texts such as {cells[name].iloc[0].strip()[:40]!r}"
    row = int((~cells[name].str.strip().str.fullmatch(_NUMBER)).to_numpy().argmax())
    return f"; in {name!r} row {row} is {cells[name].iloc[row]!r}: correct it or leave it empty"


def _no_series(name: str, column: pd.Series) -> str | None:
    """Say why a column of numbers is no series."""
    texts = column.str.strip()
    if _COUNTER.match(name) and texts.str.fullmatch(r"\d+").all():
        counted = texts.astype(np.int64).to_numpy()
        if (np.diff(counted) == 1).all():
            return "counts the rows"
    found = texts[~texts.str.lower().isin(MISSING)].nunique()
    return "empty" if not found else "constant" if found < 2 else None


def _long(cells: pd.DataFrame, time: TimeColumn, name: str, values: list[str], path: str) -> Layout:
    if not values:
        raise ValueError(
            f"{path}: no column of numbers was found beside the times in {time.name!r} and ids in {name!r}"
        )
    usable = [value for value in values if _no_series(value, cells[value]) is None] or values
    hinted = [value for value in usable if _TARGET.match(value)]
    target = (hinted or sorted(usable, key=lambda value: -cells[value].nunique()))[0]
    return Layout(time, name, target, (), tuple(value for value in values if value != target), ())


def _id_columns(cells: pd.DataFrame, time: TimeColumn, names: list[str], numbers: tuple[str, ...]) -> list[str]:
    """Return columns that tell rows of one time apart, the likeliest first."""
    found = []
    for name in names:
        n = cells[name].nunique()
        whole = name not in numbers or cells[name].str.strip().str.fullmatch(r"\d+").all()
        if not whole or _holds_clock(cells, name) or n > len(cells) // 2 or not _unique_with(cells, time, [name]):
            continue
        found.append(((name in numbers, not _ID.search(name), n), name))
    return [name for _, name in sorted(found)]


def _holds_clock(cells: pd.DataFrame, name: str) -> bool:
    """Whether a column holds times of day: 06:00, or the hours of a column that says so."""
    texts = cells[name].str.strip()
    if _HOUR.match(name) and texts.str.fullmatch(r"\d{1,2}").all():
        return bool(texts.astype(np.int64).max() <= 24)
    return bool(texts.str.fullmatch(_CLOCK).all())


def _unique_with(cells: pd.DataFrame, time: TimeColumn, names: list[str]) -> bool:
    import pandas as pd

    keys = pd.DataFrame({"time": time.times, **{name: cells[name].str.strip() for name in names}})
    return not keys.duplicated().any()


def _why_not(cells: pd.DataFrame, time: TimeColumn, numbers: tuple[str, ...]) -> str:
    """Describe why rows of one time can't be told apart."""
    import pandas as pd

    rest = [str(name) for name in cells.columns if name != time.name]
    clock = next((name for name in rest if _holds_clock(cells, name)), None)
    if clock is not None:
        return (
            f"{time.name!r} holds days and {clock!r} times of day; join them into one column such as 2024-01-31 06:00"
        )
    labels = [name for name in rest if name not in numbers or _ID.search(name)]
    for pair in combinations(labels, 2):
        if _unique_with(cells, time, list(pair)):
            return f"{' and '.join(map(repr, pair))} together name the series; join them into one column of ids"
    shown = cells[time.name].str.strip()
    keys = [time.times, *([cells[labels[0]]] if len(labels) == 1 else [])]
    again = pd.DataFrame(dict(enumerate(keys))).duplicated().to_numpy()
    row = int(again.argmax())
    return (
        f"row {row}: {time.name} {shown.iloc[row]!r} is there twice, and no column of ids tells the rows apart; keep "
        "one row per time, or add a column with the name of the series"
    )


def _listed(names: object) -> str:
    texts = [str(name) for name in names]  # type: ignore[attr-defined]
    return ", ".join(texts[:8]) + (", ..." if len(texts) > 8 else "")
