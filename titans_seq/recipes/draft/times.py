"""Which column holds times, and how they are written: every row is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data.text_tables import MISSING
from titans_seq.data.time_texts import EPOCHS, ISO, QUARTER, WEEK, parse_times

if TYPE_CHECKING:
    import pandas as pd

INTEGER = "integer"
_DATES = (
    "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%Y.%m.%d", "%d-%m-%Y",
    "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", ", %H:%M")
_MONTHS = ("%Y/%m", "%m/%Y", "%m.%Y", "%m-%Y", "%b %Y", "%B %Y", "%b-%Y", "%b-%y", "%Y %b", "%b %y")
_ISO = re.compile(r"\d{4}-\d{2}(-\d{2})?([T ]\d{2}(:?\d{2}){0,2}([.,]\d+)?)? ?(Z|[+-]\d{2}(:?\d{2})?)?")
_OFFSET = re.compile(r".*:\d{2}([.,]\d+)? ?(Z|[+-]\d{2}(:?\d{2})?)$")
_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+(\.0*)?")
_HINT = re.compile(
    r"^(ds|ts|t|dt)$|date|time|datum|zeit|stamp|epoch|^(day|month|year|week|quarter|hour|minute|period|step|tag|monat"
    r"|jahr|woche|quartal|stunde|fecha|mois|data)s?$",
    re.IGNORECASE,
)
_EPOCH_RANGE = {
    "epoch_s": (1e8, 4.2e9),
    "epoch_ms": (1e11, 4.2e12),
    "epoch_us": (1e14, 4.2e15),
    "epoch_ns": (1e17, 4.2e18),
}
_WORDS = {
    ISO: "ISO dates and times", QUARTER: "quarters", WEEK: "ISO weeks", INTEGER: "whole numbers",
    "epoch_s": "seconds since 1970", "epoch_ms": "milliseconds since 1970", "epoch_us": "microseconds since 1970",
    "epoch_ns": "nanoseconds since 1970",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TimeColumn:
    """A column of times.

    Attributes
    ----------
    name : str
    form : str
        As in a recipe's ``data.time_format``, or `INTEGER`; `ISO` also where there is no offset.
    has_offset : bool
        ISO times with a UTC offset.
    times : array (rows,)
        datetime64[ns], or int64 of form `INTEGER`.
    example : str
        The cell of the latest time.
    also : str or None
        Another form of which all cells are, too.
    """

    name: str
    form: str
    has_offset: bool
    times: NDArray[Any]
    example: str
    also: str | None = None

    @property
    def stated(self) -> str | None:
        """What a recipe has to say of the form; None where the reader needs no word."""
        return None if self.form == INTEGER or (self.form == ISO and not self.has_offset) else self.form

    @property
    def words(self) -> str:
        """What they are, for people."""
        return _WORDS.get(self.form, self.form)


def find_times(cells: pd.DataFrame, *, month_first: bool) -> list[TimeColumn]:
    """Return the columns that may hold times, the likeliest first.

    Parameters
    ----------
    cells : DataFrame of str
    month_first : bool
        What 1/2/2024 means where no row tells.
    """
    found = []
    for place, name in enumerate(cells.columns):
        texts, hinted = cells[name].str.strip(), bool(_HINT.search(str(name)))
        number = bool(_NUMBER.fullmatch(texts.iloc[0]))
        if (number and place and not hinted) or texts.str.lower().isin(MISSING).any():
            continue
        column = _time_column(str(name), texts, month_first)
        if column is None:
            continue
        if column.form == INTEGER and not _counts(column.times, hinted):
            continue
        found.append(((column.form == INTEGER, not hinted, place), column))
    return [column for _, column in sorted(found, key=lambda entry: entry[0])]


def no_time_in(cells: pd.DataFrame) -> str | None:
    """Name the row that keeps a column from being one of times; None where no column is near that."""
    for place, name in enumerate(cells.columns):
        if place and not _HINT.search(str(name)):
            continue
        texts = cells[name].str.strip()
        whole = texts[texts.str.contains(r"\d[-./ ]\w", regex=True)]
        for form in [ISO, *_likely_forms(str(name), whole.iloc[: len(whole) // 2])] if len(whole) > 2 else []:
            wrong = np.isnat(parse_times(texts, form))
            if 0 < wrong.mean() < 0.1:
                row = int(wrong.argmax())
                found = repr(texts.iloc[row]) if texts.iloc[row] else "missing"
                return f"row {row}: {name} is {found}, others are like {texts[~wrong].iloc[0]!r}: correct or drop it"
    return None


def _counts(times: NDArray[Any], hinted: bool) -> bool:
    """Whether integers may be times: their differences are few."""
    different = np.unique(times)
    steps = np.diff(different)
    return len(different) > 2 and (hinted or (steps == steps.min()).mean() > 0.5)


def _time_column(name: str, texts: pd.Series[Any], month_first: bool) -> TimeColumn | None:
    different = texts.drop_duplicates()
    forms = [form for form in _likely_forms(name, different) if not np.isnat(parse_times(different, form)).any()]
    if forms:
        form, also = _most_regular(texts, forms, month_first)
        offset = form == ISO and bool(different.str.fullmatch(_OFFSET).any())
        times = parse_times(texts, form)
        return TimeColumn(name, form, offset, times, str(texts.iloc[times.argmax()]), also)
    if different.str.fullmatch(r"[+-]?\d{1,18}").all():
        numbers = texts.astype(np.int64).to_numpy()
        return TimeColumn(name, INTEGER, False, numbers, str(texts.iloc[numbers.argmax()]))
    return None


def _likely_forms(name: str, texts: pd.Series[Any]) -> Iterator[str]:
    """Return forms of which the first cells are; the caller tries them on all."""
    first = texts.iloc[[0, len(texts) // 2, -1]]
    if first.str.fullmatch(r"\d+(\.0*)?").all():
        yield from _forms_of_digits(name, texts)
        return
    if texts.str.fullmatch(_ISO).all():
        yield ISO
        return
    patterns = [date + clock for date in _DATES for clock in _CLOCKS] + [*_MONTHS, QUARTER, WEEK]
    for pattern in patterns:
        if not np.isnat(parse_times(first, pattern)).any():
            yield pattern


def _forms_of_digits(name: str, texts: pd.Series[Any]) -> Iterator[str]:
    values = texts.astype(np.float64)
    for form in EPOCHS:
        low, high = _EPOCH_RANGE[form]
        if values.between(low, high).all():
            yield form
    if values.between(17_000_000, 22_000_000).all():
        yield "%Y%m%d"
    elif values.between(170_000, 220_000).all():
        yield "%Y%m"
    elif values.between(1700, 2200).all() and re.search(r"year|jahr|date|^ds$", name, re.IGNORECASE):
        yield "%Y"


def _most_regular(texts: pd.Series[Any], forms: list[str], month_first: bool) -> tuple[str, str | None]:
    """Return the form in which times follow each other most regularly, and one that would do as well."""
    if len(forms) == 1:
        return forms[0], None
    scores = {form: _regularity(parse_times(texts, form)) for form in forms}
    order = sorted(forms, key=lambda form: (-scores[form], _month_leads(form) != month_first, forms.index(form)))
    best, second = order[:2]
    return best, second if scores[second] > 0.999 * scores[best] else None


def _month_leads(form: str) -> bool:
    return form.startswith(("%m", "%b", "%B"))


def _regularity(times: NDArray[Any]) -> float:
    """Return the share of neighbours, in time, that lie one usual step apart, less what goes back in the file."""
    different = np.unique(times)
    if len(different) < 3:
        return 0.0
    steps = np.diff(different).astype(np.int64)
    months = different.astype("datetime64[M]")
    shares = [_commonest(steps)]
    if len(np.unique((different - months.astype("datetime64[ns]")).astype(np.int64))) == 1:
        shares.append(_commonest(np.diff(months).astype(np.int64)))
    backward = float((np.diff(times).astype(np.int64) < 0).mean())
    return max(shares) - min(backward, 1 - backward)


def _commonest(steps: NDArray[np.int64]) -> float:
    return float(np.unique(steps, return_counts=True)[1].max() / len(steps))
