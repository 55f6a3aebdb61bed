"""Training on streams with questions: a curriculum of lengths, a price on writing, states carried and detached."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.adapters.symbols import StreamModel
from titans_seq.nn.watch import Watch, openness, watch_memories


class Questions(Protocol):
    """Streams of one length with questions; see `titans_seq.evaluation.recall`."""

    length: int
    questions: Any
    answers: Tensor

    def read(self, start: int, stop: int) -> Tensor:
        """Return tokens ``start`` to ``stop``."""


Draw = Callable[[int, int, np.random.Generator], Questions]


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum: ``steps`` optimiser steps on streams of ``length`` tokens."""

    length: int
    steps: int


@dataclass(frozen=True)
class RecallSettings:
    """How to train.

    Attributes
    ----------
    curriculum : tuple of Stage
    tokens_per_step : int
        Of all streams of a batch together; at least one stream.
    learning_rate : float
        Peak; warms up over 50 steps, falls to a tenth along a cosine.
    write_price : float
        Weight of the mean openness of the gates of writing and forgetting: filler is no longer written.
    write_margin : float
        How far below closed a hard gate must stand to cost nothing.
    reconstruction : float
        Weight of the memory's own loss ½‖f(k) − v‖² (L = L_main + λ · L_memory).
    core_steps : int
        First steps in which what the memories return is zero: the core learns first, the memory after it.
    piece_length : int
        Longer streams are read in pieces whose state is carried and detached (truncated backpropagation).
    seed : int
        Of the trials.
    """

    curriculum: Sequence[Stage] = (Stage(64, 250), Stage(128, 100), Stage(256, 100))
    tokens_per_step: int = 4096
    learning_rate: float = 4e-3
    write_price: float = 0.3
    write_margin: float = 0.1
    price_steps: int = 0
    reconstruction: float = 0.0
    core_steps: int = 0
    piece_length: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.curriculum:
            raise ValueError("curriculum must have at least one stage")
        for name in ("tokens_per_step", "piece_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("write_price", "reconstruction", "core_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, found {getattr(self, name)}")

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.curriculum)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm_up = min(1.0, (step + 1) / 50)
        return self.learning_rate * warm_up * (0.1 + 0.45 * (1 + math.cos(math.pi * step / self.total_steps)))


@dataclass(frozen=True)
class Step:
    """What a step of training showed: the loss of the answers, and the gates' mean openness."""

    step: int
    length: int
    loss: float
    openness: float
    seconds: float


def train_recall(
    model: StreamModel,
    draw: Draw,
    settings: RecallSettings,
    *,
    on_step: Callable[[Step], None] | None = None,
) -> list[Step]:
    """Train in place; the model ends in evaluation mode.

    Parameters
    ----------
    model : SymbolModel or VectorModel
        ``head`` of its hidden tokens answers: by class where the answers are integers, else by value.
    draw : callable
        ``draw(n, length, generator)`` returns trials.
    settings : RecallSettings
    on_step : callable, optional
        Called after every step.

    Returns
    -------
    list of Step
    """
    random = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    lengths = [stage.length for stage in settings.curriculum for _ in range(stage.steps)]
    history, began = [], time.process_time()
    model.train()
    with watch_memories(model, surprise=settings.reconstruction > 0) as watch:
        for step, length in enumerate(lengths):
            optimizer.param_groups[0]["lr"] = settings.rate(step)
            trials = draw(max(1, settings.tokens_per_step // length), length, random)
            loss, written = _backward(model, trials, settings, watch, step)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            history.append(Step(step, length, loss, written, time.process_time() - began))
            if on_step is not None:
                on_step(history[-1])
    model.eval()
    return history


def _backward(
    model: StreamModel, trials: Questions, settings: RecallSettings, watch: Watch, step: int
) -> tuple[float, float]:
    """Add up gradients over the pieces of the streams; returns the loss of the answers and the mean openness."""
    questions, state, total, written = torch.from_numpy(trials.questions), None, 0.0, 0.0
    starts = range(0, trials.length, settings.piece_length)
    for start in starts:
        watch.clear()
        stop = min(start + settings.piece_length, trials.length)
        hidden, state = model(trials.read(start, stop), state, zero_memory=step < settings.core_steps)
        inside = (questions >= start) & (questions < stop)
        row, column = torch.nonzero(inside, as_tuple=True)
        answer = _loss(model.head(hidden[row, questions[row, column] - start]), trials.answers[row, column])
        answer = answer * (inside.sum() / questions.numel())
        price = _price(watch, settings, step) / len(starts)
        (answer + price).backward()
        state = state.detach()
        total, written = total + float(answer.detach()), written + _openness(watch) / len(starts)
    return total, written


def _loss(found: Tensor, answers: Tensor) -> Tensor:
    if found.shape[0] == 0:
        return found.sum()
    if answers.is_floating_point():
        return F.mse_loss(found, answers)
    return F.cross_entropy(found, answers)


def _price(watch: Watch, settings: RecallSettings, step: int) -> Tensor | float:
    if not any(watch.calls.values()):
        return 0.0
    grown = min(1.0, step / settings.price_steps) if settings.price_steps else 1.0
    price = grown * settings.write_price * openness(watch, margin=settings.write_margin)
    errors = [error for seen in watch.surprise.values() for error in seen]
    for error in errors:
        price = price + settings.reconstruction / len(errors) * 0.5 * error.square().mean()
    return price


def _openness(watch: Watch) -> float:
    seen = [call for calls in watch.calls.values() for call in calls]
    return sum(float(call.theta.detach().mean()) for call in seen) / len(seen) if seen else 0.0
