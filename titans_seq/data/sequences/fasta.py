"""FASTA in and out, without a Python object per line or record."""

from __future__ import annotations

from numbers import Integral
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._files import BLOCK, BrokenGzipError, blocks
from titans_seq.data.sequences._growing import Growing
from titans_seq.data.sequences._ragged import take_pieces
from titans_seq.data.sequences._writing import whole_file
from titans_seq.data.sequences.alphabet import ENCODE, REFUSED, SKIPPED, why_refused
from titans_seq.data.sequences.sequences import Sequences

Bytes = NDArray[np.uint8]

_LONGEST_HEADER = 1 << 20


def read_fasta(stream: BinaryIO, name: str, block_size: int = BLOCK) -> Sequences:
    """Read FASTA from a stream of bytes.

    Parameters
    ----------
    stream : binary file
        Any number of records; lines end in LF or CRLF, have any length, and may hold white space.
    name : str
        Of the file, for messages.
    block_size : int, default 262144
        Bytes read at a time.

    Returns
    -------
    Sequences
        Ids are the first words of the header lines.

    Raises
    ------
    ValueError
        A record without an id or bases, a letter that is no IUPAC code, text before the first header, a gzip
        file that ends too early: with file, record (from 1) and line (from 1).
    """
    reader = _Fasta(name)
    try:
        for block in blocks(stream, block_size):
            reader.feed(block)
    except BrokenGzipError as error:
        raise BrokenGzipError(f"{reader.place(reader.line)}: {error}") from None
    return reader.finish()


def write_fasta(sequences: Sequences, path: str | Path, width: int = 60) -> None:
    """Write sequences as FASTA; lower case where soft-masked.

    Parameters
    ----------
    sequences : Sequences
    path : path
        Written whole or not at all; gzipped if its name ends in .gz.
    width : int, default 60
        Bases of a line.

    Raises
    ------
    ValueError
        A width below 1; an id that is empty or holds white space, a sequence without bases: what could not be read
        back.
    """
    if isinstance(width, bool) or not isinstance(width, Integral) or width < 1:
        raise ValueError(f"width must be a whole number from 1 on, found {width!r}")
    for i, (name, length) in enumerate(zip(sequences.ids, sequences.lengths, strict=True)):
        if name.split() != [name] or not length:
            raise ValueError(f"sequence {i}: FASTA needs an id of one word and a base, got {name!r} and {length} bases")
    with whole_file(path) as file:
        for name, bases in zip(sequences.ids, sequences, strict=True):
            lines = (bases[at : at + width] for at in range(0, len(bases), width))
            file.write(f">{name}\n" + "\n".join(lines) + "\n")


class _Fasta:
    """What stands between two blocks of a file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found = Growing()
        self.line = 1  # of the next byte
        self._carry = b""  # a header line whose end is in the next block
        self._at_line_start = True
        self._header_line = 0  # of the last record

    def place(self, line: int) -> str:
        """Name the file, the record that is being read and the line."""
        record = f"record {self.found.n_records} {self.found.last_name()!r}, " if self.found.n_records else ""
        return f"{self.name}: {record}line {line}"

    def feed(self, block: bytes) -> None:
        data = self._carry + block
        last = data.rfind(b"\n") + 1
        unfinished = data[last : last + 1] == b">" and (last > 0 or self._at_line_start)
        self._carry = data[last:] if unfinished else b""
        if len(self._carry) > _LONGEST_HEADER:
            newlines = data.count(b"\n")
            at = f"{self.name}: line {self.line + newlines}"
            raise ValueError(f"{at}: a header of more than 1 MiB; do lines end in a bare CR? Convert them to LF")
        self._read(data[:last] if unfinished else data)

    def finish(self) -> Sequences:
        if self._carry:
            self._read(self._carry + b"\n")
        if not self.found.n_records:
            raise ValueError(f"{self.name}: no FASTA record; a record begins with a line '>id'")
        self._refuse_empty(self.found.last_begin, np.array([len(self.found.codes)]), np.zeros(0, dtype=np.int64))
        return self.found.finish()

    def _read(self, data: bytes) -> None:
        """Read whole header lines and any pieces of others."""
        if not data:
            return
        raw = np.frombuffer(data, dtype=np.uint8)
        newlines = np.flatnonzero(raw == ord("\n"))
        starts = newlines + 1
        if self._at_line_start:
            starts = np.append(0, starts)
        starts = starts[starts < len(raw)]
        headers = starts[raw[starts] == ord(">")]
        ends = newlines[np.searchsorted(newlines, headers)]
        codes = _encode_bodies(raw, headers, ends)
        kept = np.flatnonzero(codes < SKIPPED)
        before = np.searchsorted(kept, headers)
        lines = self.line + np.searchsorted(newlines, headers)
        self._refuse_leading(kept, headers, newlines)
        self._refuse_letters(raw, codes, headers, newlines)
        self._begin(raw, headers, ends, len(self.found.codes) + before, lines)
        self.found.add_bases(codes[kept])
        self.line += len(newlines)
        self._at_line_start = data.endswith(b"\n")

    def _begin(self, raw: Bytes, headers: Int64Array, ends: Int64Array, at: Int64Array, lines: Int64Array) -> None:
        if not len(headers):
            return
        white = ENCODE[raw] == SKIPPED
        words, gaps = np.flatnonzero(~white), np.flatnonzero(white)
        begins = _next(words, headers + 1, len(raw))
        stops = gaps[np.minimum(np.searchsorted(gaps, begins), len(gaps) - 1)]
        nameless = np.flatnonzero(begins >= ends)
        if len(nameless):
            line, record = lines[nameless[0]], self.found.n_records + nameless[0] + 1
            raise ValueError(f"{self.name}: record {record}, line {line}: the header has no id; write one after '>'")
        lone = np.flatnonzero(raw[stops] == ord("\r"))
        if len(lone) and (raw[stops[lone] + 1] != ord("\n")).any():
            i = lone[np.argmax(raw[stops[lone] + 1] != ord("\n"))]
            raise ValueError(f"{self.name}: line {lines[i]}: lines end in a bare CR; convert them to LF")
        previous = self.found.last_begin
        self.found.begin(at, take_pieces(raw, begins, stops - begins), stops - begins)
        self._refuse_empty(previous, at, lines)
        self._header_line = int(lines[-1])

    def _refuse_leading(self, kept: Int64Array, headers: Int64Array, newlines: Int64Array) -> None:
        first = kept[0] if len(kept) else None
        if self.found.n_records or first is None or (len(headers) and headers[0] < first):
            return
        line = self.line + np.searchsorted(newlines, first)
        raise ValueError(f"{self.name}: line {line}: bases before the first header; a record begins with a line '>id'")

    def _refuse_letters(self, raw: Bytes, codes: Bytes, headers: Int64Array, newlines: Int64Array) -> None:
        wrong = codes == REFUSED
        if not wrong.any():
            return
        at = int(np.argmax(wrong))
        line = self.line + int(np.searchsorted(newlines, at))
        inside = headers[headers < at]
        record = self.found.n_records + len(inside)
        of = f"record {record} {self._name_of(raw, inside)!r}, " if record else ""
        letter = chr(raw[at])
        raise ValueError(f"{self.name}: {of}line {line}: {letter!r} is {why_refused(letter)}")

    def _name_of(self, raw: Bytes, headers: Int64Array) -> str:
        if not len(headers):
            return self.found.last_name()
        line = raw[headers[-1] + 1 :].tobytes().partition(b"\n")[0].split()
        return line[0].decode("utf-8", "replace") if line else ""

    def _refuse_empty(self, previous: int, begins: Int64Array, lines: Int64Array) -> None:
        """Refuse the record before each of `begins` if it has no bases; the first of them begins at `previous`."""
        empty = np.flatnonzero(np.append(previous, begins[:-1]) == begins)
        if not len(empty):
            return
        i = int(empty[0])
        record = self.found.n_records - len(lines) + i
        line, name = int(lines[i - 1]) if i else self._header_line, self.found.name(record - 1)
        raise ValueError(f"{self.name}: record {record} {name!r}, line {line}: no bases; complete or remove the record")


def _encode_bodies(raw: Bytes, headers: Int64Array, ends: Int64Array) -> Bytes:
    """Return the code of each byte, `SKIPPED` in header lines."""
    codes = ENCODE[raw]
    if len(headers):
        edge = np.zeros(len(raw) + 1, dtype=np.int8)
        edge[headers], edge[ends + 1] = 1, -1
        # A header may begin where the last one ends: then nothing changes.
        edge[np.intersect1d(headers, ends + 1)] = 0
        codes[np.cumsum(edge[:-1], dtype=np.int8).view(np.bool_)] = SKIPPED
    return codes


def _next(sorted_places: Int64Array, wanted: Int64Array, none: int) -> Int64Array:
    """Return the first of the places at or after each of `wanted`, `none` where there is none."""
    return np.append(sorted_places, none)[np.searchsorted(sorted_places, wanted)]
