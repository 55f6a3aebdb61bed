"""Recall of symbols. Vocabulary: `CONTENT` symbols for keys, values and filler alike, then the markers.

Needles follow the single needle of RULER (Hsieh et al. 2024, arXiv 2404.06654): a short marker announces the
needle, key and value come from the filler's own vocabulary, and its depth is uniform over the stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from titans_seq.evaluation.recall.haystacks import Haystack, RepeatedPhrase, check_kind, draw_haystack
from titans_seq.evaluation.recall.trials import IntArray, SymbolTrials, at_least, check_length, scatter

CONTENT = 64
WRITE, ASK, DECOY, BLANK, ASK_TWO, ASK_THREE, STEP_A, STEP_B = range(CONTENT, CONTENT + 8)
N_SYMBOLS = CONTENT + 8
GROUPS = ("parity", "permutation")
ASK_HOPS = (ASK, ASK_TWO, ASK_THREE)
DECOYS_KEY = -1


@dataclass(frozen=True)
class Needles:
    """Pairs of a key and a value somewhere in the filler, asked for at the end: WRITE key value … ASK key.

    Attributes
    ----------
    n_needles : int
        Pairs; in training (``vary=True``) 1 to this many.
    haystack : {"random", "phrase"}
    n_writes : int
        Times each key is written: the last value counts, those before are others.
    n_decoys : int
        Pairs behind another marker, of the same keys with other values: not to be heeded.
    vary : bool
    """

    n_needles: int = 1
    haystack: str = "random"
    n_writes: int = 1
    n_decoys: int = 0
    vary: bool = False

    def __post_init__(self) -> None:
        at_least(1, n_needles=self.n_needles, n_writes=self.n_writes)
        at_least(0, n_decoys=self.n_decoys)
        _check_symbols(self.n_needles, f"{self.n_needles} needles")
        check_kind(self.haystack)

    @property
    def name(self) -> str:
        """Name in tables."""
        extras = f"_{self.n_writes}_writes" * (self.n_writes > 1) + f"_{self.n_decoys}_decoys" * (self.n_decoys > 0)
        return f"needles_{self.n_needles}_{self.haystack}{extras}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials; all needles are asked for, in random order."""
        check_length(length, 3 * (self.n_needles * self.n_writes + self.n_decoys) + 2 * self.n_needles, self)
        n_keys = int(random.integers(1, self.n_needles + 1)) if self.vary else self.n_needles
        keys, last = _distinct(n, n_keys, random), random.integers(0, CONTENT, (n, n_keys))
        decoys = np.full(self.n_decoys, DECOYS_KEY)
        written = np.concatenate((np.repeat(np.arange(n_keys), self.n_writes), decoys))
        owner = random.permuted(np.tile(written, (n, 1)), axis=1)
        events = self._events(owner, keys, last, random)
        places = scatter(owner.shape[1], 3, length - 2 * n_keys, n, random)
        return _asked(length, draw_haystack(self.haystack, n, CONTENT, random), places, events, keys, last, random)

    def _events(self, owner: IntArray, keys: IntArray, last: IntArray, random: np.random.Generator) -> IntArray:
        """Marker, key and value of every event; ``owner`` (n, events) is the number of its key, or `DECOYS_KEY`."""
        decoy = owner == DECOYS_KEY
        counts = _last_of_their_kind(owner) & ~decoy
        owner = np.where(decoy, random.integers(0, keys.shape[1], owner.shape), owner)
        right = np.take_along_axis(last, owner, 1)
        other = (right + random.integers(1, CONTENT, owner.shape)) % CONTENT
        marker = np.where(decoy, DECOY, WRITE)
        return np.stack((marker, np.take_along_axis(keys, owner, 1), np.where(counts, right, other)), 2)


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

    def __post_init__(self) -> None:
        at_least(1, n_pairs=self.n_pairs)
        if self.n_pairs > CONTENT // 2:
            raise ValueError(f"n_pairs must be at most {CONTENT // 2}, found {self.n_pairs}: so many keys there are")

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"pairs_{self.n_pairs}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials; all pairs are asked for, in random order."""
        check_length(length, 4 * self.n_pairs, self)
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

    def __post_init__(self) -> None:
        at_least(1, n_symbols=self.n_symbols)
        check_kind(self.haystack)

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"copy_{self.n_symbols}_{self.haystack}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials."""
        check_length(length, 3 * self.n_symbols, self)
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
        1 to 3 facts per chain.
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

    def __post_init__(self) -> None:
        at_least(1, n_hops=self.n_hops, n_chains=self.n_chains)
        if self.n_hops > len(ASK_HOPS):
            raise ValueError(f"n_hops must be at most {len(ASK_HOPS)}, found {self.n_hops}")
        _check_symbols(self.n_chains * (self.n_hops + 1), f"{self.n_chains} chains of {self.n_hops} facts")
        check_kind(self.haystack)

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"hops_{self.n_hops}_{self.n_chains}_{self.haystack}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials; facts stand in any order."""
        check_length(length, self.n_chains * (3 * self.n_hops + 2), self)
        hops = int(random.integers(1, self.n_hops + 1)) if self.vary else self.n_hops
        nodes = _distinct(n, self.n_chains * (hops + 1), random).reshape(n, self.n_chains, hops + 1)
        facts = np.stack((nodes[:, :, :-1], nodes[:, :, 1:]), 3).reshape(n, -1, 2)
        facts = _shuffled(facts, random)
        events = np.concatenate((np.full((n, facts.shape[1], 1), WRITE), facts), 2)
        places = scatter(facts.shape[1], 3, length - 2 * self.n_chains, n, random)
        haystack = draw_haystack(self.haystack, n, CONTENT, random)
        return _asked(length, haystack, places, events, nodes[:, :, 0], nodes[:, :, -1], random, ASK_HOPS[hops - 1])


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

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"group must be one of {', '.join(map(repr, GROUPS))}, found {self.group!r}")
        at_least(1, n_steps=self.n_steps)
        check_kind(self.haystack)

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.group}_{self.n_steps}_{self.haystack}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials."""
        check_length(length, self.n_steps + 1, self)
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


def _check_symbols(count: int, what: str) -> None:
    """Raise a ValueError if so many different symbols there are not."""
    if count > CONTENT:
        raise ValueError(f"{what} need {count} different symbols, the vocabulary has {CONTENT}")


def _distinct(n: int, count: int, random: np.random.Generator) -> IntArray:
    return random.permuted(np.tile(np.arange(CONTENT), (n, 1)), axis=1)[:, :count]


def _shuffled(events: IntArray, random: np.random.Generator) -> IntArray:
    order = random.permuted(np.tile(np.arange(events.shape[1]), (len(events), 1)), axis=1)
    return events[np.arange(len(events))[:, None], order]


def _last_of_their_kind(kinds: IntArray) -> npt.NDArray[np.bool_]:
    """Tell which events (n, events) no later one of the same kind follows."""
    size = kinds.shape[1]
    later = np.triu(np.ones((size, size), bool), 1)
    return ~((kinds[:, :, None] == kinds[:, None, :]) & later).any(2)


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
