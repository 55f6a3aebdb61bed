"""Codes of bases: the IUPAC letters, their complements and the bases they stand for.

A code is the index of a letter in `LETTERS`; `SOFT_MASKED` is added to it when the letter is lower case.
Every table here has an entry for both, so one lookup keeps the soft mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CodeArray = NDArray[np.uint8]

LETTERS = "ACGTNRYSWKMBDHV"
"""The letter of each code: four bases, N, then the other IUPAC codes."""

UNKNOWN = 4
"""Code of N, any base."""

SOFT_MASKED = 16
"""Bit of a code whose letter was lower case."""

SKIPPED, REFUSED = 200, 255
"""Entries of `ENCODE` for white space and for what is no letter of DNA."""

_STANDS_FOR = {
    "A": "A", "C": "C", "G": "G", "T": "T", "N": "ACGT", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT",
    "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG",
}  # fmt: skip
"""Bases of each letter (IUPAC-IUB, Cornish-Bowden 1985, table 1)."""


def _encode() -> CodeArray:
    table = np.full(256, REFUSED, dtype=np.uint8)
    table[list(b" \t\r\n\v\f")] = SKIPPED
    for code, letter in enumerate(LETTERS):
        table[ord(letter)], table[ord(letter.lower())] = code, code + SOFT_MASKED
    table[ord("U")], table[ord("u")] = table[ord("T")], table[ord("t")]
    return table


def _complement() -> CodeArray:
    opposite = dict(zip("ACGT", "TGCA", strict=True))
    by_bases = {frozenset(bases): code for code, bases in enumerate(map(_STANDS_FOR.get, LETTERS)) if bases}
    codes = [by_bases[frozenset(opposite[base] for base in _STANDS_FOR[letter])] for letter in LETTERS]
    table = np.zeros(2 * SOFT_MASKED, dtype=np.uint8)
    table[: len(codes)] = codes
    table[SOFT_MASKED:] = table[:SOFT_MASKED] + SOFT_MASKED
    return table


def _mixture() -> NDArray[np.float32]:
    table = np.zeros((2 * SOFT_MASKED, 4), dtype=np.float32)
    for code, letter in enumerate(LETTERS):
        bases = ["ACGT".index(base) for base in _STANDS_FOR[letter]]
        table[code, bases] = table[code + SOFT_MASKED, bases] = 1 / len(bases)
    return table


def _decode() -> CodeArray:
    table = np.zeros(2 * SOFT_MASKED, dtype=np.uint8)
    for code, letter in enumerate(LETTERS):
        table[code], table[code + SOFT_MASKED] = ord(letter), ord(letter.lower())
    return table


ENCODE = _encode()
"""Code of each byte, shape (256,); U is read as T. White space is `SKIPPED`, other bytes are `REFUSED`."""

COMPLEMENT = _complement()
"""Code of the opposite strand, shape (32,): R and Y, K and M, B and V, D and H change places."""

MIXTURE = _mixture()
"""Shares of A, C, G and T in each code, shape (32, 4), float32: 1 for a base, 1/2, 1/3 or 1/4 for several."""

DECODE = _decode()
"""Byte of each code, shape (32,)."""


def to_text(codes: CodeArray) -> str:
    """Return the letters of codes of any shape, flattened; lower case where soft-masked."""
    return DECODE[codes].tobytes().decode("ascii")


def to_codes(text: str) -> CodeArray:
    """Return the codes of letters, shape (length,); ValueError at one that is no IUPAC code."""
    raw = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8)
    codes = ENCODE[raw]
    if len(codes) and codes.max() >= SKIPPED:
        place = int(np.argmax(codes >= SKIPPED))
        raise ValueError(f"{text[place]!r} at position {place} is {why_refused(text[place])}")
    return codes


def why_refused(letter: str) -> str:
    """Say what a letter that is no IUPAC code of DNA may be, and what to do."""
    if letter in "-.":
        return "a gap of an alignment; remove the gaps"
    if letter.upper() in "EFIJLOPQXZ*":
        return "no base and no IUPAC code; is this a protein?"
    if letter.isspace():
        return "white space; strip it"
    return "no base and no IUPAC code (ACGTU, N, RYSWKMBDHV); correct it"
