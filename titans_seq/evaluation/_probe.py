"""Listening to the memories of a backbone while it reads: hooks on its parts, which change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from titans_seq.memory import MemoryState
from titans_seq.nn import Backbone
from titans_seq.nn.mixer import Mixer
from titans_seq.nn.watch import Watch, watch_memories


@dataclass(frozen=True)
class MemoryCall:
    """One call of a memory layer; `mac` makes one for every segment.

    Attributes
    ----------
    read : Tensor, shape (batch, time, d_model)
        What the layer was given.
    by_head : Tensor, shape (batch, time, heads * head_dim)
        What its heads returned, before the projection back.
    returned : Tensor, shape (batch, time, d_model)
        What the layer returned.
    memory : MemoryState
        After the call.
    mask, lengths : Tensor or None
        As the layer was given them.
    """

    read: Tensor
    by_head: Tensor
    returned: Tensor
    memory: MemoryState
    mask: Tensor | None
    lengths: Tensor | None


@dataclass
class Heard:
    """What one block did in one call of the backbone, in order; all lists are as long as ``calls``, or empty.

    Attributes
    ----------
    calls : list of MemoryCall
    attended : list of Tensor, each (batch, time, heads * head_dim)
        What the heads of attention returned, before the projection back.
    mixing : list of Tensor, each (batch, time, d_model)
        The gate of `mag`, before its sigmoid.
    """

    mixer: Mixer
    calls: list[MemoryCall] = field(default_factory=list)
    by_head: list[Tensor] = field(default_factory=list)
    attended: list[Tensor] = field(default_factory=list)
    mixing: list[Tensor] = field(default_factory=list)

    def clear(self) -> None:
        """Forget what was heard."""
        for heard in (self.calls, self.by_head, self.attended, self.mixing):
            heard.clear()

    def attach(self) -> list[RemovableHandle]:
        """Listen from here on."""
        memory, attention, gate = (getattr(self.mixer, name, None) for name in ("memory", "attention", "gate"))
        assert isinstance(memory, nn.Module)
        handles = [
            memory.project_out.register_forward_pre_hook(lambda _, given: self.by_head.append(given[0])),  # type: ignore[union-attr]
            memory.register_forward_hook(self._on_memory, with_kwargs=True),
        ]
        if attention is not None:
            handles.append(
                attention.project_out.register_forward_pre_hook(lambda _, given: self.attended.append(given[0]))
            )
        if gate is not None:
            handles.append(gate.register_forward_hook(lambda _, given, made: self.mixing.append(made)))
        return handles

    def _on_memory(self, _: nn.Module, given: tuple[Any, ...], options: dict[str, Any], made: tuple[Any, ...]) -> None:
        mask, lengths = options.get("mask"), options.get("lengths")
        self.calls.append(MemoryCall(given[0], self.by_head[-1], made[0], made[1].memory, mask, lengths))


@dataclass
class Probe:
    """What all blocks of a backbone did since it was last cleared."""

    blocks: list[Heard]
    watch: Watch

    def clear(self) -> None:
        """Forget what was heard."""
        self.watch.clear()
        for heard in self.blocks:
            heard.clear()


@contextmanager
def probing(backbone: Backbone) -> Iterator[Probe]:
    """Listen to a backbone, in evaluation mode and without gradients, while the context is open.

    Raises
    ------
    ValueError
        If its variant has no memory.
    """
    if not backbone.has_memory:
        raise ValueError(f"variant {backbone.variant!r} has no memory: there is nothing to analyse")
    heard, training = [Heard(block.mixer) for block in backbone.blocks], backbone.training
    backbone.eval()
    with ExitStack() as stack:
        stack.callback(backbone.train, training)
        watch = stack.enter_context(watch_memories(backbone, surprise=True))
        for handle in (handle for one in heard for handle in one.attach()):
            stack.callback(handle.remove)
        stack.enter_context(torch.no_grad())
        yield Probe(heard, watch)
