"""What every mixer (the part of a block that looks at other tokens) has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from titans_seq.nn.cache import WindowCache
from titans_seq.nn.config import BlockConfig
from titans_seq.nn.memory_layer import NeuralMemory
from titans_seq.nn.norm import rms_norm
from titans_seq.nn.ring import WindowRing
from titans_seq.nn.rotary import Table
from titans_seq.nn.state import LayerState


@dataclass(frozen=True)
class Reading:
    """How one call reads its tokens.

    Attributes
    ----------
    mask : Tensor of bool, shape (batch, time), or None
        False for masked tokens.
    lengths : Tensor of int, shape (batch,), or None
        Tokens beyond are padding.
    zero_memory : bool
        Replace what the memory returns by zeros; it still learns.
    return_surprise : bool
        Report the memory's surprise.
    """

    mask: Tensor | None = None
    lengths: Tensor | None = None
    zero_memory: bool = False
    return_surprise: bool = False


@dataclass(frozen=True)
class Step:
    """How one call reads one token of each row.

    Attributes
    ----------
    position : Tensor of int64, shape (batch,)
        Tokens each row has read before.
    mask : Tensor of bool, shape (batch,), or None
        False for masked tokens.
    read : Tensor of bool, shape (batch,), or None
        False for rows that read nothing.
    zero_memory, return_surprise : bool
        As in `Reading`.
    inplace : bool
        Whether the tensors of the state may be written to.
    rotation : tuple of Tensor, each (batch, 1, 1, head_dim // 2), or None
        Cosines and sines of the positions, where attention has a window.
    """

    position: Tensor
    mask: Tensor | None = None
    read: Tensor | None = None
    zero_memory: bool = False
    return_surprise: bool = False
    inplace: bool = False
    rotation: Table | None = None

    def as_reading(self) -> Reading:
        """Return what this is for a call with a dimension of time."""
        mask = None if self.mask is None else self.mask[:, None]
        lengths = None if self.read is None else self.read.to(torch.int64)
        return Reading(mask, lengths, self.zero_memory, self.return_surprise)


class ReadResult(NamedTuple):
    """What a mixer adds to the residual stream (or a block makes of it), the state, and the surprise."""

    output: Tensor
    state: LayerState
    surprise: Tensor | None = None


class Mixer(nn.Module, ABC):
    """Base of all mixers: the norm in front and the persistent tokens.

    Parameters
    ----------
    config : BlockConfig
    """

    state_parts = frozenset({"memory"})
    """Parts of a `LayerState` that the mixer carries."""
    steps_in_place = False
    """Whether `step` can write into a state's tensors."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        self.norm = rms_norm(config.d_model)
        self.persistent = nn.Parameter(torch.randn(config.n_persistent, config.d_model) * config.d_model**-0.5)

    @abstractmethod
    def init_state(self, batch_size: int) -> LayerState:
        """Return the state before position 0."""

    @abstractmethod
    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Read x (batch, time, d_model), the residual stream."""

    def ready(self, state: LayerState, position: Tensor) -> LayerState:
        """Return a state of rows that have read ``position`` tokens, whose tensors are its own: for `step`."""
        state, memory = state.clone(), getattr(self, "memory", None)
        if isinstance(memory, NeuralMemory) and state.memory is not None:
            state = replace(state, memory=memory.ready(state.memory))
        if isinstance(state.window, WindowCache):
            state = replace(state, window=WindowRing.from_cache(state.window, position))
        return state

    def step(self, x: Tensor, state: LayerState, step: Step) -> ReadResult:
        """Read one token per row, x (batch, d_model): as `forward` does, unless a mixer knows a shorter way."""
        y, state, surprise = self(x[:, None], state, step.as_reading())
        return ReadResult(y[:, 0], state, None if surprise is None else surprise[:, 0])


def read_memory(memory: NeuralMemory, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
    """Pass tokens through a memory layer, zeroing what it returns if the reading says so."""
    y, state, *surprise = memory(
        x, state, mask=reading.mask, lengths=reading.lengths, return_surprise=reading.return_surprise
    )
    y = torch.zeros_like(y) if reading.zero_memory else y
    return ReadResult(y, state, surprise[0] if surprise else None)


def step_memory(memory: NeuralMemory, x: Tensor, state: LayerState, step: Step) -> ReadResult:
    """`read_memory` for one token per row."""
    y, state, surprise = memory.step(
        x, state, mask=step.mask, read=step.read, return_surprise=step.return_surprise, inplace=step.inplace
    )
    return ReadResult(torch.zeros_like(y) if step.zero_memory else y, state, surprise)
