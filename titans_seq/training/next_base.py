"""Training of a next-base model on streams of both strands, with the state carried from piece to piece."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from titans_seq.adapters.next_base import Evidence, EvidenceArrays, NextBaseModel
from titans_seq.nn import BackboneState
from titans_seq.training.fit import seeded
from titans_seq.training.streams import Pieces, StreamLoader, carry, restart
from titans_seq.training.watching import noted

_IGNORED = -100
_READ = 2048


@dataclass(frozen=True)
class BaseStream:
    """One strand of a stretch: its bases and what was known before each.

    Attributes
    ----------
    letters : uint8 array (n,)
        0 to 3; 4 is not predicted.
    evidence : EvidenceArrays
    """

    letters: NDArray[np.uint8]
    evidence: EvidenceArrays


@dataclass
class NextBaseResult:
    """What training did.

    Attributes
    ----------
    history : list of dict
        Per epoch: ``epoch``, ``train_bits`` (None for epoch 0), ``validation_bits``, ``seconds``; bits per base. Those
        of weights that went to infinity are None.
    best_validation : float
        NaN without validation.
    best_epoch : int
        Epoch whose weights were kept.
    stopped_by : str
        "max_epochs", "early_stopping" or "max_minutes".
    """

    history: list[dict[str, float | None]] = field(default_factory=list)
    best_validation: float = float("nan")
    best_epoch: int = 0
    stopped_by: str = "max_epochs"


def train_next_base(
    model: NextBaseModel,
    streams: Sequence[BaseStream],
    *,
    validate: Callable[[], float],
    batch_size: int,
    piece_length: int,
    learning_rate: float,
    max_epochs: int,
    max_seconds: float | None,
    patience: int,
    seed: int,
) -> NextBaseResult:
    """Train in place; the model ends with the weights of its best epoch, in evaluation mode.

    Parameters
    ----------
    model : NextBaseModel
    streams : sequence of BaseStream
        An epoch reads each of them once, piece by piece; gradients stay within a piece, the state goes on.
    validate : callable
        Returns the bits per base of the model as it stands.
    batch_size, piece_length : int
        Rows, and bases of a row, for each step.
    learning_rate : float
        Peak of a schedule that warms up over at most 50 steps and falls to a twentieth along a cosine. The weights
        of the orders learn at ten times that.
    max_epochs : int
    max_seconds : float or None
        Time after which training stops, the last validation included.
    patience : int
        Epochs without a better validation after which training stops.
    seed : int
    """
    loader = StreamLoader(
        [len(s.letters) for s in streams], batch_size=batch_size, piece_length=piece_length, seed=seed, stagger=True
    )
    optimizer = _optimizer(model, learning_rate)
    total = max(1, max_epochs * len(loader))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    selection = _Selection(model, validate, max_seconds, patience)
    selection.look(0, None)
    state: BackboneState | None = None
    with seeded(seed):
        for epoch in range(1, max_epochs + 1):
            if selection.done:
                break
            model.train()
            losses = []
            for pieces in loader:
                fresh = torch.from_numpy(pieces.fresh)
                state = _continued(model, state, fresh)
                loss, state = _loss(model, streams, pieces, state)
                optimizer.zero_grad()
                loss.backward()
                state = carry(state)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                losses.append(float(loss.detach()))
                if selection.late():
                    break
            selection.look(epoch, float(np.mean(losses)) / math.log(2))
    return selection.keep_best()


class _Selection:
    """Validates after every epoch, keeps the best weights, stops when they stay or the time is up."""

    def __init__(
        self, model: NextBaseModel, validate: Callable[[], float], max_seconds: float | None, patience: int
    ) -> None:
        self.model, self.validate, self.patience = model, validate, patience
        self.result = NextBaseResult()
        self.began = time.monotonic()
        self.deadline = None if max_seconds is None else self.began + max_seconds
        self.validation_seconds, self.done = 0.0, False
        self.best = copy.deepcopy(model.state_dict())

    def late(self) -> bool:
        """Whether the time left is only enough to validate."""
        if self.deadline is not None and time.monotonic() + 1.5 * self.validation_seconds > self.deadline:
            self.done, self.result.stopped_by = True, "max_minutes"
        return self.done

    def look(self, epoch: int, train_bits: float | None) -> None:
        began = time.monotonic()
        self.model.eval()
        bits = self.validate()
        self.validation_seconds = time.monotonic() - began
        seconds = time.monotonic() - self.began
        entry = {"epoch": epoch, "train_bits": noted(train_bits), "validation_bits": noted(bits), "seconds": seconds}
        self.result.history.append(entry)
        if epoch == 0 or bits < self.result.best_validation:
            self.result.best_validation, self.result.best_epoch = bits, epoch
            self.best = copy.deepcopy(self.model.state_dict())
        elif epoch - self.result.best_epoch >= self.patience:
            self.done, self.result.stopped_by = True, "early_stopping"
        if train_bits is not None and not math.isfinite(train_bits):  # no step leads back from infinity
            self.done, self.result.stopped_by = True, "early_stopping"

    def keep_best(self) -> NextBaseResult:
        self.model.load_state_dict(self.best)
        self.model.eval()
        return self.result


def _optimizer(model: NextBaseModel, learning_rate: float) -> torch.optim.Optimizer:
    others = [p for name, p in model.named_parameters() if name != "weights"]
    groups: list[dict[str, Any]] = [{"params": others}]
    groups.append({"params": [model.weights], "lr": 10 * learning_rate, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=learning_rate, weight_decay=0.01)


def _rate(step: int, total: int) -> float:
    warm = min(50, max(1, total // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))


@torch.no_grad()
def bits_of_streams(model: NextBaseModel, streams: Sequence[BaseStream]) -> float:
    """Bits per base of streams that are read side by side, each from a fresh state."""
    lengths = np.array([len(stream.letters) for stream in streams])
    rows, total, state = np.arange(len(streams)), 0.0, None
    for start in range(0, int(lengths.max()), _READ):
        begin, end = np.minimum(start, lengths), np.minimum(start + _READ, lengths)
        loss, state = _loss(model, streams, Pieces(rows, begin, end, np.zeros(len(rows), dtype=bool)), state, "sum")
        total += float(loss)
    return total / math.log(2) / max(1, sum(int((stream.letters < 4).sum()) for stream in streams))


def _continued(model: NextBaseModel, state: BackboneState | None, fresh: Tensor) -> BackboneState:
    if state is None or bool(fresh.all()):
        return model.init_state(len(fresh))
    return restart(state, fresh, model.init_state(1)) if bool(fresh.any()) else state


def _loss(
    model: NextBaseModel,
    streams: Sequence[BaseStream],
    pieces: Pieces,
    state: BackboneState | None,
    reduction: str = "mean",
) -> tuple[Tensor, BackboneState]:
    """Cross entropy of a piece, in nats, and the state after it."""
    evidence, targets, lengths = _batch(streams, pieces)
    logits, _, state = model(evidence, state, lengths=lengths)
    told = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="sum")
    known = max(1, int((targets != _IGNORED).sum()))
    return told / known if reduction == "mean" else told, state


def _batch(streams: Sequence[BaseStream], pieces: Pieces) -> tuple[Evidence, Tensor, Tensor | None]:
    """Evidence, targets (batch, time), and lengths unless all are the same."""
    width = int(pieces.lengths.max())
    arrays, targets = [], np.full((len(pieces.stream), width), _IGNORED, dtype=np.int64)
    for row, (s, start, stop) in enumerate(zip(pieces.stream, pieces.start, pieces.stop, strict=True)):
        letters = streams[s].letters[start:stop].astype(np.int64)
        targets[row, : stop - start] = np.where(letters < 4, letters, _IGNORED)
        arrays.append(_padded(streams[s].evidence.cut(int(start), int(stop)), width))
    lengths = torch.from_numpy(pieces.lengths)
    return Evidence.of(arrays), torch.from_numpy(targets), None if int(lengths.min()) == width else lengths


def _padded(one: EvidenceArrays, width: int) -> EvidenceArrays:
    more = width - len(one.counts)
    if more == 0:
        return one
    counts, gains = np.pad(one.counts, ((0, more), (0, 0), (0, 0))), np.pad(one.gains, ((0, more), (0, 0)))
    return EvidenceArrays(counts, gains, np.pad(one.before, (0, more)))
