"""A reference genome: bases by chromosome and interval."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._chromosomes import spellings
from titans_seq.data.sequences._fasta_index import index_path
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences.alphabet import COMPLEMENT, UNKNOWN, CodeArray, to_text
from titans_seq.data.sequences.coordinates import Interval
from titans_seq.data.sequences.indexed import IndexedFasta, WrongIndexError, may_be_indexed, open_indexed, tell_misfit
from titans_seq.data.sequences.read import read_sequences
from titans_seq.data.sequences.sequences import Sequences

_MOST_BEYOND = 1 << 20
"""Bases that an interval may have more than its chromosome: no model reads longer windows, so it is an error."""


class Genome:
    """Chromosomes by name.

    A plain FASTA file whose lines are alike within each record is not read but looked into: by the index of samtools
    beside it (``.fai``) if that fits, else by one that is built in one pass, at a memory that does not grow with the
    bases. Anything else is read, one byte a base.

    Names are matched with or without ``chr``: ``1`` finds ``chr1``, ``MT`` and ``M`` find ``chrM``, and the other way
    round; a name that is there as it is written always wins.

    Parameters
    ----------
    data : path or Sequences
        What `read_sequences` takes; ids must differ. A FASTA file may not change while the genome is in use.
    write_index : bool, default False
        Whether an index that had to be built is kept beside the file, as ``<file>.fai``.

    Raises
    ------
    ValueError
        Two records of one id; what `read_sequences` refuses; an index to be written for what can't have one.

    Warns
    -----
    UserWarning
        If the index beside the file is older than it or does not fit it; another one is built then.

    Examples
    --------
    >>> genome = Genome(Sequences.of({"chr1": "ACGTT"}))
    >>> genome.fetch("1", 1, 4), genome.fetch("1", 3, 7, strand="-")
    ('CGT', 'NNAA')
    """

    def __init__(self, data: str | Path | Sequences | Any, *, write_index: bool = False) -> None:
        self._file = f"{data}: " if isinstance(data, str | Path) else ""
        source = open_indexed(Path(data), write=write_index) if may_be_indexed(data) else None
        if write_index and source is None:
            read_sequences(data)  # says what is wrong with the file, if that is why
            raise ValueError("write_index: only plain FASTA whose lines have one length in each record has an index")
        self._take(_Loaded(read_sequences(data)) if source is None else source)

    def _take(self, source: _Loaded | IndexedFasta) -> None:
        self._source = source
        names = source.names
        self._places = {name: i for i, name in reversed(list(enumerate(names)))}
        if len(self._places) < len(names):
            i, twice = next((i, name) for i, name in enumerate(names) if self._places[name] != i)
            records = f"two records {twice!r} ({self._places[twice] + 1} and {i + 1})"
            raise ValueError(f"{self._file}the genome has {records}; names of chromosomes must differ")

    def __repr__(self) -> str:
        return f"<Genome of {len(self.names)} chromosomes, {int(self._source.lengths.sum()):,} bases>"

    @property
    def sequences(self) -> Sequences:
        """All chromosomes, in memory: of a file that is looked into, read for this."""
        source = self._source
        return source.sequences if isinstance(source, _Loaded) else read_sequences(source.path)

    @property
    def names(self) -> Names:
        """Names of the chromosomes, in the order of the file."""
        return self._source.names

    @property
    def lengths(self) -> dict[str, int]:
        """Bases of each chromosome."""
        return dict(zip(self.names, self._source.lengths.tolist(), strict=True))

    def length_of(self, chrom: str) -> int:
        """Return the bases of one chromosome."""
        return int(self._source.lengths[self._places[self.resolve(chrom)]])

    def find(self, chrom: str) -> str | None:
        """Return this genome's name of a chromosome, None if it has none."""
        return next((name for name in spellings(chrom) if name in self._places), None)

    def resolve(self, chrom: str) -> str:
        """Return this genome's name of a chromosome; ValueError with both names if it has none."""
        found = self.find(chrom)
        if found is None:
            raise ValueError(f"no chromosome {chrom!r}; the genome has {_listed(self.names)}")
        return found

    def fetch(self, chrom: str, start: int, end: int, strand: str = "+", pad: str = "N") -> str:
        """Return bases of one interval, 0-based and half-open.

        Parameters
        ----------
        chrom : str
        start, end : int
            May reach past the chromosome's ends.
        strand : {"+", "-"}, default "+"
            "-" gives the reverse complement.
        pad : {"N", "drop", "raise"}, default "N"
            What to do with places outside the chromosome: fill in N, leave them out (what is returned is
            shorter), or refuse.

        Raises
        ------
        ValueError
            An unknown chromosome, an interval without bases, one outside with ``pad="raise"``, one that has 2**20 bases
            more than its chromosome.
        """
        interval = Interval(chrom, start, end, strand)
        if pad == "drop":
            start, end = max(start, 0), min(end, self.length_of(chrom))
            return self.fetch(chrom, start, end, strand) if start < end else ""
        return to_text(self.codes(interval, pad))

    def codes(self, interval: Interval, pad: str = "N") -> CodeArray:
        """Return the codes of one interval, shape (length,); `pad` is "N" or "raise"."""
        _check_pad(pad)
        length = self.length_of(interval.chrom)
        if _is_too_long(interval, length):
            raise ValueError(_too_long(interval, length))
        low, high = max(interval.start, 0), min(interval.end, length)
        if pad == "raise" and (low, high) != (interval.start, interval.end):
            raise ValueError(f"{interval} reaches past {interval.chrom} of {length} bases")
        inside = self._inside(interval.chrom, low, max(low, high))
        before = min(max(-interval.start, 0), len(interval))
        after = len(interval) - before - len(inside)
        found = np.pad(inside, (before, after), constant_values=UNKNOWN)
        return COMPLEMENT[found[::-1]] if interval.strand == "-" else found

    def windows(self, intervals: Iterable[Interval], pad: str = "N") -> tuple[Sequences, Int64Array]:
        """Return the bases of many intervals.

        Parameters
        ----------
        intervals : iterable of Interval
            Of any lengths.
        pad : {"N", "drop", "raise"}, default "N"
            What to do with windows that reach past an end of their chromosome: fill in N, drop the windows, or
            refuse. The first two are said once, with their number, as a UserWarning.

        Returns
        -------
        sequences : Sequences
            Ids are the names of the intervals, or their regions where they have none.
        kept : int64 array (n,)
            Which intervals these are, to choose labels with.

        Raises
        ------
        ValueError
            An unknown chromosome (with the names on both sides); an interval that has 2**20 bases more than its
            chromosome, unless it is dropped: with file and line of BED, or the interval's number (from 0). No interval
            left, one that reaches past an end with ``pad="raise"``.
        """
        _check_pad(pad)
        asked = list(intervals)
        self._check_names(asked)
        lengths = self.lengths
        ends = [lengths[self.resolve(interval.chrom)] for interval in asked]
        for i, (interval, end) in enumerate(zip(asked, ends, strict=True)):
            if pad != "drop" and _is_too_long(interval, end):
                raise ValueError(f"{_window(asked, i)}: {_too_long(interval, end)}")
        past = np.array([one.start < 0 or one.end > end for one, end in zip(asked, ends, strict=True)], dtype=np.bool_)
        kept = np.flatnonzero(~past) if pad == "drop" else np.arange(len(asked))
        if not len(kept):
            raise ValueError("no window is left: there are none, or all of them reach past an end of their chromosome")
        if past.any():
            _tell(asked, past, ends, pad)
        chosen = [asked[i] for i in kept]
        pieces = [self.codes(interval) for interval in chosen]
        sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
        names = Names.of(interval.name or str(interval) for interval in chosen)
        return Sequences(np.concatenate(pieces), offsets_of(sizes), names), kept

    def _inside(self, chrom: str, start: int, end: int) -> CodeArray:
        """Return codes of places that are there."""
        name = self.resolve(chrom)
        try:
            return self._source.codes(self._places[name], start, end)
        except WrongIndexError as error:
            assert isinstance(self._source, IndexedFasta)
            self._index_anew(self._source.path, str(error))
        return self._source.codes(self._places[name], start, end)

    def _index_anew(self, path: Path, wrong: str) -> None:
        """Leave an index that turned out not to fit."""
        source = open_indexed(path, use=False)
        self._take(_Loaded(read_sequences(path)) if source is None else source)
        tell_misfit(index_path(path), wrong, rebuilt=source is not None)

    def _check_names(self, asked: Sequence[Interval]) -> None:
        first: dict[str, int] = {}
        for i, interval in enumerate(asked):
            first.setdefault(interval.chrom, i)
        unknown = [chrom for chrom in first if self.find(chrom) is None]
        if unknown:
            at = _window(asked, first[unknown[0]])
            raise ValueError(f"{at}: the genome has {_listed(self.names)}, but not {_listed(unknown)}")


class _Loaded:
    """Chromosomes in memory."""

    def __init__(self, sequences: Sequences) -> None:
        self.sequences, self.names, self.lengths = sequences, sequences.ids, sequences.lengths

    def codes(self, i: int, start: int, end: int) -> CodeArray:
        """Return codes of bases of record i, a view."""
        return self.sequences.codes_of(i)[start:end]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return f"{shown}, ... ({len(names)} names)" if len(names) > 5 else shown


def _check_pad(pad: str) -> None:
    if pad not in ("N", "drop", "raise"):
        raise ValueError(f"pad must be 'N', 'drop' or 'raise', got {pad!r}")


def _window(asked: Sequence[Interval], i: int) -> str:
    """Name an interval by where it was read, or by its number."""
    return asked[i].source or f"window {i}"


def _is_too_long(interval: Interval, length: int) -> bool:
    return interval.end - interval.start > length + _MOST_BEYOND


def _too_long(interval: Interval, length: int) -> str:
    return f"{interval} has {interval.end - interval.start:,} bases, its chromosome {length:,}; correct its end"


def _tell(asked: Sequence[Interval], past: Any, ends: Sequence[int], pad: str) -> None:
    """Refuse windows that reach past an end, or say how many were padded or dropped."""
    first = int(np.argmax(past))
    count = f"{past.sum()} of {len(past)} windows"
    source = f" ({asked[first].source})" if asked[first].source else ""
    where = f"the first is {asked[first]}, window {first}{source}, of a chromosome of {ends[first]} bases"
    if pad == "raise":
        raise ValueError(f"{count} reach past an end of their chromosome; {where}; use pad='N' or 'drop'")
    done = "were padded with N" if pad == "N" else "were dropped"
    warnings.warn(f"{count} reach past an end of their chromosome and {done}; {where}", UserWarning, stacklevel=3)
