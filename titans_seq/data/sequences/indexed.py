"""FASTA that is not read but looked into: the bases of a stretch, wherever it is."""

from __future__ import annotations

import mmap
import os
import warnings
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._fasta_index import (
    FastaIndex,
    build_index,
    index_path,
    misfit,
    read_index,
    write_index,
)
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences.alphabet import ENCODE, SKIPPED, CodeArray

_PIECE = 1 << 20
"""Bytes that are decoded at once."""

_TOUCHED = 1 << 16
"""Bytes that the system brings into memory where one is read."""

_RESIDENT = 1 << 25
"""Bytes read after which the pages of the file are let go of; the system keeps them while it has room."""


class WrongIndexError(ValueError):
    """An index that says bases are where there are none."""


class IndexedFasta:
    """Records of a plain FASTA file, by places; in memory is where they begin, not their bases.

    Parameters
    ----------
    path : Path
    index : FastaIndex
        Of this file.

    Notes
    -----
    The file may not change while it is open.
    """

    def __init__(self, path: Path, index: FastaIndex) -> None:
        self.path, self.index, self._read = path, index, 0
        self._open()

    @property
    def names(self) -> Names:
        """Names of the records, in the order of the file."""
        return self.index.names

    @property
    def lengths(self) -> Int64Array:
        """Bases of each record, shape (n,)."""
        return self.index.lengths

    def codes(self, i: int, start: int, end: int) -> CodeArray:
        """Return codes of bases ``start`` to ``end - 1`` of record i, which must be there.

        Raises
        ------
        WrongIndexError
            The index does not fit the file there.
        ValueError
            The file has changed since it was opened.
        """
        if end <= start:
            return np.zeros(0, dtype=np.uint8)
        if _state(self.path) != self._state:
            raise ValueError(f"{self.path} has changed since it was opened; open it again")
        at, last = self.index.place(i, start), self.index.place(i, end - 1)
        found, filled = np.empty(end - start, dtype=np.uint8), 0
        for begin in range(at, last + 1, _PIECE):
            part = self._decode(begin, min(begin + _PIECE, last + 1), i)
            found[filled : filled + len(part)] = part
            filled += len(part)
        return found

    def _decode(self, begin: int, stop: int, i: int) -> CodeArray:
        """Return the letters of some bytes of record i."""
        bases, width = int(self.index.line_bases[i]), int(self.index.line_bytes[i])
        column = (begin - int(self.index.offsets[i])) % width if self.index.lengths[i] > bases else 0
        codes = ENCODE[np.frombuffer(self._bytes[begin:stop], dtype=np.uint8)]
        self._let_go(stop - begin)
        if column and stop - begin > bases - column or stop - begin > bases:
            is_base = np.arange(column, column + len(codes)) % width < bases
            if (codes[~is_base] != SKIPPED).any():
                raise WrongIndexError("lines end elsewhere")
            codes = codes[is_base]
        if codes.max(initial=0) >= SKIPPED:
            raise WrongIndexError("there is something else than bases")
        return codes

    def _let_go(self, n: int) -> None:
        """Drop the pages that were read from this process, once they are many."""
        self._read += max(n, _TOUCHED)
        if self._read > _RESIDENT and hasattr(mmap, "MADV_DONTNEED"):
            self._bytes.madvise(mmap.MADV_DONTNEED)
            self._read = 0

    def _open(self) -> None:
        with self.path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._state = _state(self.path)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "index": self.index, "state": self._state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.index, self._read = state["path"], state["index"], 0
        self._open()
        self._state = state["state"]


def may_be_indexed(data: Any) -> TypeGuard[str | Path]:
    """Whether data are the path of a plain FASTA file, by its first bytes."""
    if not isinstance(data, str | Path) or not os.path.isfile(data):
        return False
    with Path(data).open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b">")


def open_indexed(path: Path, *, write: bool = False, use: bool = True) -> IndexedFasta | None:
    """Open a plain FASTA file by its index, which is that beside it if it fits, else built.

    Parameters
    ----------
    path : Path
    write : bool, default False
        Whether an index that was built is written beside the file.
    use : bool, default True
        Whether the index beside the file is looked at.

    Returns
    -------
    IndexedFasta or None
        None if the file has to be read as a whole: its lines are of many lengths, or there is a fault in it.

    Warns
    -----
    UserWarning
        If there is an index that is older than the file or does not fit it.
    """
    beside = index_path(path)
    wrong = None
    if use and beside.exists():
        found = _fitting(path, beside)
        if isinstance(found, IndexedFasta):
            return found
        wrong = found
    index = build_index(path)
    if wrong is not None:
        tell_misfit(beside, wrong, rebuilt=index is not None, written=write)
    if index is None:
        return None
    if write:
        write_index(index, beside)
    return IndexedFasta(path, index)


def tell_misfit(beside: Path, wrong: str, *, rebuilt: bool, written: bool = False) -> None:
    """Warn of an index that is not that of its file, and say what was done."""
    done = "it was built anew in memory; write_index=True, or samtools, renews it"
    if not rebuilt:
        done = "the file is read as a whole: its lines have no index"
    elif written:
        done = "it was written anew"
    warnings.warn(f"{beside} is not the index of its file ({wrong}); {done}", UserWarning, stacklevel=4)


def _fitting(path: Path, beside: Path) -> IndexedFasta | str:
    """Return the file with the index beside it, or what is wrong with that."""
    if beside.stat().st_mtime_ns < path.stat().st_mtime_ns:
        return "it is older"
    try:
        found = IndexedFasta(path, read_index(beside))
    except (ValueError, OSError) as error:
        return str(error)
    wrong = misfit(found.index, memoryview(found._bytes))
    return found if wrong is None else wrong


def _state(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns
