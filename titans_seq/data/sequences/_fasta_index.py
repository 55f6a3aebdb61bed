"""Where the bases of a FASTA file stand: the table of a ``.fai`` (samtools faidx), read, checked, built and written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._writing import whole_file
from titans_seq.data.sequences.alphabet import ENCODE, SKIPPED

_BLOCK = 1 << 20
_LONGEST_HEADER = 1 << 20
_LF, _CR, _HEADER = (ord(letter) for letter in "\n\r>")
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class FastaIndex:
    """Records of a FASTA file in its order; in each, all lines but the last have one length.

    Attributes
    ----------
    names : Names
        First words of the header lines.
    lengths : int64 array (n,)
        Bases.
    offsets : int64 array (n,)
        Byte of the first base.
    line_bases, line_bytes : int64 arrays (n,)
        Bases of a line, and its bytes with what ends it.
    """

    names: Names
    lengths: Int64Array
    offsets: Int64Array
    line_bases: Int64Array
    line_bytes: Int64Array

    def place(self, i: int, base: int) -> int:
        """Return the byte of a base of record i."""
        line, column = divmod(base, int(self.line_bases[i]))
        return int(self.offsets[i]) + line * int(self.line_bytes[i]) + column


def index_path(path: Path) -> Path:
    """Return where the index of a FASTA file is looked for: beside it, with ``.fai`` after its name."""
    return path.with_name(path.name + ".fai")


def write_index(index: FastaIndex, path: Path) -> None:
    """Write an index as samtools does: name, length, offset, bases and bytes of a line, between tabs."""
    columns = (index.lengths, index.offsets, index.line_bases, index.line_bytes)
    with whole_file(path) as file:
        for name, *numbers in zip(index.names, *(column.tolist() for column in columns), strict=True):
            file.write("\t".join([name, *map(str, numbers)]) + "\n")


def read_index(path: Path) -> FastaIndex:
    """Read an index; ValueError, without the name of the file, where it is none."""
    names, rows = [], []
    for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n"), 1):
        if not line.strip():
            continue
        name, *fields = line.rstrip("\r").split("\t")
        if len(fields) != 4 or not all(field.isascii() and field.isdigit() for field in fields):
            raise ValueError(f"line {number} is not a name and four numbers")
        names.append(name)
        rows.append([int(field) for field in fields])
    table = np.array(sorted(rows, key=lambda row: row[1]), dtype=np.int64).reshape(-1, 4)
    order = np.argsort([row[1] for row in rows], kind="stable")
    return FastaIndex(Names.of(names[i] for i in order), *table.T)


def misfit(index: FastaIndex, data: bytes | memoryview | NDArray[np.uint8]) -> str | None:
    """Say where an index does not fit the bytes of its file; None if header lines and ends are where it says.

    Looks at a few bytes of each record, not at the bases between.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    if not len(index.names):
        return "it names no record"
    after = 3 if raw[:3].tobytes() == _MARK else 0
    for i, name in enumerate(index.names):
        found = _misplaced(index, i, name, raw, after)
        if found is not None:
            return f"record {i + 1} {name!r}: {found}"
        after = index.place(i, int(index.lengths[i]) - 1) + 1
    return None if _is_white(raw[after:]) else "there is more in the file after its last record"


def _misplaced(index: FastaIndex, i: int, name: str, raw: NDArray[np.uint8], after: int) -> str | None:
    """Say what is wrong with record i, whose header line is to be the first thing from byte ``after`` on."""
    length, offset = int(index.lengths[i]), int(index.offsets[i])
    bases, width = int(index.line_bases[i]), int(index.line_bytes[i])
    several = length > bases
    if length < 1 or bases < 1 or not bases <= width <= bases + 2 or (several and width == bases):
        return "its numbers can't be"
    last = index.place(i, length - 1)
    if not after < offset <= last < len(raw):
        return "it lies outside the file"
    if offset - after > _LONGEST_HEADER:
        return "its bases do not begin after a header line"
    between = raw[after:offset].tobytes().lstrip()
    title = between[1:].split(maxsplit=1)
    if between[:1] != b">" or between.find(b"\n") != len(between) - 1 or not title:
        return "its bases do not begin after a header line"
    if title[0].decode("utf-8", "replace") != name:
        return f"the file has {title[0].decode('utf-8', 'replace')!r} there"
    begins_line = (length - 1) % bases == 0 or not several
    seam = raw[offset + bases : offset + width] if several else raw[:0]
    if several and (not _is_white(seam) or seam[-1] != _LF):
        return f"its first line has not {bases} bases"
    if ENCODE[raw[[offset, last]]].max() >= SKIPPED or (begins_line and several and raw[last - 1] != _LF):
        return "its last base is elsewhere"
    return None


def _is_white(raw: NDArray[np.uint8]) -> bool:
    return all(bool((ENCODE[raw[at : at + _BLOCK]] == SKIPPED).all()) for at in range(0, len(raw), _BLOCK))


def build_index(path: Path, block_size: int = _BLOCK) -> FastaIndex | None:
    """Read a FASTA file once, a block at a time, and return where its records stand.

    None where lines within a record differ in length, or anything else is not as it should be, letters among it:
    then the whole file has to be read, and what is wrong is said there.
    """
    with path.open("rb") as file:
        builder = _Builder(len(_MARK) if file.read(len(_MARK)) == _MARK else 0)
        file.seek(builder.at)
        while block := file.read(block_size):
            if not builder.feed(np.frombuffer(block, dtype=np.uint8)):
                return None
        if not builder.finish():
            return None
        names = [_first_word(file, *bounds) for bounds in builder.headers]
    if not all(names) or len(names) != len(builder.lengths):
        return None
    columns = (builder.lengths, builder.offsets, builder.line_bases, builder.line_bytes)
    return FastaIndex(Names.of(names), *(np.array(column, dtype=np.int64) for column in columns))


def _first_word(file: BinaryIO, start: int, end: int) -> str:
    file.seek(start + 1)
    words = file.read(end - start - 1).split(maxsplit=1)
    return words[0].decode("utf-8", "replace") if words else ""


class _Builder:
    """What stands between two blocks of a file: the line that goes on, and the record it is of."""

    def __init__(self, at: int) -> None:
        self.headers: list[tuple[int, int]] = []
        self.lengths: list[int] = []
        self.offsets: list[int] = []
        self.line_bases: list[int] = []
        self.line_bytes: list[int] = []
        self.at = at  # byte at which the next block begins
        self.line = at  # byte at which the line that goes on begins
        self.in_header = False  # whether that line is a header
        self.after_cr = False  # whether the last byte was a CR outside a header
        self.closed = False  # whether the record's last line has been read

    def feed(self, raw: NDArray[np.uint8]) -> bool:
        """Read on; False if this is no file with a simple index."""
        ends = np.flatnonzero(raw == _LF)
        own = np.append(0, ends + 1) if self.line == self.at else ends + 1
        own = own[own < len(raw)]
        is_header = raw[own] == _HEADER
        kinds = is_header if self.line == self.at else np.append(self.in_header, is_header)
        if not self._letters_fit(raw, ends, own[is_header]):
            return False
        starts = np.append(self.line, self.at + ends + 1)
        returns = (raw[ends - 1] == _CR) & (ends > 0)
        if len(ends) and ends[0] == 0:
            returns[0] = self.after_cr
        fine = self._lines(starts[:-1], self.at + ends, returns, kinds[: len(ends)])
        self.line = int(starts[-1])
        self.in_header = bool(kinds[-1]) if self.line < self.at + len(raw) else False
        self.after_cr = bool(raw[-1] == _CR) and not self.in_header
        self.at += len(raw)
        return fine

    def finish(self) -> bool:
        """Read the end of the file, where the last line may lack its end."""
        if self.after_cr or self.in_header:
            return False
        if self.line < self.at:
            end = np.array([self.at])
            return self._lines(np.array([self.line]), end, np.zeros(1, dtype=bool), np.zeros(1, dtype=bool))
        return len(self.headers) == len(self.lengths) > 0

    def _letters_fit(self, raw: NDArray[np.uint8], ends: Int64Array, headers: Int64Array) -> bool:
        """Whether all outside header lines are letters, ends of lines, and CR before them."""
        codes = ENCODE[raw]
        white = codes >= SKIPPED
        white[ends] = False
        before = ends[ends > 0] - 1
        white[before[raw[before] == _CR]] = False
        if raw[-1] == _CR:
            white[-1] = False
        if self.in_header:
            white[: ends[0] if len(ends) else len(raw)] = False
        for start in headers[white[headers]]:
            stop = np.searchsorted(ends, start)
            white[start : ends[stop] if stop < len(ends) else len(raw)] = False
        broken = self.after_cr and raw[0] != _LF
        return not broken and not white.any()

    def _lines(
        self, starts: Int64Array, ends: Int64Array, returns: NDArray[np.bool_], is_header: NDArray[np.bool_]
    ) -> bool:
        """Take up whole lines, in order."""
        edges = np.append(np.flatnonzero(is_header), len(starts))
        bases = ends - starts - returns
        if edges[0] > 0 and not self._body(starts, bases, ends, slice(0, int(edges[0]))):
            return False
        for header, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if len(self.headers) != len(self.lengths):
                return False
            self.headers.append((int(starts[header]), int(ends[header])))
            self.closed = False
            if stop > header + 1 and not self._body(starts, bases, ends, slice(header + 1, stop)):
                return False
        return True

    def _body(self, starts: Int64Array, bases: Int64Array, ends: Int64Array, lines: slice) -> bool:
        """Take up lines of one record; all but the last have to be alike, and blank ones come after it."""
        bases, widths = bases[lines], ends[lines] - starts[lines] + 1
        if not self.headers:
            return not bases.any()
        if len(self.lengths) < len(self.headers):
            if not bases[0]:
                return False
            self.offsets.append(int(starts[lines][0]))
            self.line_bases.append(int(bases[0]))
            self.line_bytes.append(int(widths[0]))
            self.lengths.append(0)
        usual = (bases == self.line_bases[-1]) & (widths == self.line_bytes[-1])
        odd = np.flatnonzero(~usual)
        first = 0 if self.closed else int(odd[0]) + 1 if len(odd) else len(bases)
        fits = not bases[first:].any() and not (len(odd) and bases[odd[0]] > self.line_bases[-1])
        self.closed = self.closed or bool(len(odd))
        self.lengths[-1] += int(bases.sum())
        return bool(fits)
