"""Many DNA sequences in one contiguous array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._ragged import offsets_of, take_pieces
from titans_seq.data.sequences._texts import encode_texts
from titans_seq.data.sequences.alphabet import COMPLEMENT, MIXTURE, SOFT_MASKED, UNKNOWN, CodeArray, to_text


@dataclass(frozen=True, eq=False)
class Sequences:
    """DNA sequences of any lengths; no Python object per record.

    ``sequences[i]`` is a string, ``sequences[slice, indices or bool mask]`` are fewer sequences; a loop goes over
    strings, so scikit-learn splits it like a list.

    Parameters
    ----------
    codes : uint8 array (total,)
        The bases of all records one after another, one byte each: the index of the letter in
        ``"ACGTNRYSWKMBDHV"``, plus 16 where it is soft-masked (lower case).
    offsets : int64 array (n + 1,)
        Sequence i is ``codes[offsets[i]:offsets[i + 1]]``.
    ids : sequence of str
        Name of each record; they need not differ.
    qualities : uint8 array (total,), optional
        Phred quality of every base (of FASTQ), else None.
    features : tuple of tuples, optional
        Bio.SeqFeature.SeqFeature objects of each record (of GenBank and of SeqRecords), else None.

    Raises
    ------
    ValueError
        Arrays whose shapes do not belong together.
    """

    codes: CodeArray = field(repr=False)
    offsets: Int64Array = field(repr=False)
    ids: Names
    qualities: NDArray[np.uint8] | None = field(default=None, repr=False)
    features: tuple[tuple[Any, ...], ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.ids, Names):
            object.__setattr__(self, "ids", Names.of(self.ids))
        n = len(self.ids)
        if self.offsets.shape != (n + 1,) or self.offsets[0] != 0 or (np.diff(self.offsets) < 0).any():
            raise ValueError(f"{n} ids need {n + 1} offsets that begin at 0 and do not decrease")
        if self.codes.dtype != np.uint8 or self.codes.shape != (self.offsets[-1],):
            raise ValueError(f"offsets end at {self.offsets[-1]}; codes must be uint8 of that length")
        if self.qualities is not None and self.qualities.shape != self.codes.shape:
            raise ValueError(f"{len(self.codes)} bases need as many qualities, got {self.qualities.shape}")
        if self.features is not None and len(self.features) != n:
            raise ValueError(f"{n} sequences need as many tuples of features, got {len(self.features)}")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | NDArray[Any]) -> Sequences: ...
    def __getitem__(self, key: Any) -> str | Sequences:
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            return to_text(self.codes_of(int(key)))
        chosen = key if isinstance(key, slice) else np.asarray(key)
        empty = not isinstance(chosen, slice) and chosen.size == 0
        return self.take([] if empty else np.arange(len(self))[chosen])

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> Int64Array:
        """Bases of each sequence, shape (n,)."""
        return np.diff(self.offsets)

    def codes_of(self, i: int) -> CodeArray:
        """Return the codes of sequence i, a view of shape (length,)."""
        return self.codes[self._span(i)]

    def qualities_of(self, i: int) -> NDArray[np.uint8]:
        """Return the Phred qualities of sequence i, a view of shape (length,); ValueError if there are none."""
        if self.qualities is None:
            raise ValueError("these sequences have no qualities; only FASTQ and SeqRecords do")
        return self.qualities[self._span(i)]

    def one_hot(self, i: int) -> NDArray[np.float32]:
        """Return the shares of A, C, G and T at every position of sequence i, shape (length, 4).

        Each row sums to 1: a base is one-hot, R is (1/2, 0, 1/2, 0), B (0, 1/3, 1/3, 1/3), N 1/4 each.
        """
        return MIXTURE[self.codes_of(i)]

    def soft_masked(self, i: int) -> NDArray[np.bool_]:
        """Return where sequence i is lower case, shape (length,)."""
        return self.codes_of(i) >= SOFT_MASKED

    def gather(self, which: Any, start: Any, length: int) -> tuple[CodeArray, NDArray[np.bool_]]:
        """Cut windows of one length, all at once.

        Parameters
        ----------
        which : int array (n,)
            Sequence of each window.
        start : int array (n,)
            First base of each window, from 0; may be negative or past the end.
        length : int
            Bases of every window.

        Returns
        -------
        codes : uint8 array (n, length)
            N outside the sequence.
        inside : bool array (n, length)
        """
        rows = np.asarray(which, dtype=np.int64)
        at = np.asarray(start, dtype=np.int64)[:, None] + np.arange(length)
        inside = (at >= 0) & (at < self.lengths[rows][:, None])
        if not len(self.codes):
            return np.full(at.shape, UNKNOWN, dtype=np.uint8), inside
        index = np.where(inside, at + self.offsets[rows][:, None], 0)
        return np.where(inside, self.codes[index], np.uint8(UNKNOWN)), inside

    def take(self, indices: Any) -> Sequences:
        """Return the sequences at the given places, in that order."""
        which = np.asarray(indices, dtype=np.int64).reshape(-1)
        starts, lengths = self.offsets[which], self.lengths[which]
        return Sequences(
            take_pieces(self.codes, starts, lengths),
            offsets_of(lengths),
            self.ids.take(which),
            None if self.qualities is None else take_pieces(self.qualities, starts, lengths),
            None if self.features is None else tuple(self.features[i] for i in which),
        )

    def reverse_complement(self) -> Sequences:
        """Return the opposite strand of every sequence, in the same order.

        IUPAC codes become their complements, soft mask and qualities move along; features are left out, for
        their coordinates are those of the strand that was read.
        """
        backwards = np.arange(len(self))[::-1]
        turned = Sequences(
            COMPLEMENT[self.codes[::-1]],
            offsets_of(self.lengths[::-1]),
            self.ids.take(backwards),
            None if self.qualities is None else self.qualities[::-1],
        )
        return turned.take(backwards)

    def fold(self) -> Sequences:
        """Return the same sequences in upper case: without the soft mask."""
        return replace(self, codes=self.codes & np.uint8(SOFT_MASKED - 1))

    def hard_mask(self) -> Sequences:
        """Return the same sequences with N for every soft-masked base."""
        return replace(self, codes=np.where(self.codes >= SOFT_MASKED, np.uint8(UNKNOWN), self.codes))

    def to_strings(self) -> list[str]:
        """Return the sequences as strings; lower case where soft-masked."""
        text, ends = to_text(self.codes), self.offsets.tolist()
        return [text[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]

    def equals(self, other: Sequences) -> bool:
        """Whether both hold the same ids, bases, soft mask and qualities (features are not compared)."""
        same = np.array_equal(self.codes, other.codes) and np.array_equal(self.offsets, other.offsets)
        if (self.qualities is None) != (other.qualities is None):
            return False
        graded = self.qualities is None or np.array_equal(self.qualities, other.qualities)  # type: ignore[arg-type]
        return same and graded and self.ids == other.ids

    @classmethod
    def of(cls, bases: Mapping[str, str]) -> Sequences:
        """Return the sequences of a mapping from ids to strings; ValueError at a letter that is no IUPAC code."""
        ids = list(bases)
        codes, lengths = encode_texts(list(bases.values()), lambda i: f"sequence {ids[i]!r}")
        return cls(codes, offsets_of(lengths), Names.of(ids))

    @classmethod
    def concat(cls, parts: Sequence[Sequences]) -> Sequences:
        """Return the sequences of several, in order; qualities and features only if all have them."""
        lengths = np.concatenate([part.lengths for part in parts])
        qualities = [part.qualities for part in parts if part.qualities is not None]
        features = [part.features for part in parts if part.features is not None]
        return cls(
            np.concatenate([part.codes for part in parts]),
            offsets_of(lengths),
            Names.join([part.ids for part in parts]),
            np.concatenate(qualities) if len(qualities) == len(parts) else None,
            tuple(one for part in features for one in part) if len(features) == len(parts) else None,
        )

    def _span(self, i: int) -> slice:
        place = range(len(self))[i]
        return slice(int(self.offsets[place]), int(self.offsets[place + 1]))
