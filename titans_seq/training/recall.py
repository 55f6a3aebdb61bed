"""Training on streams with questions: a curriculum of lengths, a price on writing, states carried and detached."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.adapters.symbols import StreamModel
from titans_seq.nn.watch import Watch, openness, watch_memories
from titans_seq.training.checkpoint import Place, Saved, prefixed
from titans_seq.training.torch_state import optimizer_tensors, random_tensors, restore_optimizer, restore_random


class Questions(Protocol):
    """Streams of one length with questions; see `titans_seq.evaluation.recall`."""

    @property
    def length(self) -> int:
        """Tokens of each stream."""

    @property
    def questions(self) -> npt.NDArray[np.int64]:
        """Tokens whose output is the answer, (trials, questions)."""

    @property
    def answers(self) -> Tensor:
        """Classes or vectors of values, (trials, questions, …)."""

    def read(self, start: int, stop: int) -> Tensor:
        """Return tokens ``start`` to ``stop``."""


Draw = Callable[[int, int, np.random.Generator], Questions]


def _check(fits: bool, name: str, bound: str, found: float) -> None:
    if not fits:
        raise ValueError(f"{name} must be {bound}, found {found}")


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum: ``steps`` optimiser steps on streams of ``length`` tokens."""

    length: int
    steps: int

    def __post_init__(self) -> None:
        for name in ("length", "steps"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))


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
    free_steps : int
        Steps, counted from the last of the core's, in which writing costs nothing: what to write is learned first.
    price_steps : int
        Steps after these over which the price grows from nothing; 0: it is full at once.
    reconstruction : float
        Weight of the memory's own loss ½‖f(k) − v‖² (L = L_main + λ · L_memory).
    core_steps : int
        First steps in which what the memories return is zero and writing is free: the core learns first, the
        memory after it. Fewer than all.
    piece_length : int
        Longer streams are read in pieces whose state is carried and detached (truncated backpropagation).
    seed : int
        Of the trials, and of dropout.
    """

    curriculum: Sequence[Stage] = (Stage(64, 250), Stage(128, 100), Stage(256, 100))
    tokens_per_step: int = 4096
    learning_rate: float = 4e-3
    write_price: float = 0.3
    write_margin: float = 0.1
    free_steps: int = 0
    price_steps: int = 0
    reconstruction: float = 0.0
    core_steps: int = 0
    piece_length: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.curriculum:
            raise ValueError("curriculum must have at least one stage")
        _check(self.learning_rate > 0, "learning_rate", "positive", self.learning_rate)
        for name in ("tokens_per_step", "piece_length"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in (
            "write_price",
            "write_margin",
            "free_steps",
            "price_steps",
            "reconstruction",
            "core_steps",
            "seed",
        ):
            _check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        fewer = f"less than the {self.total_steps} steps of the curriculum, else no memory is trained"
        _check(self.core_steps < self.total_steps, "core_steps", fewer, self.core_steps)

    @property
    def total_steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.curriculum)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0; the last one's is a tenth."""
        warm_up, done = min(1.0, (step + 1) / 50), step / max(1, self.total_steps - 1)
        return self.learning_rate * warm_up * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))

    def price(self, step: int) -> float:
        """Price on writing in a step, counted from 0."""
        priced = step - self.core_steps - self.free_steps
        if priced < 0:
            return 0.0
        return self.write_price * min(1.0, priced / self.price_steps if self.price_steps else 1.0)


@dataclass(frozen=True)
class Step:
    """What a step of training showed.

    Attributes
    ----------
    step, length : int
        Number of the step, from 0, and tokens of its streams.
    loss : float
        Of the answers alone.
    openness : float
        Mean of the gates of writing θ; 0 without a memory.
    seconds : float
        Processor time since training began.
    """

    step: int
    length: int
    loss: float
    openness: float
    seconds: float


_FIELDS = tuple(field.name for field in fields(Step))


def train_recall(
    model: StreamModel,
    draw: Draw,
    settings: RecallSettings,
    *,
    on_step: Callable[[Step], None] | None = None,
    place: Place | None = None,
) -> list[Step]:
    """Train in place; the model ends in evaluation mode, also where training is broken off.

    Parameters
    ----------
    model : SymbolModel or VectorModel
        ``head`` of its hidden tokens answers: by class where the answers are integers, else by value.
    draw : callable
        ``draw(n, length, generator)`` returns trials.
    settings : RecallSettings
    on_step : callable, optional
        Called after every step; what it raises ends the training.
    place : Place, optional
        Where a checkpoint is kept, and looked for: training goes on from it. A finished one is not repeated.

    Returns
    -------
    list of Step
    """
    random = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.01)
    lengths = [stage.length for stage in settings.curriculum for _ in range(stage.steps)]
    history: list[Step] = []
    device, began, wall = model.head.weight.device, time.process_time(), time.monotonic()
    saved = None if place is None else place.load()
    optimizer.zero_grad()  # of what was done with the model before
    with (
        _training(model),
        _own_random(device, settings.seed),
        watch_memories(model, surprise=settings.reconstruction > 0) as watch,
    ):
        if saved is not None:
            history = _restored(model, optimizer, random, saved)
            began, wall = began - history[-1].seconds, wall - saved.facts["wall_seconds"]
        for step, length in list(enumerate(lengths))[len(history) :]:
            optimizer.param_groups[0]["lr"] = settings.rate(step)
            trials = draw(max(1, settings.tokens_per_step // length), length, random)
            loss, written = _backward(model, trials, settings, watch, step)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            history.append(Step(step, length, loss, written, time.process_time() - began))
            if on_step is not None:
                on_step(history[-1])
            if place is not None and (place.due() or len(history) == len(lengths)):
                seconds = {"cpu_seconds": history[-1].seconds, "wall_seconds": time.monotonic() - wall}
                place.save(_kept(model, optimizer, history), {"random": random.bit_generator.state, **seconds})
    return history


def _kept(model: StreamModel, optimizer: torch.optim.Optimizer, history: list[Step]) -> dict[str, Tensor]:
    """Return the tensors of a training after a step."""
    columns = {
        f"history.{name}": torch.tensor([float(getattr(step, name)) for step in history], dtype=torch.float64)
        for name in _FIELDS
    }
    tensors = prefixed("model.", model.state_dict()) | optimizer_tensors(optimizer)
    return tensors | random_tensors(model.head.weight.device) | columns


def _restored(
    model: StreamModel, optimizer: torch.optim.Optimizer, random: np.random.Generator, saved: Saved
) -> list[Step]:
    """Put a training back to where `_kept` was called; returns its history."""
    model.load_state_dict(saved.part("model."))
    restore_optimizer(optimizer, saved)
    restore_random(saved, model.head.weight.device)
    random.bit_generator.state = saved.facts["random"]
    rows = zip(*(saved.tensors[f"history.{name}"].tolist() for name in _FIELDS), strict=True)
    return [Step(int(step), int(length), *rest) for step, length, *rest in rows]


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    model.train()
    try:
        yield
    finally:
        model.eval()


@contextmanager
def _own_random(device: torch.device, seed: int) -> Iterator[None]:
    """Let dropout draw from generators of its own; the global ones are as before afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _backward(
    model: StreamModel, trials: Questions, settings: RecallSettings, watch: Watch, step: int
) -> tuple[float, float]:
    """Add up gradients over the pieces of the streams; returns the loss of the answers and the mean openness."""
    device, questions = model.head.weight.device, torch.from_numpy(trials.questions)
    state, total, written = None, 0.0, 0.0
    for start in range(0, trials.length, settings.piece_length):
        watch.clear()
        stop = min(start + settings.piece_length, trials.length)
        hidden, state = model(trials.read(start, stop).to(device), state, zero_memory=step < settings.core_steps)
        row, column = torch.nonzero((questions >= start) & (questions < stop), as_tuple=True)
        found = model.head(hidden[row, questions[row, column] - start])
        # Losses are means over a piece's answers and tokens: weighted, they are those of the whole stream.
        answer = len(row) / questions.numel() * _loss(found, trials.answers[row, column].to(device))
        part = (stop - start) / trials.length
        (answer + part * _memory_loss(watch, settings, step)).backward()
        state = state.detach()
        total, written = total + float(answer.detach()), written + part * _openness(watch)
    return total, written


def _loss(found: Tensor, answers: Tensor) -> Tensor:
    if found.shape[0] == 0:
        return found.sum()
    if answers.is_floating_point():
        return F.mse_loss(found, answers)
    return F.cross_entropy(found, answers)


def _memory_loss(watch: Watch, settings: RecallSettings, step: int) -> Tensor | float:
    """The price on writing, and the memory's own loss; neither while the core learns alone."""
    if step < settings.core_steps or not any(watch.calls.values()):
        return 0.0
    loss = settings.price(step) * openness(watch, margin=settings.write_margin)
    errors = [error for seen in watch.surprise.values() for error in seen]
    for error in errors:
        loss = loss + settings.reconstruction / len(errors) * 0.5 * error.square().mean()
    return loss


def _openness(watch: Watch) -> float:
    seen = [call for calls in watch.calls.values() for call in calls]
    return sum(float(call.theta.detach().mean()) for call in seen) / len(seen) if seen else 0.0
