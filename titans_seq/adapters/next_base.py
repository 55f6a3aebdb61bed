"""Next-base prediction: what counts of several orders say, weighted and corrected by a network with a memory.

Everything a prediction is made of was known before its base: the bases before it, what had been counted in their
contexts, and how well each order had done so far.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.data.sequences.alphabet import SOFT_MASKED, UNKNOWN, CodeArray
from titans_seq.nn import Backbone, BackboneState
from titans_seq.nn.memory_layer import NeuralMemory

NOTHING = 5
"""Stands before the first base of a sequence, beside 0 to 3 for A, C, G and T and 4 for anything else."""

HORIZONS = (8, 32)
"""Bases over which the recent gain of each order is averaged, exponentially."""

_LEVELS = 12
"""Powers of two into which the bases counted in a context are sorted."""


@dataclass(frozen=True)
class Evidence:
    """What is known before each base of a batch of stretches.

    Attributes
    ----------
    counts : Tensor, shape (batch, time, orders, 4)
        Bases that followed the context of each order.
    gains : Tensor of float32, shape (batch, time, orders * len(HORIZONS))
        How many bits below 2 each order has taken for the last bases.
    before : Tensor of uint8, shape (batch, time + width - 1)
        The ``width`` bases before each: those of base t begin at index t.
    """

    counts: Tensor
    gains: Tensor
    before: Tensor

    def to(self, device: torch.device | str) -> Evidence:
        """Move to a device."""
        return Evidence(self.counts.to(device), self.gains.to(device), self.before.to(device))

    @classmethod
    def of(cls, arrays: Sequence[EvidenceArrays]) -> Evidence:
        """Return stretches of one length as a batch."""
        return cls(
            torch.from_numpy(np.stack([one.counts for one in arrays]).astype(np.float32)),
            torch.from_numpy(np.stack([one.gains for one in arrays])),
            torch.from_numpy(np.stack([one.before for one in arrays])),
        )


@dataclass(frozen=True)
class EvidenceArrays:
    """What is known before each base of one stretch; as `Evidence`, without a batch."""

    counts: NDArray[np.uint16]
    gains: NDArray[np.float32]
    before: NDArray[np.uint8]

    def cut(self, start: int, stop: int) -> EvidenceArrays:
        """Return the evidence of some of the bases."""
        more = len(self.before) - len(self.counts)
        return EvidenceArrays(
            self.counts[start:stop], self.gains[start:stop], self.before[start : max(start, stop) + more]
        )


class EvidenceReader:
    """Reads a sequence piece by piece and hands out what was known before each base.

    Parameters
    ----------
    counts : sequence of BaseCounts
        They are changed by reading.
    width : int
        Bases before each that are handed out.
    learn : bool, default True
        Whether the counts go on learning.
    """

    def __init__(self, counts: Sequence[BaseCounts], width: int, *, learn: bool = True) -> None:
        self.counts, self.width, self.learn = counts, width, learn
        self.begin()

    def begin(self) -> None:
        """Begin another sequence; the counts stay."""
        for counts in self.counts:
            counts.forget_context()
        self._tail = np.full(self.width, NOTHING, dtype=np.uint8)
        self._gains = np.zeros((len(HORIZONS), len(self.counts)))

    def read(self, codes: CodeArray) -> EvidenceArrays:
        """Read bases; what is returned does not depend on how the sequence is cut into calls."""
        letters = letters_of(codes)
        counts = np.stack([counts.read(codes, learn=self.learn) for counts in self.counts], 1)
        buffer = np.concatenate((self._tail, letters))
        self._tail = buffer[len(buffer) - self.width :]
        before = buffer[: len(buffer) - 1] if len(letters) else self._tail[: self.width - 1]
        clipped = np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)
        return EvidenceArrays(clipped, self._recent_gains(counts, letters), before)

    def ahead(self) -> EvidenceArrays:
        """Return what is known before the base that comes next, without reading it."""
        counts = np.stack([counts.ahead() for counts in self.counts])[None]
        clipped = np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)
        return EvidenceArrays(clipped, self._gains.reshape(1, -1).astype(np.float32), self._tail.copy())

    def _recent_gains(self, counts: NDArray[np.uint32], letters: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Exponential averages of 2 - bits of each order, over the bases before each."""
        from scipy.signal import lfilter

        n = counts.astype(np.float64)
        told = np.take_along_axis(n, (letters & 3).astype(np.int64)[:, None, None], 2)[..., 0]
        gain = np.log2(4 * (told + 1 / 16) / (n.sum(2) + 1 / 4))
        gain[letters >= UNKNOWN] = 0.0
        averages = []
        for i, horizon in enumerate(HORIZONS):
            keep, state = 1 - 1 / horizon, self._gains[i : i + 1].copy()
            after, _ = lfilter([1 - keep], [1.0, -keep], gain, axis=0, zi=keep * state)
            averages.append(np.concatenate((state, after))[:-1])
            self._gains[i] = np.concatenate((state, after))[-1]
        return np.concatenate(averages, 1).astype(np.float32)


def letters_of(codes: CodeArray) -> NDArray[np.uint8]:
    """Return 0 to 3 for A, C, G and T in either case, 4 for anything else."""
    return np.minimum(codes & np.uint8(SOFT_MASKED - 1), np.uint8(UNKNOWN))


class NextBaseModel(nn.Module):
    """Logits of the next base: log counts of each order, times weights that depend on all that is known.

    logit_b = Σ_k w_k (log(n_kb + 1/2) - mean over b) + r_b, where w_k is a constant for the size of the context's
    count, plus what a small network of the evidence adds, plus what the backbone adds; r_b comes from the latter
    two. What they add is zero at the beginning: with nothing learned the model is a product of the Markov models.

    Parameters
    ----------
    n_orders : int
    backbone : Backbone
    width : int, default 16
        Bases before each that its token sees through a convolution.
    hidden : int, default 32
        Of the small network.
    """

    def __init__(self, n_orders: int, backbone: Backbone, *, width: int = 16, hidden: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, found {width}")
        d_model = backbone.config.d_model
        self.n_orders, self.width = n_orders, width
        features = n_orders * (len(HORIZONS) + 2 + 4)
        self.weights = nn.Parameter(torch.full((n_orders, 2 * _LEVELS), 1 / n_orders))
        answer, self.head = nn.Linear(hidden, n_orders + 4), nn.Linear(d_model, n_orders + 4)
        self.small = nn.Sequential(nn.Linear(n_orders * (len(HORIZONS) + 2), hidden), nn.GELU(), answer)
        self.stem = nn.Conv1d(NOTHING + 1, d_model, width)
        self.embed = nn.Linear(features, d_model)
        self.backbone = backbone
        for layer in (answer, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def init_state(self, batch_size: int) -> BackboneState:
        """Return the state of ``batch_size`` sequences before their first base."""
        return self.backbone.init_state(batch_size)

    def forward(
        self,
        evidence: Evidence,
        state: BackboneState | None = None,
        *,
        lengths: Tensor | None = None,
        zero_memory: bool = False,
    ) -> tuple[Tensor, Tensor, BackboneState]:
        """Predict every base from what was known before it.

        Parameters
        ----------
        evidence : Evidence
        state : BackboneState, optional
            What an earlier call handed back; None at the start of the sequences.
        lengths, zero_memory
            As in `Backbone`.

        Returns
        -------
        logits : Tensor, shape (batch, time, 4)
            Of A, C, G and T.
        hidden : Tensor, shape (batch, time, d_model)
        state : BackboneState
        """
        share, level, features = self._features(evidence)
        x = self.embed(torch.cat((features, share.flatten(2)), 2))
        if x.shape[1] > 0:
            bases = F.one_hot(evidence.before.long(), NOTHING + 1).to(x.dtype)
            x = x + F.gelu(self.stem(bases.transpose(1, 2))).transpose(1, 2)
        # After an unknown base there is nothing to learn from: a gap of thousands of Ns leaves the memory as it is.
        known = evidence.before[:, self.width - 1 :] != UNKNOWN
        mask = None if bool(known.all()) else known
        hidden, state = self.backbone(x, state, mask=mask, lengths=lengths, zero_memory=zero_memory)
        change = self.small(features) + self.head(hidden)
        by_size = self.weights[torch.arange(self.n_orders, device=level.device), level]
        weights = by_size + change[..., : self.n_orders]
        return (weights[..., None] * share).sum(2) + change[..., self.n_orders :], hidden, state

    def _features(self, evidence: Evidence) -> tuple[Tensor, Tensor, Tensor]:
        """Centred log counts (batch, time, orders, 4), class of each count, features (batch, time, orders * …)."""
        counts = evidence.counts
        total, largest = counts.sum(3), counts.amax(3)
        logs = (counts + 0.5).log()
        size = (total + 1).log2()
        pure = (largest == total) & (total > 0)
        level = 2 * size.floor().long().clamp(max=_LEVELS - 1) + pure
        features = torch.cat((evidence.gains, size / 8, pure.to(size.dtype)), 2)
        return logs - logs.mean(3, keepdim=True), level, features


def with_frozen_memory(model: NextBaseModel) -> NextBaseModel:
    """Return a copy whose memories keep their initial weights: they are read, but nothing is written to them."""
    frozen = copy.deepcopy(model)
    for layer in frozen.modules():
        if isinstance(layer, NeuralMemory):
            layer.hold = (0.0, layer.hold[1], 0.0)
    return frozen
