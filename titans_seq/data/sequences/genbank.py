"""GenBank and SeqRecords, with their features, by Biopython."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np

from titans_seq.data.sequences._files import BrokenGzipError
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences._texts import encode_texts
from titans_seq.data.sequences.sequences import Sequences

_LOST = ("location to None", "invalid location", "too short to contain a feature")
"""In what Biopython says where a feature is not as it stands in the file."""


def read_genbank(stream: BinaryIO, name: str) -> Sequences:
    """Read GenBank from a stream of bytes.

    Parameters
    ----------
    stream : binary file
    name : str
        Of the file, for messages.

    Returns
    -------
    Sequences
        With `features`. Ids are accessions with version; bases are upper case, as Biopython gives them.

    Raises
    ------
    ValueError
        What Biopython cannot read, a record without bases or of another length than its LOCUS line says: with
        file, record (from 1) and line (from 1).

    Warns
    -----
    UserWarning
        Once, if features or their locations can't be read: with file and record. Of what else is odd in a file and
        changes neither bases nor ids nor features nothing is said.
    """
    from Bio import BiopythonParserWarning, SeqIO

    lines = _Lines(stream)
    records: list[Any] = []
    said_of: list[int] = []
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", BiopythonParserWarning)
            warnings.filterwarnings("error", "Expected sequence length", BiopythonParserWarning)
            warnings.filterwarnings("error", "Premature end", BiopythonParserWarning)
            for record in SeqIO.parse(lines, "genbank"):
                _refuse_undefined(record)
                records.append(record)
                said_of += [len(records) - 1] * (len(said) - len(said_of))
    except BrokenGzipError as error:
        raise BrokenGzipError(f"{name}: {lines.place()}: {error}") from None
    except (ValueError, AssertionError, BiopythonParserWarning) as error:
        after = f" (after {records[-1].id!r})" if records else ""
        reason = " ".join(str(error).split()) or "it cannot be parsed"
        raise ValueError(f"{name}: record {len(records) + 1}{after}, line {lines.count}: {reason}") from None
    if not records:
        raise ValueError(f"{name}: no GenBank record; a record begins with LOCUS and ends with //")

    def place(i: int) -> str:
        return f"{name}: record {i + 1} {records[i].id!r}"

    _tell([(place(i), warning) for i, warning in zip(said_of, said, strict=False)])
    return from_records(records, place)


def _tell(said: list[tuple[str, warnings.WarningMessage]]) -> None:
    """Warn once, of features that were lost: bases and ids are there, whatever else Biopython says of a file."""
    from Bio import BiopythonWarning

    lost = []
    for place, warning in said:
        reason = " ".join(str(warning.message).split())
        if not issubclass(warning.category, BiopythonWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif any(words in reason for words in _LOST):
            lost.append(f"{place}: {reason.rstrip('.')}")
    if lost:
        more = f" ({len(lost) - 1} more like it)" if len(lost) > 1 else ""
        warnings.warn(f"{lost[0]}{more}; correct the file if its features matter", UserWarning, stacklevel=3)


def from_records(records: Iterable[Any], place: Callable[[int], str]) -> Sequences:
    """Return the bases, ids, qualities and features of Bio.SeqRecord.SeqRecord objects.

    Qualities are kept if every record has ``letter_annotations["phred_quality"]``; `place` names a record by its
    index in a message.
    """
    found = list(records)
    codes, lengths = encode_texts([bases_of(record.seq, place(i)) for i, record in enumerate(found)], place)
    grades = [record.letter_annotations.get("phred_quality") for record in found]
    graded = bool(grades) and all(grade is not None for grade in grades)
    return Sequences(
        codes,
        offsets_of(lengths),
        [str(record.id) for record in found],  # type: ignore[arg-type]
        np.concatenate([np.asarray(grade, dtype=np.uint8) for grade in grades]) if graded else None,
        tuple(tuple(record.features) for record in found),
    )


def bases_of(seq: Any, place: str) -> str:
    """Return the letters of a Bio.Seq.Seq; ValueError, at its place, if it is None or has only a length."""
    from Bio.Seq import UndefinedSequenceError

    try:
        if seq is not None:
            return str(seq)
    except UndefinedSequenceError:
        pass
    raise ValueError(f"{place}: it has no sequence; complete it or leave it out")


def _refuse_undefined(record: Any) -> None:
    from Bio.Seq import UndefinedSequenceError

    try:
        bytes(record.seq[:1])
    except UndefinedSequenceError:
        raise ValueError(f"{record.id!r} has no bases, only a length; fetch it with its sequence") from None


class _Lines:
    """Text of a stream, as much as Biopython asks of a file; counts the lines read, and the records they begin."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0
        self._records, self._name = 0, ""

    def place(self) -> str:
        """Name the record begun last, and the line."""
        record = f"record {self._records} {self._name!r}, " if self._records else ""
        return f"{record}line {self.count}"

    def readline(self) -> str:
        raw = self._stream.readline()
        self.count += bool(raw)
        line = raw.decode("utf-8-sig" if self.count == 1 else "utf-8", "replace").replace("\r\n", "\n")
        if line.startswith(("LOCUS ", "VERSION ")):
            if line.startswith("LOCUS") and line[5:12].strip():  # Biopython would pass over the record
                line = f"{'LOCUS':12}{line[5:].lstrip()}"
            self._records += line.startswith("LOCUS")
            self._name = (line.split() + [""])[1] or self._name
        return line

    def read(self, size: int = -1) -> str:
        return self._stream.read(size).decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return iter(self.readline, "")

    def __next__(self) -> str:
        return next(iter(self))
