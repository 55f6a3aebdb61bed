"""Sequences with labels: columns of a table, or a file for each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data._utf8 import not_utf8
from titans_seq.data.sequences._files import BrokenGzipError, open_bytes
from titans_seq.data.sequences._proteins import warn_of_proteins
from titans_seq.data.sequences.read import read_sequences
from titans_seq.data.sequences.sequences import Sequences
from titans_seq.data.sequences.tables import open_table, place_of_row, read_rows

if TYPE_CHECKING:
    import pandas as pd

LABEL = "label"
TABLE_ENDINGS = (".csv", ".tsv", ".data")
"""Of files with labels, each also with .gz; .data is the form of the UCI repository: class, name, sequence."""


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """Sequences and the other columns of their table.

    Attributes
    ----------
    sequences : Sequences
    columns : mapping of str to text array (n,)
        As they stand in the file; of several files, `label` alone.
    place : callable
        Names a sequence by its place (from 0), for messages.
    what : str
        Names the source, for messages.
    """

    sequences: Sequences
    columns: Mapping[str, NDArray[np.str_]] = field(repr=False)
    place: Callable[[int], str] = field(repr=False)
    what: str

    def __len__(self) -> int:
        return len(self.sequences)

    def column(self, name: str) -> NDArray[np.str_]:
        """Return a column as text, (n,); ValueError that names the nearest one if there is none."""
        if name in self.columns:
            return self.columns[name]
        near = get_close_matches(name, self.columns, 1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(list(self.columns)[:8])}"
        raise ValueError(f"{self.what} has no column {name!r}; {hint}")

    def labels(self, name: str = LABEL) -> NDArray[np.str_]:
        """Return the classes of a column, (n,); ValueError that names the row of an empty one."""
        found = self.column(name)
        empty = found == ""
        if empty.any():
            raise ValueError(f"{self.place(int(empty.argmax()))}: {name} is missing; drop the row or label it")
        return found

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return the finite numbers of a column, (n,); ValueError that names the row of what is none."""
        found = self.column(name)
        values = np.empty(len(found))
        for row, text in enumerate(found.tolist()):
            values[row] = _number(text)
            if not np.isfinite(values[row]):
                what = f"is {text!r}, no finite number" if text else "is missing"
                raise ValueError(f"{self.place(row)}: {name} {what}; drop the row or correct it")
        return values

    def take(self, indices: Int64Array) -> LabelledSequences:
        """Return the sequences at the given places, in that order; messages name them as before."""
        columns = {name: values[indices] for name, values in self.columns.items()}
        return LabelledSequences(
            self.sequences.take(indices), columns, lambda i: self.place(int(indices[i])), self.what
        )


def read_labelled(
    path: str | Path, *, sequence_col: str | None = None, id_col: str | None = None, separator: str | None = None
) -> LabelledSequences:
    """Read sequences and labels from a table.

    Parameters
    ----------
    path : str or Path
        ``.csv`` or ``.tsv`` with a header line, or ``.data`` of the UCI repository (lines "class, name, sequence"
        without one, whose columns are then label, id and sequence); each may be gzipped.
    sequence_col, id_col : str, optional
        As in `read_sequences`.
    separator : str, optional
        What divides the columns of a ``.csv`` or ``.tsv`` file, if it is something else than its ending says.

    Raises
    ------
    FileNotFoundError
        The path does not exist.
    ValueError
        No such table, or a sequence that can't be read: with file, row (from 0) and line.
    """
    source = Path(path)
    with open_bytes(source) as stream:
        return labelled_rows(
            stream, source.name, str(source), sequence_col=sequence_col, id_col=id_col, separator=separator
        )


def labelled_rows(
    stream: BinaryIO,
    name: str,
    what: str,
    *,
    sequence_col: str | None = None,
    id_col: str | None = None,
    separator: str | None = None,
) -> LabelledSequences:
    """Read what `read_labelled` reads from the uncompressed content of a file; `name` tells its form."""
    ending = Path(name.lower().removesuffix(".gz")).suffix
    if ending not in TABLE_ENDINGS:
        raise ValueError(f"{what}: files with labels end in {', '.join(TABLE_ENDINGS)}, or .gz after it")
    if ending == ".data":
        frame, first_line = _open_uci(stream, what), 1
    else:
        frame, first_line = open_table(stream, name, what, separator, ", or state its separator"), 2
    sequences = read_rows(frame, sequence_col, id_col, what)
    columns = {str(column): frame[column].to_numpy(dtype=np.str_) for column in frame.columns}

    def place(row: int) -> str:
        return place_of_row(what, row) if first_line == 2 else f"{what}: row {row}, line {row + 1}"

    warn_of_proteins(sequences, place, stacklevel=4)
    return LabelledSequences(sequences, columns, place, what)


def read_classes(files: Mapping[str, str | Path], **options: Any) -> LabelledSequences:
    """Read a file for each class.

    Parameters
    ----------
    files : mapping of class to path
        Each of any form that `read_sequences` reads: FASTA, FASTQ, GenBank or a table without labels.
    **options
        Of `read_sequences`.

    Returns
    -------
    LabelledSequences
        With the column `label`, in the order of the files.

    Raises
    ------
    FileNotFoundError, ValueError
        See `read_sequences`.
    """
    parts = [read_sequences(Path(path), **options) for path in files.values()]
    labels = np.repeat(np.array(list(files), dtype=np.str_), [len(part) for part in parts])
    ends = np.cumsum([len(part) for part in parts])
    names = [str(path) for path in files.values()]

    def place(i: int) -> str:
        which = int(np.searchsorted(ends, i, side="right"))
        return f"{names[which]}: record {i - int(ends[which]) + len(parts[which]) + 1}"

    return LabelledSequences(Sequences.concat(parts), {LABEL: labels}, place, ", ".join(names))


def _open_uci(stream: BinaryIO, what: str) -> pd.DataFrame:
    import pandas as pd

    rows = []
    try:
        for i, raw in enumerate(stream):
            fields = [part.strip() for part in raw.decode("utf-8").split(",")]
            if fields == [""]:
                break
            if len(fields) != 3:
                raise ValueError(f"{what}: line {i + 1} has {len(fields)} fields; it must be class, name, sequence")
            rows.append(fields)
    except BrokenGzipError as error:
        raise ValueError(f"{what}: {error}") from None
    except UnicodeDecodeError:
        stream.seek(0)
        raise ValueError(f"{what}: {not_utf8(stream)}") from None
    return pd.DataFrame(rows, columns=[LABEL, "id", "sequence"], dtype=str)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
