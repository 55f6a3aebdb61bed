"""How much of what was to be remembered was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from titans_seq.adapters.symbols import StreamModel
from titans_seq.evaluation.recall.trials import Task, Trials


@dataclass(frozen=True)
class RecallScore:
    """Right answers of a number of trials.

    Attributes
    ----------
    task : str
    length : int
        Tokens of each stream.
    right, asked : int
        Answers.
    trials : int
        Streams.
    """

    task: str
    length: int
    right: int
    asked: int
    trials: int

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy, see `wilson_interval`."""
        return wilson_interval(self.right, self.asked)


def wilson_interval(right: int, asked: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a share (Wilson 1927): unlike the normal one it means something at 0 and 1.

    Parameters
    ----------
    right, asked : int
    z : float, default 1.959964
        Normal quantile; the default is that of 95 %.
    """
    if not 0 <= right <= asked or asked == 0:
        raise ValueError(f"right must lie in [0, asked] and asked be positive, found {right} of {asked}")
    share, n = right / asked, asked
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    return max(0.0, low), min(1.0, high)


@torch.no_grad()
def answers(model: StreamModel, trials: Trials, *, piece_length: int = 4096, **options: Any) -> Tensor:
    """Return the model's output at every question, reading piece by piece with a carried state.

    Parameters
    ----------
    model : SymbolModel or VectorModel
        Its ``head`` answers.
    trials : Trials
    piece_length : int, default 4096
        Tokens per call: bounds the memory used, changes nothing else.
    **options
        Passed to the model, e.g. ``zero_memory=True``.

    Returns
    -------
    Tensor, shape (trials, questions, outputs)
    """
    questions = torch.from_numpy(trials.questions)
    device = next(model.parameters()).device
    out: Tensor | None = None
    state = None
    for start in range(0, trials.length, piece_length):
        stop = min(start + piece_length, trials.length)
        hidden, state = model(trials.read(start, stop).to(device), state, **options)
        row, column = torch.nonzero((questions >= start) & (questions < stop), as_tuple=True)
        found = model.head(hidden[row, questions[row, column] - start])
        out = found.new_zeros(*questions.shape, found.shape[-1]) if out is None else out
        out[row, column] = found
    if out is None:
        raise ValueError(f"streams must have at least one token, found {trials.length}")
    return out


def count_right(trials: Trials, outputs: Tensor) -> tuple[int, int]:
    """Right answers and answers asked for; ``answer_length`` questions are one answer."""
    hits = outputs.argmax(-1).cpu() == trials.answers
    whole = hits.unflatten(1, (-1, trials.answer_length)).all(-1)
    return int(whole.sum()), whole.numel()


def score_recall(
    model: StreamModel,
    task: Task,
    length: int,
    *,
    n_trials: int,
    seed: int,
    batch_size: int = 8,
    piece_length: int = 4096,
    **options: Any,
) -> RecallScore:
    """Ask a model for what it read.

    Parameters
    ----------
    model, task
        A model in evaluation mode, and a task of symbols.
    length : int
        Tokens of each stream.
    n_trials : int
    seed : int
        Of the trials.
    batch_size : int, default 8
        Streams read side by side.
    piece_length, **options
        As in `answers`.
    """
    random, right, asked = np.random.default_rng(seed), 0, 0
    for first in range(0, n_trials, batch_size):
        trials = task.draw(min(batch_size, n_trials - first), length, random)
        hits, n = count_right(trials, answers(model, trials, piece_length=piece_length, **options))
        right, asked = right + hits, asked + n
    return RecallScore(task.name, length, right, asked, n_trials)


def recall_error(
    model: StreamModel,
    task: Task,
    length: int,
    *,
    n_trials: int,
    seed: int,
    batch_size: int = 8,
    piece_length: int = 4096,
    **options: Any,
) -> tuple[float, float]:
    """Mean squared error of recalled values, and its standard error over trials; arguments as `score_recall`."""
    random, errors = np.random.default_rng(seed), []
    for first in range(0, n_trials, batch_size):
        trials = task.draw(min(batch_size, n_trials - first), length, random)
        found = answers(model, trials, piece_length=piece_length, **options)
        errors.append((found.cpu() - trials.answers).square().mean((1, 2)))
    error = torch.cat(errors)
    return float(error.mean()), float(error.std() / math.sqrt(len(error)))
