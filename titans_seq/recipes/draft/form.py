"""How a text file writes a table: encoding, delimiter, decimal mark, words for missing values; from what is in it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from titans_seq.data._utf8 import not_utf8
from titans_seq.data.text_tables import DELIMITERS, MISSING, TableForm, read_bytes, read_cells

if TYPE_CHECKING:
    import pandas as pd

_LINES = 500
_PREFERENCE = (";", "tab", "|", ",")  # a comma may be a decimal mark

_EXPONENT = r"(?:[eE][+-]?\d+)?"
_NUMBERS = {
    (".", None): rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}",
    (",", None): rf"[+-]?(?:\d+,?\d*|,\d+){_EXPONENT}",
    (".", ","): r"[+-]?\d{1,3}(?:,\d{3})*(?:\.\d+)?",
    (",", "."): r"[+-]?\d{1,3}(?:\.\d{3})*(?:,\d+)?",
    (",", " "): r"[+-]?\d{1,3}(?:[ \u00a0\u202f]\d{3})*(?:,\d+)?",
    (".", " "): r"[+-]?\d{1,3}(?:[ \u00a0\u202f]\d{3})*(?:\.\d+)?",
    (".", "'"): r"[+-]?\d{1,3}(?:'\d{3})*(?:\.\d+)?",
}
"""Numbers by decimal mark and what groups digits; plain forms first."""
_MOST_WORDS = 3
_MARK = re.compile(r"-9{2,5}(?:[.,][09]*)?")


@dataclass(frozen=True)
class Numbers:
    """How numbers are written.

    Attributes
    ----------
    decimal : str
    thousands : str or None
    missing : tuple of str
        Words among the numbers of a column.
    columns : tuple of str
        Columns that hold numbers and missing values only.
    note : str or None
        What could also have been meant.
    """

    decimal: str
    thousands: str | None
    missing: tuple[str, ...]
    columns: tuple[str, ...]
    note: str | None


def sniff_table(path: Path) -> tuple[TableForm, pd.DataFrame]:
    """Return how a file is encoded and divided, and its cells as text.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file, or it holds no table with a line of names.
    """
    encoding = _encoding(path)
    text = read_bytes(path).decode("utf-8-sig" if encoding == "utf-8" else encoding)
    form = TableForm(delimiter=_delimiter(text, path), encoding=encoding)
    cells = read_cells(path, form)
    if not len(cells):
        raise ValueError(f"{path} has a line of names and no rows")
    if _looks_like_values(cells.columns):
        raise ValueError(f"{path}:1: the first line holds values, no names; put a line of column names above it")
    return form, cells


def _encoding(path: Path) -> str:
    content = read_bytes(path)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in content[:100_000]:
        raise ValueError(f"{path}: not a text file; a table is a .csv, .tsv or .parquet file")
    for encoding in ("utf-8", "windows-1252"):
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise ValueError(f"{path}: {not_utf8(io.BytesIO(content))} (it is no Windows-1252 either)")


def _delimiter(text: str, path: Path) -> str:
    lines = list(_first_lines(text))
    if not lines:
        raise ValueError(f"{path} is empty")
    found = {name: _consistency(lines, DELIMITERS[name]) for name in _PREFERENCE}
    best = max(_PREFERENCE, key=lambda name: (found[name][0] >= 0.95, found[name][1], found[name][0]))
    if found[best][1] > 1 and found[best][0] >= 0.5:
        return best
    raise ValueError(
        f"{path}:1: the first line must hold the names of the columns, with , ; | or tabs between them; found "
        f"{lines[0].strip()[:40]!r}"
    )


def _first_lines(text: str) -> Iterable[str]:
    kept = 0
    for line in io.StringIO(text, newline=""):
        if line.strip():
            kept += 1
            yield line
        if kept == _LINES:
            return


def _consistency(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Return the share of lines with as many fields as the first, and that number."""
    try:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)]
    except csv.Error:
        return 0.0, 0
    return sum(count == counts[0] for count in counts) / len(counts), counts[0]


def _looks_like_values(names: Iterable[object]) -> bool:
    number = re.compile(_NUMBERS[".", None])
    texts = [re.sub(r"\.\d+$", "", str(name)) if str(name).count(".") > 1 else str(name) for name in names]
    first, *others = texts
    return bool(re.match(r"[+-]?\d", first)) and bool(others) and all(number.fullmatch(text) for text in others)


def sniff_numbers(cells: pd.DataFrame, delimiter: str | None) -> Numbers:
    """Return how the numbers of a table are written, by all of its cells."""
    different = {name: _values(cells[name]) for name in cells.columns}
    forms = list(_NUMBERS)
    held = {form: [name for name, values in different.items() if _holds(values, form)] for form in forms}
    weight = {form: len(held[form]) for form in forms}
    best = max(forms, key=lambda form: (weight[form], -forms.index(form)))
    note = None
    comma, grouped = (",", None), (".", ",")
    if best == comma and weight[grouped] == weight[comma]:  # every comma stands before three digits
        best = comma if delimiter == ";" else grouped
        meaning = "a decimal mark" if best == comma else "one of thousands"
        note = f"the comma in numbers such as {_example(different, held[best])} was taken for {meaning}"
    if best != forms[0] and held[best] == held[forms[0]]:
        best, note = forms[0], None
    words = {word for name in held[best] for word in _words(different[name], best)}
    marks = {mark for name in held[best] for mark in _missing_marks(different[name])}
    if marks:
        note = f"{', '.join(sorted(marks))}: far from all other values, taken for a missing value"
    return Numbers(best[0], best[1], tuple(sorted(words | marks)), tuple(held[best]), note)


def with_numbers(form: TableForm, numbers: Numbers) -> TableForm:
    """Return the form with what is known of its numbers."""
    return replace(form, decimal=numbers.decimal, thousands=numbers.thousands, missing=numbers.missing)


def _values(column: pd.Series) -> list[str]:
    """Return the different cells of a column that are not missing."""
    return [text for text in column.str.strip().unique() if text.lower() not in MISSING]


def _holds(values: list[str], form: tuple[str, str | None]) -> bool:
    """Whether a column holds numbers of this form, and at most a few words."""
    words = _words(values, form)
    if len(values) == len(words):
        return False
    return len(words) <= min(_MOST_WORDS, len(values) // 3) and not any(re.search(r"\d", word) for word in words)


def _missing_marks(values: list[str]) -> list[str]:
    """Return numbers such as -999 that stand for a missing value: alone, and far below all others."""
    marks = [text for text in values if _MARK.fullmatch(text)]
    largest = max((abs(_plain(text)) for text in values if text not in marks), default=math.inf)
    return marks if len(marks) == 1 and abs(_plain(marks[0])) > 3 * largest else []


def _plain(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.inf  # grouped digits, or a word: then nothing is far from it


def _words(values: list[str], form: tuple[str, str | None]) -> list[str]:
    number = re.compile(_NUMBERS[form])
    return [text for text in values if not number.fullmatch(text)]


def _example(different: dict[str, list[str]], names: list[str]) -> str:
    return next(text for name in names for text in different[name] if "," in text)
