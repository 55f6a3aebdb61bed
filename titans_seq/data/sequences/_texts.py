"""Strings and columns of strings to codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences.alphabet import ENCODE, SKIPPED, CodeArray, why_refused


def encode_texts(texts: Sequence[str], place: Callable[[int], str]) -> tuple[CodeArray, Int64Array]:
    """Encode strings all at once.

    Returns
    -------
    codes : uint8 array (total,)
    lengths : int64 array (n,)

    Raises
    ------
    ValueError
        A string without letters, or with one that is no IUPAC code; `place` names it by its index.
    """
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    if not lengths.all():
        raise ValueError(f"{place(int(np.argmin(lengths)))}: no bases; complete or remove it")
    codes = ENCODE[np.frombuffer("".join(texts).encode("ascii", "replace"), dtype=np.uint8)]
    if len(codes) and codes.max() >= SKIPPED:
        at = int(np.argmax(codes >= SKIPPED))
        i = int(np.searchsorted(np.cumsum(lengths), at, side="right"))
        position = at - int(lengths[:i].sum())
        letter = texts[i][position]
        raise ValueError(f"{place(i)}: {letter!r} at position {position} is {why_refused(letter)}")
    return codes, lengths
