"""Sequences in a column of a frame, or of a CSV or TSV file."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from titans_seq.data._missing import is_missing
from titans_seq.data._read import open_frame
from titans_seq.data._utf8 import not_utf8
from titans_seq.data.sequences._files import BrokenGzipError, open_bytes
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences._texts import encode_texts
from titans_seq.data.sequences.sequences import Sequences

if TYPE_CHECKING:
    import pandas as pd

_USUAL_NAMES = ("sequence", "seq")

_AS_TEXT: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
_RENAMED = re.compile(r".+\.\d+")

_SEPARATORS = (";", "\t", "|", ",")
_QUOTED = re.compile('"[^"]*"')
_LOOKED_AT, _LONGEST = 10, 1 << 16
"""Lines, and bytes of each, among which a header line and a row are looked for."""

Place = Callable[[int], str]


def read_frame(data: Any, sequence_col: str | None, id_col: str | None) -> Sequences:
    """Read a pandas or polars frame; columns as `read_sequences` has them.

    Raises
    ------
    ValueError
        No such column, a missing sequence, a letter that is no IUPAC code: with the row (from 0).
    TypeError
        A column that holds no text.
    """
    return _read(data, sequence_col, id_col, lambda row: f"row {row}", "the frame")


def read_table(path: Path, sequence_col: str | None, id_col: str | None) -> Sequences:
    """Read a CSV or TSV file with a header line, .gz or not; errors name the file, the row (from 0) and the line."""
    with open_bytes(path) as stream:
        return read_rows(open_table(stream, path.name, str(path)), sequence_col, id_col, str(path))


def open_table(stream: BinaryIO, name: str, what: str, separator: str | None = None, or_else: str = "") -> pd.DataFrame:
    """Read the columns of a CSV or TSV file as text.

    Parameters
    ----------
    stream : binary stream
        Of the file's uncompressed content, from its beginning; can be read again.
    name : str
        Of the file: with .tsv at its end, or .tsv.gz, columns are divided by tabs, else by commas.
    what : str
        Names the file in messages.
    separator : str, optional
        What divides columns, if it is something else.
    or_else : str, default ""
        What else than saving it anew helps with a file that is divided by something else, for the message.

    Raises
    ------
    ValueError
        The content is no table, damaged, or not in UTF-8; it is divided by something else; two columns have one name.
    """
    import pandas as pd

    separator = separator or ("\t" if name.lower().removesuffix(".gz").endswith(".tsv") else ",")
    try:
        _refuse_other_separator(stream, separator, what, or_else)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(stream, sep=separator, index_col=False, **_AS_TEXT)
            _refuse_repeated(frame, stream, separator, what)
            return frame
    except pd.errors.ParserWarning:
        raise ValueError(f"{what}: rows have more fields than the header line has names; correct the header") from None
    except BrokenGzipError as error:
        raise ValueError(f"{what}: {error}") from None
    except UnicodeDecodeError:
        stream.seek(0)
        raise ValueError(f"{what}: {not_utf8(stream)}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{what}: {' '.join(str(error).split())}") from None


def _refuse_other_separator(stream: BinaryIO, separator: str, what: str, or_else: str) -> None:
    """Refuse a table whose first two lines have none of its separators, but both have another usual one."""
    lines = [line for line in (stream.readline(_LONGEST) for _ in range(_LOOKED_AT)) if line.strip()][:2]
    stream.seek(0)
    header, *rows = (_QUOTED.sub("", line.decode("utf-8-sig", "replace")) for line in lines or [b""])
    if separator in header or not rows:
        return
    other = next((mark for mark in _SEPARATORS if mark in header and mark in rows[0]), None)
    if other is not None:
        shown = lines[0][:60].decode("utf-8-sig", "replace").strip()
        do = {"\t": "name it .tsv", ",": "name it .csv"}.get(other, "save it with commas")
        raise ValueError(f"{what}: the header line {shown!r} looks separated by {other!r}; {do}{or_else}")


def _refuse_repeated(frame: pd.DataFrame, stream: BinaryIO, separator: str, what: str) -> None:
    """Refuse two columns of one name, of which pandas calls the second "name.1"."""
    import pandas as pd

    if not any(_RENAMED.fullmatch(str(name)) for name in frame.columns):
        return
    stream.seek(0)
    names = pd.read_csv(stream, sep=separator, header=None, nrows=1, **_AS_TEXT).iloc[0].tolist()
    for at, name in enumerate(names):
        if name and name in names[:at]:
            raise ValueError(f"{what}: columns {names.index(name) + 1} and {at + 1} are both {name!r}; rename one")


def read_rows(frame: pd.DataFrame, sequence_col: str | None, id_col: str | None, what: str) -> Sequences:
    """Return the sequences of a table that `open_table` read; errors name the row (from 0) and the line."""
    return _read(frame, sequence_col, id_col, lambda row: place_of_row(what, row), what)


def place_of_row(what: str, row: int) -> str:
    """Name a row (from 0) of a table with a header line."""
    return f"{what}: row {row}, line {row + 2}"


def _read(data: Any, sequence_col: str | None, id_col: str | None, place: Place, what: str) -> Sequences:
    frame = open_frame(data)
    if not len(frame):
        raise ValueError(f"{what} has no rows; it needs at least one sequence")
    column = frame.get_column(_sequence_column(frame, sequence_col, what))
    texts = _texts(column, place)
    codes, lengths = encode_texts(texts, lambda row: f"{place(row)}, column {column.name!r}")
    return Sequences(codes, offsets_of(lengths), _ids(frame, id_col, what, place))


def _sequence_column(frame: Any, wanted: str | None, what: str) -> str:
    if wanted is not None:
        return _column(frame, wanted, "sequence_col", what)
    usual = [name for name in frame.columns if str(name).lower() in _USUAL_NAMES]
    if len(usual) == 1:
        return usual[0]
    if len(frame.columns) == 1:
        return frame.columns[0]
    listed = ", ".join(map(str, frame.columns[:8])) + (", ..." if len(frame.columns) > 8 else "")
    raise ValueError(f"{what} has no column 'sequence' (it has {listed}); pass sequence_col=")


def _column(frame: Any, wanted: str, argument: str, what: str) -> str:
    if wanted in frame.columns:
        return wanted
    near = get_close_matches(wanted, list(map(str, frame.columns)), n=1, cutoff=0.5)
    hint = f"; did you mean {argument}={near[0]!r}?" if near else ""
    raise ValueError(f"{what} has no column {wanted!r}{hint}")


def _texts(column: Any, place: Place) -> list[str]:
    texts = column.to_list()
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            if is_missing(text):
                raise ValueError(f"{place(row)}: {column.name} is missing; drop the row or complete it")
            raise TypeError(f"{place(row)}: {column.name} {text!r} is {type(text).__name__}; sequences must be text")
    return texts


def _ids(frame: Any, wanted: str | None, what: str, place: Place) -> Names:
    if wanted is None and "id" not in frame.columns:
        return Names.of(map(str, range(len(frame))))
    column = frame.get_column(_column(frame, wanted or "id", "id_col", what))
    missing = column.is_null().to_numpy()
    if missing.any():
        raise ValueError(f"{place(int(missing.argmax()))}: {column.name} is missing; name the sequence")
    return Names.of(map(str, column.to_list()))
