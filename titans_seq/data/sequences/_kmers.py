"""Which k-mers sequences have, and which they share on either strand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences.alphabet import COMPLEMENT, MIXTURE, UNKNOWN
from titans_seq.data.sequences.sequences import Sequences

KmerArray = NDArray[np.uint64]

MOST_KMERS = 20_000_000
"""K-mers that are compared; of more a random share is, the same ones in every sequence (FracMinHash)."""

_BASES = 4_000_000
"""Bases whose k-mers are numbered at a time."""

_ROWS = 512
"""Sequences compared with all others at a time."""

_MOST_READINGS = 729
"""Strings of bases that a k-mer with ambiguous codes may stand for; those with more are left out. All 6-mers have
fewer."""

_LOG_READINGS = np.log(np.maximum((MIXTURE > 0).sum(1), 1))


def canonical_kmers(sequences: Sequences, k: int) -> tuple[KmerArray, Int64Array]:
    """Return the k-mers of all sequences and the sequence each is from.

    A k-mer and its reverse complement are one number, the smaller of the two with two bits a base. Case does not
    matter; k-mers with N or another ambiguous code are left out, and a random share where there are more than
    `MOST_KMERS` bases.

    Returns
    -------
    kmers : uint64 array (n,)
    owners : int64 array (n,)

    Raises
    ------
    ValueError
        k below 4 or above 31.
    """
    if not 4 <= k <= 31:
        raise ValueError(f"k must be from 4 to 31, got {k}")
    share = min(1.0, MOST_KMERS / max(1, len(sequences.codes)))
    found = [(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))]
    for begin in range(0, len(sequences.codes) - k + 1, _BASES):
        forward, backward, owners, _ = _kmers_from(sequences, k, begin)
        found.append(_sample(np.minimum(forward, backward), owners, share))
    kmers, owners = (np.concatenate(part) for part in zip(*found, strict=True))
    return kmers, owners


def kmer_counts(sequences: Sequences, k: int, length: int | None = None, *, both_strands: bool = False) -> Any:
    """Count the k-mers of every sequence; those with N are left out.

    One with other ambiguous codes counts as the mean over what it may stand for.

    Parameters
    ----------
    sequences : Sequences
    k : int
    length : int, optional
        A k-mer is told by where it begins, too; of sequences with more or fewer bases than these nothing is counted.
    both_strands : bool, default False
        Mean of the counts of the sequence and of its reverse complement.

    Returns
    -------
    scipy CSR matrix (n sequences, 4 ** k times the places), float64
        The first base of a k-mer is the most significant digit of its number; places come before it.
    """
    from scipy.sparse import csr_matrix

    shape = (len(sequences), 4**k * (1 if length is None else length - k + 1))
    total = csr_matrix(shape)
    for numbers, owners, places, shares in _strands(sequences, k, both_strands):
        columns = numbers
        if length is not None:
            counted = sequences.lengths[owners] == length
            columns, owners, shares = (numbers + 4**k * places)[counted], owners[counted], shares[counted]
        total = total + csr_matrix((shares, (owners, columns)), shape=shape)
    return total


def different_kmers(sequences: Sequences, k: int, *, both_strands: bool = False) -> tuple[Int64Array, Any]:
    """Count the k-mers that there are; as `kmer_counts`.

    Returns
    -------
    numbers : int64 array (n_kmers,)
        Those there are, ascending.
    counts : scipy CSR matrix (n sequences, n_kmers), float64
    """
    from scipy.sparse import csr_matrix

    parts = list(_strands(sequences, k, both_strands))
    if not parts:
        return np.zeros(0, dtype=np.int64), csr_matrix((len(sequences), 0))
    numbers, columns = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
    owners, shares = (np.concatenate([part[i] for part in parts]) for i in (1, 3))
    return numbers, csr_matrix((shares, (owners, columns)), shape=(len(sequences), len(numbers)))


def _strands(
    sequences: Sequences, k: int, both: bool
) -> Iterator[tuple[Int64Array, Int64Array, Int64Array, NDArray[np.float64]]]:
    """Yield k-mers, their sequences, where they begin in the strand that is read, and what each counts."""
    for begin in range(0, len(sequences.codes) - k + 1, _BASES):
        forward, backward, owners, places = _kmers_from(sequences, k, begin)
        plain = forward.astype(np.int64), backward.astype(np.int64), owners, places, np.ones(len(owners))
        for ahead, behind, of, at, shares in (plain, *_ambiguous_from(sequences, k, begin)):
            yield ahead, of, at, shares / 2 if both else shares
            if both:
                yield behind, of, sequences.lengths[of] - k - at, shares / 2


def _ambiguous_from(
    sequences: Sequences, k: int, begin: int
) -> Iterator[tuple[Int64Array, Int64Array, Int64Array, Int64Array, NDArray[np.float64]]]:
    """Yield, as `_kmers_from`, what k-mers with ambiguous codes other than N may stand for, and how likely each is."""
    codes = sequences.codes[begin : begin + _BASES + k - 1] & np.uint8(15)
    if not (codes > UNKNOWN).any():
        return
    several, unknown = (np.append(0, np.cumsum(found, dtype=np.int64)) for found in (codes > 3, codes == UNKNOWN))
    readings = np.append(0, np.cumsum(_LOG_READINGS[codes]))
    few = readings[k:] - readings[:-k] < np.log(_MOST_READINGS + 0.5)
    at = np.flatnonzero((several[k:] > several[:-k]) & (unknown[k:] == unknown[:-k]) & few)
    owners = np.searchsorted(sequences.offsets, begin + at, side="right") - 1
    inside = sequences.offsets[owners + 1] - begin - at >= k
    at, owners = at[inside], owners[inside]
    for first in range(0, len(at), _BASES // _MOST_READINGS + 1):
        some = slice(first, first + _BASES // _MOST_READINGS + 1)
        places = begin + at[some] - sequences.offsets[owners[some]]
        forward, backward, of, shares = _readings(codes, at[some], k)
        yield forward, backward, owners[some][of], places[of], shares


def _readings(
    codes: NDArray[np.uint8], at: Int64Array, k: int
) -> tuple[Int64Array, Int64Array, Int64Array, NDArray[np.float64]]:
    """Return all that the k-mers beginning ``at`` may stand for, on both strands, whose it is, and its share."""
    forward = backward = np.zeros(len(at), dtype=np.int64)
    of, shares = np.arange(len(at)), np.ones(len(at))
    for j in range(k):
        mixture = MIXTURE[codes[at[of] + j]].astype(np.float64)
        rows, bases = np.nonzero(mixture)
        forward, backward = 4 * forward[rows] + bases, backward[rows] + 4**j * (3 - bases)
        of, shares = of[rows], shares[rows] / (mixture[rows] > 0).sum(1)
    return forward, backward, of, shares


def _kmers_from(sequences: Sequences, k: int, begin: int) -> tuple[KmerArray, KmerArray, Int64Array, Int64Array]:
    """Return the k-mers that begin at one of the next `_BASES` bases.

    Returns
    -------
    forward, backward : uint64 array (n,)
        On the strand that is given, and on the other one.
    owners, places : int64 array (n,)
        Their sequences, and where they begin in them.
    """
    codes = sequences.codes[begin : begin + _BASES + k - 1] & np.uint8(15)
    wrong = np.append(0, np.cumsum(codes > 3, dtype=np.int64))
    at = begin + np.arange(len(codes) - k + 1)
    owners = np.searchsorted(sequences.offsets, at, side="right") - 1
    room = sequences.offsets[owners + 1] - at >= k
    whole = np.flatnonzero(room & (wrong[k:] == wrong[:-k]))
    forward = _windows(codes, k)[whole]
    # The opposite strand of a window is a window of the opposite strand, counted from the other end.
    backward = _windows(COMPLEMENT[codes[::-1]], k)[len(codes) - k - whole]
    return forward, backward, owners[whole], (at - sequences.offsets[owners])[whole]


def _windows(codes: NDArray[np.uint8], k: int) -> KmerArray:
    """Return the number of every window of k codes, by doubling: (length - k + 1,)."""
    piece, width = (codes & np.uint8(3)).astype(np.uint64), 1
    found, done = piece[:0], 0
    while True:
        if k & width:
            found = piece if not done else (found[: len(piece) - done] << np.uint64(2 * width)) | piece[done:]
            done += width
        if done == k:
            return found[: len(codes) - k + 1]
        piece = (piece[: len(piece) - width] << np.uint64(2 * width)) | piece[width:]
        width *= 2


def kmer_table(sequences: Sequences, k: int) -> Any:
    """Return which sequence has which k-mer: a scipy CSR matrix (n sequences, n different k-mers) of ones, int32."""
    from scipy.sparse import csr_matrix

    kmers, owners = canonical_kmers(sequences, k)
    _, columns = np.unique(kmers, return_inverse=True)
    shape = (len(sequences), int(columns.max()) + 1 if len(columns) else 0)
    table = csr_matrix((np.ones(len(columns), dtype=np.int32), (owners, columns)), shape=shape)
    table.data[:] = 1  # a k-mer that is twice in a sequence counts once
    return table


def _sample(kmers: KmerArray, owners: Int64Array, share: float) -> tuple[KmerArray, Int64Array]:
    """Keep a share of all k-mers there are: the same ones in every sequence."""
    if share == 1:
        return kmers, owners
    kept = _mix(kmers) < np.uint64(share * 2**64)
    return kmers[kept], owners[kept]


def _mix(kmers: KmerArray) -> KmerArray:
    """Return a hash of each number (splitmix64, Steele et al. 2014)."""
    mixed = kmers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def shared_pairs(
    left: Any, right: Any, threshold: float, columns: Int64Array
) -> tuple[Int64Array, Int64Array, NDArray[np.float64]]:
    """Return the pairs of rows of two tables that share k-mers, and how large a share.

    The share is that of the sequence with fewer different k-mers (containment); pairs reach `threshold` or more.
    Pairs whose common k-mers are not all among `columns` may be missed.
    """
    some = np.asarray(left.sum(1)).ravel(), np.asarray(right.sum(1)).ravel()
    left, turned = left[:, columns], right[:, columns].T.tocsr()
    none = np.zeros(0, dtype=np.int64)
    found = [(none, none, np.zeros(0))]
    for begin in range(0, left.shape[0], _ROWS):
        counts = (left[begin : begin + _ROWS] @ turned).tocoo()
        rows, others = (at.astype(np.int64) for at in (counts.row + begin, counts.col))
        share = counts.data / np.minimum(some[0][rows], some[1][others])
        kept = share >= threshold
        found.append((rows[kept], others[kept], share[kept]))
    rows, others, shares = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, others, shares
