"""Records of letters that are all IUPAC codes, but more likely those of amino acids."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences.alphabet import SOFT_MASKED, UNKNOWN
from titans_seq.data.sequences.sequences import Sequences

_SHORTEST = 20
"""Letters of the shortest record that is judged: primers and motifs are full of codes for several bases."""

_BLOCK = 1 << 18


def warn_of_proteins(found: Sequences, place: Callable[[int], str], stacklevel: int = 3) -> None:
    """Warn once if more than half of the letters of a record stand for several bases, N not among them.

    Parameters
    ----------
    found : Sequences
    place : callable
        Names a record by its index.
    stacklevel : int, default 3
        Of `warnings.warn`: by default whoever called the caller.
    """
    counts = _ambiguous(found)
    if counts is None:
        return
    lengths = found.lengths
    odd = np.flatnonzero((2 * counts > lengths) & (lengths >= _SHORTEST))
    if len(odd):
        first = int(odd[0])
        warnings.warn(
            f"{place(first)}: {counts[first]} of {lengths[first]} letters are codes that stand for several bases, as "
            f"in {len(odd)} of {len(found)} records; is this a protein?",
            UserWarning,
            stacklevel=stacklevel,
        )


def _ambiguous(found: Sequences) -> Int64Array | None:
    """Return how many letters of each record stand for several bases, (n,); None if there are none."""
    counts = None
    for begin in range(0, len(found.codes), _BLOCK):
        # Most blocks hold none: what comes after this line is for few.
        several = (found.codes[begin : begin + _BLOCK] & np.uint8(SOFT_MASKED - 1)) > UNKNOWN
        if not several.any():
            continue
        counts = np.zeros(len(found), dtype=np.int64) if counts is None else counts
        of = np.searchsorted(found.offsets, begin + np.flatnonzero(several), side="right") - 1
        counts[of[0] : of[-1] + 1] += np.bincount(of - of[0])
    return counts
