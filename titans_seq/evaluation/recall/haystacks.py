"""What needles are hidden in: tokens at any place of a stream, without the stream ever being held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

BLOCK = 1024
KINDS = ("random", "phrase")
Symbols = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]


class Haystack(Protocol):
    """Rows of filler."""

    def read(self, start: int, stop: int) -> Symbols:
        """Return tokens ``start`` to ``stop`` of every row."""


def block_generator(key: int, block: int) -> np.random.Generator:
    """Return the generator of a row's block of `BLOCK` tokens."""
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, block]))


def read_blocks(draw: Callable[[int, int], npt.NDArray[Any]], keys: Keys, start: int, stop: int) -> npt.NDArray[Any]:
    """Return tokens ``start`` to ``stop`` of every row; ``draw`` gives a block from a row's key and its number."""
    first = start // BLOCK
    blocks = range(first, max(first + 1, -(-stop // BLOCK)))
    rows = [np.concatenate([draw(int(key), block) for block in blocks]) for key in keys]
    return np.stack(rows)[:, start - first * BLOCK : stop - first * BLOCK]


@dataclass(frozen=True)
class RandomTokens:
    """Symbols drawn evenly from a vocabulary.

    Attributes
    ----------
    keys : uint64 array, shape (rows,)
        Seed of each row.
    n_symbols : int
        Vocabulary.
    """

    keys: Keys
    n_symbols: int

    def read(self, start: int, stop: int) -> Symbols:
        """Return tokens ``start`` to ``stop``: drawn by blocks, each from a generator of its own."""
        return read_blocks(self._block, self.keys, start, stop)

    def _block(self, key: int, block: int) -> Symbols:
        return block_generator(key, block).integers(0, self.n_symbols, BLOCK, dtype=np.uint8)


@dataclass(frozen=True)
class RepeatedPhrase:
    """One phrase, over and over.

    Attributes
    ----------
    phrases : uint8 array, shape (rows, phrase length)
    """

    phrases: Symbols

    def read(self, start: int, stop: int) -> Symbols:
        """Return tokens ``start`` to ``stop``."""
        return self.phrases[:, np.arange(start, stop) % self.phrases.shape[1]]


@dataclass(frozen=True)
class Bases:
    """Stretches of one long sequence.

    Attributes
    ----------
    sequence : uint8 array, shape (length,)
    offsets : int64 array, shape (rows,)
        Where each row begins.
    """

    sequence: Symbols
    offsets: npt.NDArray[np.int64]

    def read(self, start: int, stop: int) -> Symbols:
        """Return tokens ``start`` to ``stop``."""
        return self.sequence[self.offsets[:, None] + np.arange(start, stop)]


def draw_haystack(kind: str, n: int, n_symbols: int, random: np.random.Generator) -> Haystack:
    """Draw ``n`` rows of "random" tokens or of a "phrase" of 16 tokens each."""
    check_kind(kind)
    if kind == "random":
        return RandomTokens(random.integers(0, 2**63, n, dtype=np.uint64), n_symbols)
    return RepeatedPhrase(random.integers(0, n_symbols, (n, 16), dtype=np.uint8))


def check_kind(kind: str) -> None:
    """Raise a ValueError for an unknown kind of haystack."""
    if kind not in KINDS:
        raise ValueError(f"haystack must be one of {', '.join(map(repr, KINDS))}, found {kind!r}")
