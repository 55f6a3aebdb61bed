"""Counts of the base that follows each context of k bases, on both strands, learned while a sequence is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences.alphabet import SOFT_MASKED, CodeArray

MAX_ORDER = 31
"""Longest context: its bases fit into 62 bits."""

_EXACT_ORDER = 12
"""Longest context that has a row of its own; longer ones share 4 ** 12 rows by a hash."""

_PIECE = 1 << 16
"""Bases counted at once; what is returned does not depend on it."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2 ** 64 over the golden ratio: Fibonacci hashing (Knuth, volume 3, section 6.4)."""


class BaseCounts:
    """How often each base followed each context of ``order`` bases.

    Reading a base counts it twice: as what follows the bases before it, and, on the opposite strand, the
    complement of the base ``order`` places before as what follows the reverse complement of the bases after that
    one. Both are known once the base is. A context or base that is not one of A, C, G and T is not counted.

    Parameters
    ----------
    order : int
        Bases of a context, 0 to 31. Longer contexts than 12 bases share rows by a hash; two contexts that meet
        in a row are counted as one.
    both_strands : bool, default True
        Whether the opposite strand is counted, too.

    Raises
    ------
    ValueError
        An order out of range.

    Notes
    -----
    Counts above order 10 end at 65,535. The table takes 16 bytes for each of 4 ** order contexts up to order 10,
    8 bytes above, 134 MB from order 12 on, however much is read.
    """

    def __init__(self, order: int, *, both_strands: bool = True) -> None:
        if not 0 <= order <= MAX_ORDER:
            raise ValueError(f"order must be from 0 to {MAX_ORDER}, found {order}")
        self.order, self.both_strands = order, both_strands
        kind: Any = np.uint32 if order <= 10 else np.uint16
        self.table: NDArray[Any] = np.zeros((4 ** min(order, _EXACT_ORDER), 4), dtype=kind)
        self.forget_context()

    def copy(self) -> BaseCounts:
        """Return another object with the same counts and context."""
        other = self.share()
        other.table = self.table.copy()
        return other

    def share(self) -> BaseCounts:
        """Return another object with the same table, which either may change, and a context of its own."""
        other = BaseCounts(0, both_strands=self.both_strands)
        other.order, other.table, other._tail = self.order, self.table, self._tail.copy()
        return other

    def forget_context(self) -> None:
        """Begin another sequence: what is read next follows no base; the counts stay."""
        self._tail = np.full(self.order, 4, dtype=np.uint8)

    def read(self, codes: CodeArray, *, learn: bool = True) -> NDArray[np.uint32]:
        """Read bases; return, for each of them, what had been counted in its context before it.

        Parameters
        ----------
        codes : uint8 array (n,)
            As in `Sequences`; they go on where the last call ended.
        learn : bool, default True
            Whether what is read is counted; else only the context moves on.

        Returns
        -------
        uint32 array (n, 4)
            Zeros where the context is not known.
        """
        pieces = [self._read(codes[at : at + _PIECE], learn) for at in range(0, len(codes), _PIECE)]
        return np.concatenate(pieces) if pieces else np.zeros((0, 4), dtype=np.uint32)

    def learn(self, codes: CodeArray) -> BaseCounts:
        """Count a sequence of its own; returns this object."""
        self.forget_context()
        for at in range(0, len(codes), _PIECE):
            slots, bases, _ = self._events(codes[at : at + _PIECE])
            self._add(slots, bases)
        self.forget_context()
        return self

    def ahead(self) -> NDArray[np.uint32]:
        """Return what has been counted in the context of the base that comes next, (4,)."""
        tail = self._tail
        found = self._read(np.zeros(1, dtype=np.uint8), False)
        self._tail = tail
        return found[0]

    def _read(self, codes: CodeArray, learn: bool) -> NDArray[np.uint32]:
        slots, bases, known = self._events(codes)
        found = self.table[slots[:, 0]].astype(np.uint32)
        if learn:
            found += _counted_before(slots, bases)
            np.minimum(found, np.iinfo(self.table.dtype).max, out=found)
            self._add(slots, bases)
        found[~known] = 0
        return found

    def _events(self, codes: CodeArray) -> tuple[Int64Array, Int64Array, NDArray[np.bool_]]:
        """Rows and bases that reading counts, (n, 1 or 2) each; base 4 is not counted; and known contexts (n,)."""
        letters = np.minimum(codes & np.uint8(SOFT_MASKED - 1), np.uint8(4))
        buffer = np.concatenate((self._tail, letters))
        self._tail = buffer[len(buffer) - self.order :]
        n, k = len(letters), self.order
        windows = [buffer[i : i + n].astype(np.int64) for i in range(k + 1)]
        known = np.ones(n, dtype=bool)
        forward, backward = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        for i in range(k):
            known &= windows[i] < 4
            forward = forward * 4 + (windows[i] & 3)
            backward = backward * 4 + (3 - windows[k - i] & 3)
        whole = known & (windows[k] < 4)
        slots = self._slots(np.stack((forward, backward), 1) if self.both_strands else forward[:, None])
        bases = np.full(slots.shape, 4, dtype=np.int64)
        bases[whole, 0] = windows[k][whole]
        if self.both_strands:
            bases[whole, 1] = 3 - windows[0][whole]
        return slots, bases, known

    def _slots(self, contexts: Int64Array) -> Int64Array:
        """Row of each context."""
        if self.order <= _EXACT_ORDER:
            return contexts
        mixed = contexts.astype(np.uint64) * _MULTIPLIER
        return (mixed >> np.uint64(64 - 2 * _EXACT_ORDER)).astype(np.int64)

    def _add(self, slots: Int64Array, bases: Int64Array) -> None:
        counted = bases < 4
        cells, times = np.unique(slots[counted] * 4 + bases[counted], return_counts=True)
        flat = self.table.reshape(-1)
        flat[cells] = np.minimum(flat[cells] + times, np.iinfo(flat.dtype).max)


def _counted_before(slots: Int64Array, bases: Int64Array) -> NDArray[np.uint32]:
    """Events of this piece in the same row before each position, (n, 4).

    ``slots`` and ``bases`` are (n, events): those of a position come after it, in its order.
    """
    events = slots.size
    # One sort of distinct numbers is several times as fast as a stable argsort.
    order = np.sort(slots.reshape(-1) * events + np.arange(events)) % events
    slot, base = slots.reshape(-1)[order], bases.reshape(-1)[order]
    before = np.zeros((events + 1, 4), dtype=np.uint32)
    before[1:] = np.cumsum(base[:, None] == np.arange(4), axis=0, dtype=np.uint32)
    starts = np.flatnonzero(np.concatenate(([True], slot[1:] != slot[:-1])))
    opening = np.repeat(before[starts], np.diff(np.append(starts, events)), axis=0)
    found = np.empty((events, 4), dtype=np.uint32)
    found[order] = before[:-1] - opening
    return found[:: slots.shape[1]]
