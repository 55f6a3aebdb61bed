"""Streams with something to remember in them, read piece by piece at any length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from numbers import Integral
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from titans_seq.evaluation.recall.haystacks import Haystack

IntArray = npt.NDArray[np.int64]


class Trials(Protocol):
    """Streams of one length, each with its questions."""

    @property
    def length(self) -> int:
        """Tokens of each stream."""

    @property
    def questions(self) -> IntArray:
        """Tokens whose output is the answer, (trials, questions); increasing."""

    @property
    def answers(self) -> Tensor:
        """Classes, (trials, questions), or vectors of values, (trials, questions, width)."""

    @property
    def answer_length(self) -> int:
        """Questions that count as one: right together or wrong."""

    def read(self, start: int, stop: int) -> Tensor:
        """Return tokens ``start`` to ``stop``: the same however a stream is cut."""


class Task(Protocol):
    """What is to be remembered."""

    @property
    def name(self) -> str:
        """Name in tables."""

    def draw(self, n: int, length: int, random: np.random.Generator) -> Trials:
        """Draw ``n`` trials of ``length`` tokens."""


@dataclass(frozen=True)
class SymbolTrials:
    """Trials of symbols: a haystack with symbols put into it. Attributes beyond those of `Trials`:

    Attributes
    ----------
    haystack : Haystack
        A row per trial.
    places, symbols : int array, shape (trials, n)
        What is put where.
    """

    haystack: Haystack
    length: int
    places: IntArray
    symbols: IntArray
    questions: IntArray
    answers: Tensor
    answer_length: int = 1

    def read(self, start: int, stop: int) -> Tensor:
        """Return symbols ``start`` to ``stop``, int64 of shape (trials, stop - start)."""
        tokens = self.haystack.read(start, stop).astype(np.int64)
        row, column = np.nonzero((self.places >= start) & (self.places < stop))
        tokens[row, self.places[row, column] - start] = self.symbols[row, column]
        return torch.from_numpy(tokens)


@dataclass(frozen=True)
class JoinedTrials:
    """Trials side by side: of one length, with as many questions each."""

    parts: Sequence[Trials]

    @property
    def length(self) -> int:
        """Tokens of each stream."""
        return self.parts[0].length

    @property
    def questions(self) -> IntArray:
        """As in `Trials`."""
        return np.concatenate([part.questions for part in self.parts])

    @property
    def answers(self) -> Tensor:
        """As in `Trials`."""
        return torch.cat([part.answers for part in self.parts])

    @property
    def answer_length(self) -> int:
        """As in `Trials`."""
        return self.parts[0].answer_length

    def read(self, start: int, stop: int) -> Tensor:
        """Return tokens ``start`` to ``stop``."""
        return torch.cat([part.read(start, stop) for part in self.parts])


def draw_batches(task: Task, length: int, *, n_trials: int, seed: int, batch_size: int) -> Iterator[Trials]:
    """Draw trials, each from a generator of its own: they are the same for every batch size."""
    at_least(1, n_trials=n_trials, batch_size=batch_size)
    seeds = np.random.SeedSequence(seed).spawn(n_trials)
    drawn = [task.draw(1, length, np.random.default_rng(own)) for own in seeds]
    drawn.sort(key=_n_questions)
    for _, alike in groupby(drawn, key=_n_questions):
        while batch := list(islice(alike, batch_size)):
            yield JoinedTrials(batch)


def _n_questions(trials: Trials) -> int:
    return trials.questions.shape[1]


def at_least(least: int, **counts: int) -> None:
    """Raise a TypeError that names what is no count, or a ValueError that names a count below ``least``."""
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, Integral):
            raise TypeError(f"{name} must be an integer, found {count!r}")
        if count < least:
            raise ValueError(f"{name} must be at least {least}, found {count}")


def check_length(length: int, least: int, task: Task) -> None:
    """Raise a ValueError if streams cannot hold all that a task may put into them."""
    if length < least:
        raise ValueError(f"streams of {length} tokens are too short for {task.name}: use at least {least}")


def scatter(n_events: int, width: int, room: int, n: int, random: np.random.Generator) -> IntArray:
    """Draw places of events of ``width`` tokens in ``room`` tokens: of all ways without overlap each is as likely.

    Returns
    -------
    int array, shape (n, n_events)
        Increasing first tokens.

    Raises
    ------
    ValueError
        If they do not fit.
    """
    free = room - n_events * width
    if free < 0:
        raise ValueError(f"{n_events} events of {width} tokens do not fit into {room} tokens: use a longer stream")
    return _subsets(n, n_events, free + n_events, random) + (width - 1) * np.arange(n_events)


def _subsets(n: int, size: int, total: int, random: np.random.Generator) -> IntArray:
    """Draw ``n`` sorted subsets of the numbers below ``total`` (Floyd's algorithm; nothing grows with them)."""
    chosen = np.empty((n, size), np.int64)
    for i in range(size):
        last = total - size + i
        number = random.integers(0, last + 1, n)
        taken = (chosen[:, :i] == number[:, None]).any(1)
        chosen[:, i] = np.where(taken, last, number)
    return np.sort(chosen, axis=1)
