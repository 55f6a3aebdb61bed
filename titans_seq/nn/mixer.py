"""What every mixer (the part of a block that looks at other tokens) has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from titans_seq.nn.config import BlockConfig
from titans_seq.nn.memory_layer import NeuralMemory
from titans_seq.nn.norm import rms_norm
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


def read_memory(memory: NeuralMemory, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
    """Pass tokens through a memory layer, zeroing what it returns if the reading says so."""
    y, state, *surprise = memory(
        x, state, mask=reading.mask, lengths=reading.lengths, return_surprise=reading.return_surprise
    )
    y = torch.zeros_like(y) if reading.zero_memory else y
    return ReadResult(y, state, surprise[0] if surprise else None)
