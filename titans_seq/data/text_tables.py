"""Tables in text files of any usual form: delimiter, decimal mark, encoding, words for missing values, times."""

from __future__ import annotations

import gzip
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.data._utf8 import not_utf8
from titans_seq.data.time_texts import parse_times

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = {",": ",", ";": ";", "tab": "\t", "|": "|"}
"""What stands between columns, by the name that recipes give it."""
ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".dat")
MISSING = frozenset(
    {"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a", "#na", "-nan", "nil", "#null!", "#value!", "#div/0!"}
)
"""Words for a missing value, in lower case."""


@dataclass(frozen=True)
class TableForm:
    """How a text file writes a table.

    Parameters
    ----------
    delimiter : str, optional
        A key of `DELIMITERS`. Default: "tab" for .tsv and .tab, else ",".
    decimal : str, default "."
    thousands : str, optional
        What groups digits; default: nothing.
    encoding : str, default "utf-8"
        With or without a byte order mark.
    missing : tuple of str
        Words for a missing value beside `MISSING`.
    time_format : str, optional
        See `titans_seq.data.time_texts`. Default: ISO dates, or plain integers.
    timezone : str, optional
        Zone on whose clock times with an offset are given back; default UTC.
    """

    delimiter: str | None = None
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()
    time_format: str | None = None
    timezone: str | None = None

    def separator(self, path: Path) -> str:
        """Return the delimiter of a file."""
        usual = "tab" if _ending(path) in (".tsv", ".tab") else ","
        return DELIMITERS[self.delimiter or usual]


def is_text_table(path: Path) -> bool:
    """Whether a file's name ends like one that `read_text_table` reads, also gzipped."""
    return _ending(path) in ENDINGS


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def read_text_table(path: Path, form: TableForm, *, time_col: str | None = None, id_col: str | None = None) -> Any:
    """Read a table with a header line.

    Parameters
    ----------
    path : Path
        Ends in one of `ENDINGS`; may be gzipped.
    form : TableForm
    time_col : str, optional
        Column with the times. With a ``time_format`` it comes back as datetime64, else ISO texts stay as they are and
        integers become integers.
    id_col : str, optional
        Column that stays text.

    Returns
    -------
    pandas.DataFrame
        Columns of numbers as float64, NaN where missing; a word among numbers stays, so that the reader can name it.
        Other columns are text, None where missing.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file; it is no table; a time is not of the form: with the row, from 0.
    """
    table = read_cells(path, form)
    for name in table.columns:
        if name == time_col:
            table[name] = _times(table[name], form)
        elif name == id_col:
            table[name] = table[name].str.strip().mask(table[name].str.strip() == "", None)
        else:
            table[name] = to_numbers(table[name], form)
    return table


def read_cells(path: Path, form: TableForm) -> pd.DataFrame:
    """Read the cells of a table as text; see `read_text_table`."""
    import pandas as pd

    text = io.StringIO(read_whole(path, form.encoding))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                text, sep=form.separator(path), dtype=str, keep_default_na=False, index_col=False, skipinitialspace=True
            )
    except pd.errors.ParserWarning:
        raise ValueError(f"{path}: rows have more fields than the header line has names; correct the header") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path}: not a readable table ({' '.join(str(error).split())})") from None


def read_whole(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file, gzipped or not, without a byte order mark.

    Raises
    ------
    FileNotFoundError, ValueError
        There is no such file; it is damaged, or not of this encoding.
    """
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            raise ValueError(f"{path}: {not_utf8(io.BytesIO(content))}, or state its encoding") from None
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}:{line}: not a text file in {encoding}; state its encoding") from None


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, uncompressed."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such data file")
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.name.lower().endswith(".gz") else content
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


def to_numbers(column: pd.Series[Any], form: TableForm) -> pd.Series[Any]:
    """Return a column of text as numbers where it holds any; else as text, None where missing."""
    import pandas as pd

    texts = column.str.strip()
    missing = texts.str.lower().isin(MISSING | {word.lower() for word in form.missing})
    plain = texts
    if form.thousands is not None:
        plain = plain.str.replace(form.thousands, "", regex=False)
        if form.thousands == " ":
            plain = plain.str.replace("[\u00a0\u202f]", "", regex=True)
    if form.decimal != ".":
        plain = plain.str.replace(".", "?", regex=False).str.replace(form.decimal, ".", regex=False)
    numbers = pd.to_numeric(plain.mask(missing), errors="coerce")
    words = numbers.isna() & ~missing
    if not words.any():
        return numbers.astype(np.float64)
    if numbers.notna().any():
        return numbers.astype(object).where(~words, texts)
    return texts.astype(object).mask(missing, None)


def _times(column: pd.Series[Any], form: TableForm) -> Any:
    import pandas as pd

    texts = column.str.strip()
    if form.time_format is None:
        integers = texts.str.fullmatch(r"[+-]?\d{1,18}")
        return texts.astype(np.int64) if integers.all() else texts.mask(texts == "", None)
    times = parse_times(texts, form.time_format, form.timezone)
    wrong = np.isnat(times) & (texts != "").to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"row {row}: {column.name} {texts.iloc[row]!r} is not of the form {form.time_format}; correct it, or "
            "data.time_format"
        )
    return pd.Series(times, index=column.index, name=column.name)
