"""FASTQ with its qualities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

import numpy as np

from titans_seq.data.sequences._files import BrokenGzipError
from titans_seq.data.sequences._growing import Growing
from titans_seq.data.sequences.alphabet import ENCODE, SKIPPED, why_refused
from titans_seq.data.sequences.sequences import Sequences

_OFFSET, _HIGHEST = 33, 126
"""First and last byte of a quality (Sanger, Illumina 1.8 and later): Phred 0 to 93."""


def read_fastq(stream: BinaryIO, name: str) -> Sequences:
    """Read FASTQ from a stream of bytes; bases and qualities may span lines.

    Qualities are Phred + 33 (Sanger; Illumina from 1.8 on).

    Parameters
    ----------
    stream : binary file
    name : str
        Of the file, for messages.

    Returns
    -------
    Sequences
        With `qualities`; ids are the first words of the title lines.

    Raises
    ------
    ValueError
        A record that is not whole, qualities that do not fit the bases, another name after "+" than after "@", a
        letter that is no IUPAC code: with file, record (from 1) and line (from 1).
    """
    reader = _Fastq(stream, name)
    reader.read()
    return reader.found.finish()


class _Fastq:
    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self.found = Growing()
        self.found.qualities = bytearray()
        self.line = 0
        self._lines = self._numbered(stream)
        self._id = b""
        self._grades: list[bytes] = []  # lines that were read as qualities of this record
        self._grades_line = 0  # of the first of them

    def read(self) -> None:
        for title in self._lines:
            if title:
                self._begin(title)
                letters = self._bases()
                self._qualities(letters)
        if not self.found.n_records:
            raise ValueError(f"{self.name}: no FASTQ record; a record begins with a line '@id'")

    def _numbered(self, stream: BinaryIO) -> Iterator[bytes]:
        try:
            for line in stream:
                self.line += 1
                yield line.rstrip().removeprefix(b"\xef\xbb\xbf" if self.line == 1 else b"")
        except BrokenGzipError as error:
            raise BrokenGzipError(self._fault(str(error))) from None

    def _begin(self, title: bytes) -> None:
        words = title[1:].split(maxsplit=1)
        if not title.startswith(b"@") or not words:
            if self._grades:
                self._refuse_swallowed([title])
            record = self.found.n_records + 1
            raise ValueError(
                f"{self.name}: record {record}, line {self.line}: {_shown(title)} is no title line '@id'; "
                "are there more qualities than bases before it?"
            )
        self._id = words[0]
        at = np.array([len(self.found.codes)])
        self.found.begin(at, np.frombuffer(words[0], dtype=np.uint8), np.array([len(words[0])]))

    def _bases(self) -> int:
        """Read the lines up to "+" and return how many bases they hold."""
        before = len(self.found.codes)
        for line in self._lines:
            if line.startswith(b"+"):
                self._check_repeated(line)
                break
            codes = ENCODE[np.frombuffer(line, dtype=np.uint8)]
            if len(codes) and codes.max() >= SKIPPED:
                letter = chr(line[int(np.argmax(codes >= SKIPPED))])
                raise self._fault(f"{letter!r} is {why_refused(letter)}")
            self.found.add_bases(codes)
        else:
            raise self._fault("the file ends before the '+' line; fetch it again")
        if len(self.found.codes) == before:
            raise self._fault("no bases; complete or remove the record")
        return len(self.found.codes) - before

    def _check_repeated(self, line: bytes) -> None:
        """Refuse another name after "+" than after "@"; there need be none."""
        words = line[1:].split(maxsplit=1)
        if words and words[0] != self._id:
            raise self._fault(f"the '+' line names {_shown(words[0])}; correct the record")

    def _qualities(self, letters: int) -> None:
        count, self._grades, self._grades_line = 0, [], self.line + 1
        while count < letters:
            line = next(self._lines, None)
            if line is None:
                raise self._explained(f"the file ends after {count} qualities of {letters} bases; fetch it again")
            self._grades.append(line)
            grades = np.frombuffer(line, dtype=np.uint8)
            if len(grades) and (grades.min() < _OFFSET or grades.max() > _HIGHEST):
                raise self._explained(f"{_shown(line)} holds a byte that is no quality ('!' to '~')")
            count += len(line)
            assert self.found.qualities is not None
            self.found.qualities += (grades - _OFFSET).astype(np.uint8).data
        if count > letters:
            raise self._explained(f"{count} qualities of {letters} bases; correct the record")
        if len(self._grades) > 2:  # as many as there should be, though a record may be among them
            self._refuse_swallowed([], whole=True)

    def _explained(self, what: str) -> ValueError:
        """Return a fault of this line, unless it is one of too few qualities before it: that is raised."""
        fault = self._fault(what)
        self._refuse_swallowed(islice(self._lines, 2))
        return fault

    def _refuse_swallowed(self, ahead: Iterable[bytes], whole: bool = False) -> None:
        """Refuse qualities that are too few, so that the next record was read for the rest of them.

        A title is told by the bases after it, for qualities may begin with "@", too; of the first line, and with
        `whole` of each, also by the "+" after these.
        """
        lines = [*self._grades, *ahead]
        for i in range(len(self._grades)):
            if _begins_record(lines[i : i + 3], whole or i == 0):
                count, letters = sum(map(len, lines[:i])), len(self.found.codes) - self.found.last_begin
                where = f"the title line {_shown(lines[i])} (line {self._grades_line + i})"
                self.line = self._grades_line
                raise self._fault(f"{count} qualities of {letters} bases before {where}; correct the record")

    def _fault(self, what: str) -> ValueError:
        record = f"record {self.found.n_records} {self.found.last_name()!r}, " if self.found.n_records else ""
        return ValueError(f"{self.name}: {record}line {self.line}: {what}")


def _begins_record(lines: Sequence[bytes], whole: bool) -> bool:
    """Whether lines are a title and bases, and, if asked for, the "+" line."""
    if len(lines) < 2 + whole or not lines[0].startswith(b"@") or not lines[0][1:].strip() or not lines[1]:
        return False
    codes = ENCODE[np.frombuffer(lines[1], dtype=np.uint8)]
    return bool(codes.max() < SKIPPED) and (not whole or lines[2].startswith(b"+"))


def _shown(line: bytes) -> str:
    text = line[:20].decode("ascii", "replace")
    return repr(text + ("..." if len(line) > 20 else ""))
