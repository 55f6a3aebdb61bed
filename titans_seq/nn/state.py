"""The state of a backbone: all it remembers of the streams it reads, as a value.

Nothing is hidden in a module: the state is passed in, a new one is handed back, and gradients flow through
every tensor of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from titans_seq.memory import MemoryState
from titans_seq.nn._pack import pack
from titans_seq.nn._tree import SHARED, StateTree
from titans_seq.nn.cache import GrowingCache, WindowCache
from titans_seq.nn.ring import WindowRing


@dataclass(frozen=True)
class OpenSegment(StateTree):
    """The segment that memory as context (`mac`) is reading, by slot of the segment.

    Attributes
    ----------
    keys, values : Tensor, shape (batch, segment_length, 2, heads, head_dim)
        Of the retrieved row (index 0) and of the token (index 1) in every slot; keys rotated by their place.
        Slots from the row's phase on hold nothing of meaning.
    visible : Tensor of bool, shape (batch, segment_length)
        False where a masked token stands.
    weights : tuple of Tensor, each (batch, heads, in, out)
        The memory as it was when the segment opened: what the segment retrieves from.
    tail : Tensor, shape (batch, width - 1, channels)
        Tail of the convolution over retrieval queries.
    """

    keys: Tensor
    values: Tensor
    visible: Tensor
    weights: tuple[Tensor, ...] = field(metadata={"many": True})
    tail: Tensor

    def forget(self, weights: tuple[Tensor, ...]) -> Self:
        """Return an empty segment that opens with the memory ``weights``."""
        zero = torch.zeros_like
        return replace(
            self, keys=zero(self.keys), values=zero(self.values), visible=zero(self.visible),
            weights=weights, tail=zero(self.tail),
        )  # fmt: skip


@dataclass(frozen=True)
class MemoryStart(StateTree):
    """A memory layer before position 0 of any stream: batch size 1, persistent tokens read.

    Attributes
    ----------
    memory : MemoryState
    tail : Tensor, shape (1, width - 1, channels)
        Tail of the convolution over queries, keys and values.
    """

    memory: MemoryState = field(metadata={"kind": MemoryState})
    tail: Tensor

    def expand(self, batch_size: int) -> MemoryStart:
        """Repeat for ``batch_size`` streams (a view, no copy)."""
        return MemoryStart(self.memory.expand(batch_size), self.tail.expand(batch_size, *self.tail.shape[1:]))


@dataclass(frozen=True)
class LayerState(StateTree):
    """State of one block; parts that its variant lacks are None.

    Attributes
    ----------
    memory : MemoryState or None
        Weights, momentum and open chunk of the neural memory.
    tail : Tensor or None, shape (batch, width - 1, channels)
        Tail of the memory layer's convolution.
    window : WindowCache, WindowRing or None
        What sliding-window attention sees; a ring while tokens are read singly.
    history : GrowingCache or None
        What full attention sees: everything read.
    segment : OpenSegment or None
        Only for `mac`.
    start : MemoryStart or None
        What `forget` returns the memory to; shared by the batch.
    """

    memory: MemoryState | None = field(default=None, metadata={"kind": MemoryState})
    tail: Tensor | None = None
    window: WindowCache | WindowRing | None = field(default=None, metadata={"kind": WindowCache})
    history: GrowingCache | None = field(default=None, metadata={"kind": GrowingCache})
    segment: OpenSegment | None = field(default=None, metadata={"kind": OpenSegment})
    start: MemoryStart | None = field(default=None, metadata={"kind": MemoryStart, **SHARED})

    @property
    def parts(self) -> frozenset[str]:
        """Names of the parts that the variant has, out of memory, window, history and segment."""
        names = ("memory", "window", "history", "segment")
        return frozenset(name for name in names if getattr(self, name) is not None)

    def forget(self) -> LayerState:
        """Return to the state before position 0."""
        state = self
        if self.memory is not None and self.start is not None:
            fresh = self.start.expand(self.memory.batch_size)
            state = replace(state, memory=fresh.memory, tail=fresh.tail)
        if self.window is not None:
            state = replace(state, window=self.window.forget())
        if self.history is not None:
            state = replace(state, history=self.history.forget())
        if self.segment is not None and state.memory is not None:
            state = replace(state, segment=self.segment.forget(state.memory.weights))
        return state


@dataclass(frozen=True)
class BackboneState(StateTree):
    """State of a `Backbone`: one value for a batch of streams.

    Attributes
    ----------
    layers : tuple of LayerState
        From the first block to the last.
    position : Tensor of int64, shape (batch,)
        Tokens read by each row, masked ones included.
    """

    layers: tuple[LayerState, ...] = field(metadata={"kind": LayerState, "many": True})
    position: Tensor

    @property
    def batch_size(self) -> int:
        """Number of rows (streams)."""
        return self.position.shape[0]

    def unstack(self) -> list[BackboneState]:
        """Split into states of batch size 1, each with storage of its own."""
        rows = torch.arange(self.batch_size, device=self.position.device)
        return [self.select(row) for row in rows.split(1)]

    def forget(self) -> BackboneState:
        """Return every row to the state before position 0; nothing of what was read remains."""
        return BackboneState(tuple(s.forget() for s in self.layers), torch.zeros_like(self.position))

    @property
    def nbytes(self) -> int:
        """Bytes of what belongs to the rows; what belongs to the model is not counted."""
        tensors: dict[str, Tensor] = {}
        pack(self, "", tensors)
        return sum(x.nbytes for x in tensors.values())

    def save(self, path: str | os.PathLike[str], *, about: Mapping[str, str] | None = None) -> None:
        """Write what belongs to the rows to a safetensors file; it appears whole or not at all.

        Parameters
        ----------
        path : path
            Folders that it lacks are made; a file that stands there is replaced.
        about : mapping from str to str, optional
            Whose state it is, for `load` to insist on.

        Raises
        ------
        OSError
            If it cannot be written there, with its path.
        """
        from titans_seq.nn._state_file import save_state  # it imports this module

        save_state(self, path, about or {})

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], like: BackboneState, *, about: Mapping[str, str] | None = None
    ) -> BackboneState:
        """Read what `save` wrote: the same state to the last bit, on the device of ``like``.

        Parameters
        ----------
        path : path
        like : BackboneState
            A state of the backbone that is to read on, e.g. its ``init_state(1)``: what belongs to the model and
            not to the rows is taken from it.
        about : mapping from str to str, optional
            Entries in which the file must not differ, where it has them.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged, holds something else, or the state of another model.
        """
        from titans_seq.nn._state_file import load_state

        return load_state(path, like, about or {})
