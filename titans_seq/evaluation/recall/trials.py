"""Streams with something to remember in them, read piece by piece at any length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from titans_seq.evaluation.recall.haystacks import Haystack

IntArray = npt.NDArray[np.int64]


class Trials(Protocol):
    """Streams of one length, each with its questions.

    Attributes
    ----------
    length : int
        Tokens of each stream.
    questions : int array, shape (trials, questions)
        Tokens whose output is the answer; increasing.
    answers : Tensor, shape (trials, questions) or (trials, questions, width)
        Classes, or vectors of values.
    answer_length : int
        Questions that count as one: right together or wrong.
    """

    length: int
    questions: IntArray
    answers: Tensor
    answer_length: int

    def read(self, start: int, stop: int) -> Tensor:
        """Return tokens ``start`` to ``stop``: the same however a stream is cut."""


class Task(Protocol):
    """What is to be remembered.

    Attributes
    ----------
    name : str
    """

    name: str

    def draw(self, n: int, length: int, random: np.random.Generator) -> Any:
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


def scatter(n_events: int, width: int, room: int, n: int, random: np.random.Generator) -> IntArray:
    """Draw places of events of ``width`` tokens that do not overlap, uniform over ``room`` tokens.

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
    gaps = np.sort(random.integers(0, free + 1, (n, n_events)), axis=1)
    return gaps + width * np.arange(n_events)
