"""Sequences while they are read, piece by piece."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences.alphabet import CodeArray
from titans_seq.data.sequences.sequences import Sequences


class Growing:
    """Bytes that are appended to: codes, names and where records begin.

    The arrays of the finished `Sequences` are these very bytes, so reading needs little more than the result.
    """

    def __init__(self) -> None:
        self.codes = bytearray()
        self.names = bytearray()
        self.qualities: bytearray | None = None
        self._begins: list[Int64Array] = []
        self._name_lengths: list[Int64Array] = []
        self.n_records = 0

    def add_bases(self, codes: CodeArray) -> None:
        """Append to the last record."""
        self.codes += codes.data

    def begin(self, at: Int64Array, names: NDArray[np.uint8], name_lengths: Int64Array) -> None:
        """Begin records at the bases `at` (m,), with names one after another in `names`."""
        self._begins.append(at)
        self._name_lengths.append(name_lengths)
        self.names += names.data
        self.n_records += len(at)

    @property
    def last_begin(self) -> int:
        """Where the last record begins, -1 before the first."""
        return int(self._begins[-1][-1]) if self.n_records else -1

    def last_name(self) -> str:
        """Return the name of the record begun last."""
        return self.name(self.n_records - 1)

    def name(self, i: int) -> str:
        """Return the name of record i."""
        offsets = offsets_of(np.concatenate(self._name_lengths))
        return self.names[offsets[i] : offsets[i + 1]].decode("utf-8", "replace")

    def finish(self) -> Sequences:
        """Return what was read."""
        none = np.zeros(0, dtype=np.int64)
        begins, lengths = (np.concatenate([none, *parts]) for parts in (self._begins, self._name_lengths))
        names = Names(np.frombuffer(self.names, dtype=np.uint8), offsets_of(lengths))
        return Sequences(
            np.frombuffer(self.codes, dtype=np.uint8),
            np.append(begins, len(self.codes)),
            names,
            None if self.qualities is None else np.frombuffer(self.qualities, dtype=np.uint8),
        )
