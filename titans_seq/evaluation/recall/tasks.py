"""Recall of symbols. Vocabulary: `CONTENT` symbols for keys, values and filler alike, then the markers.

Needles follow the single needle of RULER (Hsieh et al. 2024, arXiv 2404.06654): a short marker announces the
needle, key and value come from the filler's own vocabulary, and its depth is uniform over the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from titans_seq.evaluation.recall.haystacks import Haystack, RepeatedPhrase, draw_haystack
from titans_seq.evaluation.recall.trials import IntArray, SymbolTrials, scatter

CONTENT = 64
WRITE, ASK, DECOY, BLANK, ASK_TWO, ASK_THREE, STEP_A, STEP_B = range(CONTENT, CONTENT + 8)
N_SYMBOLS = CONTENT + 8


@dataclass(frozen=True)
class Needles:
    """Pairs of a key and a value somewhere in the filler, asked for at the end: WRITE key value … ASK key.

    Attributes
    ----------
    n_needles : int
        Pairs; in training (``vary=True``) 1 to this many.
    haystack : {"random", "phrase"}
    n_writes : int
        Times each key is written, every time with a new value: the last one counts.
    n_decoys : int
        Pairs behind another marker, of the same keys with other values: not to be heeded.
    vary : bool
    """

    n_needles: int = 1
    haystack: str = "random"
    n_writes: int = 1
    n_decoys: int = 0
    vary: bool = False

    @property
    def name(self) -> str:
        """Name in tables."""
        extras = f"_{self.n_writes}_writes" * (self.n_writes > 1) + f"_{self.n_decoys}_decoys" * (self.n_decoys > 0)
        return f"needles_{self.n_needles}_{self.haystack}{extras}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials; all needles are asked for, in random order."""
        n_keys = int(random.integers(1, self.n_needles + 1)) if self.vary else self.n_needles
        n_written, room = n_keys * self.n_writes, length - 2 * n_keys
        keys = _distinct(n, n_keys, random)
        places = scatter(n_written + self.n_decoys, 3, room, n, random)
        slot = random.permuted(np.tile(np.arange(n_written + self.n_decoys), (n, 1)), axis=1)
        written = np.sort(slot[:, :n_written], axis=1)
        owner = random.permuted(np.tile(np.arange(n_keys), (n, self.n_writes)), axis=1)
        values = random.integers(0, CONTENT, (n, n_written))
        rows = np.arange(n)[:, None]
        events = np.empty((n, n_written + self.n_decoys, 3), np.int64)
        events[rows, slot] = _decoys(keys, events.shape[1], random)
        events[rows, written] = np.stack(
            (np.full_like(values, WRITE), np.take_along_axis(keys, owner, 1), values), axis=2
        )
        last = np.zeros((n, n_keys), np.int64)
        for write in range(n_written):
            last[rows[:, 0], owner[:, write]] = values[:, write]
        return _asked(length, draw_haystack(self.haystack, n, CONTENT, random), places, events, keys, last, random)


@dataclass(frozen=True)
class Pairs:
    """Pairs without markers, keys and values of alphabets of their own, among blanks: associative recall.

    Attributes
    ----------
    n_pairs : int
        The first half of the content symbols are keys, the second values.
    vary : bool
        1 to ``n_pairs`` of them.
    """

    n_pairs: int = 8
    vary: bool = False

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"pairs_{self.n_pairs}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials; all pairs are asked for, in random order."""
        n_pairs = int(random.integers(1, self.n_pairs + 1)) if self.vary else self.n_pairs
        half = CONTENT // 2
        keys = random.permuted(np.tile(np.arange(half), (n, 1)), axis=1)[:, :n_pairs]
        values = random.integers(half, CONTENT, keys.shape)
        places = scatter(n_pairs, 2, length - 2 * n_pairs, n, random)
        blanks = RepeatedPhrase(np.full((n, 1), BLANK, np.uint8))
        return _asked(length, blanks, places, np.stack((keys, values), 2), keys, values, random)


@dataclass(frozen=True)
class SelectiveCopy:
    """Marked symbols in the filler, to be given back in their order at the end (Gu and Dao 2023, arXiv 2312.00752).

    Attributes
    ----------
    n_symbols : int
        Symbols to copy: WRITE symbol, each; at the end as many ASK.
    haystack : {"random", "phrase"}
    vary : bool
        1 to ``n_symbols`` of them.
    """

    n_symbols: int = 4
    haystack: str = "random"
    vary: bool = False

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"copy_{self.n_symbols}_{self.haystack}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials."""
        count = int(random.integers(1, self.n_symbols + 1)) if self.vary else self.n_symbols
        values = random.integers(0, CONTENT, (n, count))
        places = scatter(count, 2, length - count, n, random)
        events = np.stack((np.full_like(values, WRITE), values), 2)
        ends = np.tile(length - count + np.arange(count), (n, 1))
        at = np.concatenate(((places[..., None] + np.arange(2)).reshape(n, -1), ends), 1)
        put = np.concatenate((events.reshape(n, -1), np.full_like(ends, ASK)), 1)
        haystack = draw_haystack(self.haystack, n, CONTENT, random)
        return SymbolTrials(haystack, length, at, put, ends, torch.from_numpy(values))


@dataclass(frozen=True)
class Hops:
    """A chain of facts far apart, WRITE a b … WRITE b c: which symbol ends the chain that begins with a?

    The shape of BABILong's supporting facts (Kuratov et al. 2024, arXiv 2406.10149).

    Attributes
    ----------
    n_hops : int
        2 or 3 facts per chain.
    n_chains : int
        Chains in a stream; one question each.
    haystack : {"random", "phrase"}
    vary : bool
        Chains of 1 to ``n_hops`` facts, so that single steps are learned first.
    """

    n_hops: int = 2
    n_chains: int = 1
    haystack: str = "random"
    vary: bool = False

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"hops_{self.n_hops}_{self.n_chains}_{self.haystack}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials; facts stand in any order."""
        hops = int(random.integers(1, self.n_hops + 1)) if self.vary else self.n_hops
        nodes = _distinct(n, self.n_chains * (hops + 1), random).reshape(n, self.n_chains, hops + 1)
        facts = np.stack((nodes[:, :, :-1], nodes[:, :, 1:]), 3).reshape(n, -1, 2)
        facts = _shuffled(facts, random)
        events = np.concatenate((np.full((n, facts.shape[1], 1), WRITE), facts), 2)
        places = scatter(facts.shape[1], 3, length - 2 * self.n_chains, n, random)
        haystack = draw_haystack(self.haystack, n, CONTENT, random)
        marker = (ASK, ASK_TWO, ASK_THREE)[hops - 1]
        return _asked(length, haystack, places, events, nodes[:, :, 0], nodes[:, :, -1], random, marker)


@dataclass(frozen=True)
class StateTracking:
    """Steps of a group scattered over the filler; at the end: where do they lead?

    Attributes
    ----------
    group : {"parity", "permutation"}
        Flips of one bit, or swaps and rotations of three things (the six elements of S3).
    n_steps : int
        At most; 1 to this many in every stream.
    haystack : {"random", "phrase"}
    """

    group: str = "parity"
    n_steps: int = 8
    haystack: str = "random"

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.group}_{self.n_steps}_{self.haystack}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials."""
        count = int(random.integers(1, self.n_steps + 1))
        steps = random.integers(0, 2, (n, count))
        places = scatter(count, 1, length - 1, n, random)
        ends = np.full((n, 1), length - 1)
        at, put = np.concatenate((places, ends), 1), np.concatenate((STEP_A + steps, np.full((n, 1), ASK)), 1)
        answers = steps.sum(1) % 2 if self.group == "parity" else _permute(steps)
        haystack = draw_haystack(self.haystack, n, CONTENT, random)
        return SymbolTrials(haystack, length, at, put, ends, torch.from_numpy(answers[:, None]))


def _permute(steps: IntArray) -> IntArray:
    """Number of the permutation of three things that swaps (0) and rotations (1) lead to."""
    things = np.tile(np.arange(3), (len(steps), 1))
    swap, rotate = np.array([1, 0, 2]), np.array([1, 2, 0])
    for column in steps.T:
        things = np.take_along_axis(things, np.where(column[:, None] == 0, swap, rotate), 1)
    numbers = {(0, 1, 2): 0, (0, 2, 1): 1, (1, 0, 2): 2, (1, 2, 0): 3, (2, 0, 1): 4, (2, 1, 0): 5}
    return np.array([numbers[tuple(row)] for row in things.tolist()], np.int64)


def _distinct(n: int, count: int, random: np.random.Generator) -> IntArray:
    if count > CONTENT:
        raise ValueError(f"{count} different keys are asked for, the vocabulary has {CONTENT}")
    return random.permuted(np.tile(np.arange(CONTENT), (n, 1)), axis=1)[:, :count]


def _shuffled(events: IntArray, random: np.random.Generator) -> IntArray:
    order = random.permuted(np.tile(np.arange(events.shape[1]), (len(events), 1)), axis=1)
    return events[np.arange(len(events))[:, None], order]


def _decoys(keys: IntArray, count: int, random: np.random.Generator) -> IntArray:
    """Pairs (n, count, 3) behind the decoy's marker: known keys, any values."""
    n = len(keys)
    of_keys = np.take_along_axis(keys, random.integers(0, keys.shape[1], (n, count)), 1)
    return np.stack((np.full((n, count), DECOY), of_keys, random.integers(0, CONTENT, (n, count))), 2)


def _asked(
    length: int, haystack: Haystack, places: IntArray, events: IntArray, keys: IntArray, values: IntArray,
    random: np.random.Generator, marker: int = ASK,
) -> SymbolTrials:  # fmt: skip
    """Put events where they belong and ask for all keys, in random order, at the end."""
    n, n_keys = keys.shape
    order = random.permuted(np.tile(np.arange(n_keys), (n, 1)), axis=1)
    asked = np.take_along_axis(keys, order, 1)
    first = length - 2 * n_keys + 2 * np.arange(n_keys)
    ends = np.tile(np.stack((first, first + 1), 1).ravel(), (n, 1))
    questions = np.tile(first + 1, (n, 1))
    inside = (places[..., None] + np.arange(events.shape[2])).reshape(n, -1)
    put = np.stack((np.full_like(asked, marker), asked), 2).reshape(n, -1)
    return SymbolTrials(
        haystack, length, np.concatenate((inside, ends), 1), np.concatenate((events.reshape(n, -1), put), 1),
        questions, torch.from_numpy(np.take_along_axis(values, order, 1)),
    )  # fmt: skip
