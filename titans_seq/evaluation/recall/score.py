"""How much of what was to be remembered was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from titans_seq.adapters.symbols import StreamModel
from titans_seq.evaluation.recall.trials import Task, Trials, at_least, draw_batches


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


def wilson_interval(right: int, asked: int, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """Confidence interval of a share (Wilson 1927): unlike the normal one it means something at 0 and 1.

    Parameters
    ----------
    right, asked : int
    z : float
        Normal quantile; the default is that of 95 %.
    """
    if asked < 1 or not 0 <= right <= asked:
        raise ValueError(f"right must lie in [0, asked] and asked be positive, found {right} of {asked}")
    share, n = right / asked, asked
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)
    # At the ends the formula gives exactly 0 and 1, its rounding does not.
    return 0.0 if right == 0 else max(0.0, low), 1.0 if right == asked else min(1.0, high)


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
    at_least(1, piece_length=piece_length, length=trials.length)
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
    assert out is not None
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
        Streams read side by side; they are the same streams whatever it is.
    piece_length, **options
        As in `answers`.

    Raises
    ------
    TypeError
        If the answers of the task are no symbols but values: see `recall_error`.
    """
    right, asked = 0, 0
    for trials in draw_batches(task, length, n_trials=n_trials, seed=seed, batch_size=batch_size):
        if trials.answers.is_floating_point():
            raise TypeError(
                f"the answers of task {task.name!r} are values: use recall_error, score_recall counts symbols"
            )
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
    """Mean squared error of recalled values, and its standard error over trials; arguments as `score_recall`.

    A single trial has no standard error: NaN.

    Raises
    ------
    TypeError
        If the answers of the task are no values but symbols: see `score_recall`.
    """
    errors = []
    for trials in draw_batches(task, length, n_trials=n_trials, seed=seed, batch_size=batch_size):
        if not trials.answers.is_floating_point():
            raise TypeError(
                f"the answers of task {task.name!r} are symbols: use score_recall, recall_error is for values"
            )
        found = answers(model, trials, piece_length=piece_length, **options)
        errors.append((found.cpu() - trials.answers).square().mean((1, 2)))
    error = torch.cat(errors)
    return float(error.mean()), float(error.std()) / math.sqrt(n_trials) if n_trials > 1 else math.nan
