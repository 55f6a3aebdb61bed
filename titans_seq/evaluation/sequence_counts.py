"""DNA sequences as counts of k-mers and as one-hot bases: what linear baselines read."""

from __future__ import annotations

from typing import Any

import numpy as np

from titans_seq.data import Sequences
from titans_seq.data.sequences.alphabet import COMPLEMENT, MIXTURE, SOFT_MASKED

MOST_K = 10


def kmer_counts(sequences: Sequences, k: int = 5, *, both_strands: bool = False) -> Any:
    """Count the k-mers of every sequence.

    Parameters
    ----------
    sequences : Sequences
        Case does not matter; k-mers with N or another ambiguous code are left out.
    k : int, default 5
        From 1 to 10.
    both_strands : bool, default False
        Add the k-mers of the opposite strand: a sequence and its reverse complement have the same counts.

    Returns
    -------
    scipy.sparse.csr_matrix (n, 4**k), float64
        Columns are k-mers as numbers to the base 4 with A, C, G, T = 0, 1, 2, 3: AAAAA, AAAAC, ...

    Raises
    ------
    ValueError
        k out of range.
    """
    from scipy.sparse import csr_matrix

    if not 1 <= k <= MOST_K:
        raise ValueError(f"k must be from 1 to {MOST_K}, got {k}")
    codes = sequences.codes & np.uint8(SOFT_MASKED - 1)
    starts = np.arange(max(0, len(codes) - k + 1))
    owners = np.searchsorted(sequences.offsets, starts, side="right") - 1
    wrong = np.append(0, np.cumsum(codes > 3))
    kept = (starts + k <= sequences.offsets[owners + 1]) & (wrong[starts + k] == wrong[starts])
    starts, rows = starts[kept], owners[kept]
    columns = np.zeros(len(starts), dtype=np.int64)
    for i in range(k):
        columns = 4 * columns + codes[starts + i]
    if both_strands:
        opposite = np.zeros_like(columns)
        for i in range(k):
            opposite = 4 * opposite + COMPLEMENT[codes[starts + k - 1 - i]]
        columns, rows = np.concatenate((columns, opposite)), np.concatenate((rows, rows))
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(sequences), 4**k))


def position_one_hot(sequences: Sequences) -> Any:
    """Return which base stands where.

    Parameters
    ----------
    sequences : Sequences
        Of one length; ambiguous codes are shares of the bases they stand for.

    Returns
    -------
    scipy.sparse.csr_matrix (n, 4 * length), float64
        A, C, G, T of the first place, then of the second, ...

    Raises
    ------
    ValueError
        Sequences of different lengths.
    """
    from scipy.sparse import csr_matrix

    lengths = sequences.lengths
    if len(lengths) and (lengths != lengths[0]).any():
        row = int(np.argmax(lengths != lengths[0]))
        raise ValueError(
            f"sequence {row} {sequences.ids[row]!r} has {lengths[row]} bases, the first one {lengths[0]}; "
            "places mean something in sequences of one length only"
        )
    return csr_matrix(MIXTURE[sequences.codes].reshape(len(sequences), -1).astype(np.float64))
