"""Watching what the memory layers of a module do with their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor, nn

from titans_seq.nn.memory_layer import GateValues, NeuralMemory

Seen = TypeVar("Seen")


@dataclass
class Watch:
    """What was seen, in the order of the calls.

    Attributes
    ----------
    calls : dict of int to list of GateValues
        By memory layer, in the order of the module; persistent tokens are calls of their own, read first, and
        `mac` makes a call for every segment.
    surprise : dict of int to list of Tensor
        The same for surprise, each (batch, time, heads); empty unless asked for.
    """

    calls: dict[int, list[GateValues]] = field(default_factory=dict)
    surprise: dict[int, list[Tensor]] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget what was seen."""
        for seen in (*self.calls.values(), *self.surprise.values()):
            seen.clear()  # type: ignore[attr-defined]


@contextmanager
def watch_memories(module: nn.Module, *, surprise: bool = False) -> Iterator[Watch]:
    """Record the gates of every memory layer of a module while the context is open.

    Gates are recorded with their graph: a loss may be made of them. Contexts may be nested, each sees everything.
    Not for two threads at once.

    Parameters
    ----------
    module : nn.Module
    surprise : bool, default False
        Record surprise, too.

    Yields
    ------
    Watch

    Examples
    --------
    >>> backbone = Backbone(d_model=8, n_layers=1)
    >>> with watch_memories(backbone) as watch:
    ...     y, state = backbone(torch.randn(1, 5, 8))
    >>> watch.calls[0][-1].theta.shape
    torch.Size([1, 5, 2])
    """
    layers = [layer for layer in module.modules() if isinstance(layer, NeuralMemory)]
    watch = Watch({place: [] for place in range(len(layers))}, {place: [] for place in range(len(layers))})
    earlier = [(layer.on_gates, layer.on_surprise) for layer in layers]
    for place, layer in enumerate(layers):
        layer.on_gates = _also(layer.on_gates, watch.calls[place].append)
        if surprise:
            layer.on_surprise = _also(layer.on_surprise, watch.surprise[place].append)
    try:
        yield watch
    finally:
        for layer, before in zip(layers, earlier, strict=True):
            layer.on_gates, layer.on_surprise = before


def _also(earlier: Callable[[Seen], None] | None, record: Callable[[Seen], None]) -> Callable[[Seen], None]:
    """Tell another listener, too."""
    if earlier is None:
        return record

    def both(seen: Seen) -> None:
        earlier(seen)
        record(seen)

    return both


def openness(watch: Watch, *, margin: float = 0.1) -> Tensor:
    """Mean over layers and their calls of how far writing and forgetting are from closed, in the mean of each call.

    Calls count alike, however many tokens each of them read.

    Parameters
    ----------
    watch : Watch
    margin : float, default 0.1
        How far below closed a hard gate must stand to count as nothing: what is only just closed opens again for
        the next odd token. A sigmoid and a gate that is held count as they are.

    Raises
    ------
    ValueError
        If no memory was watched.
    """
    calls = [call for seen in watch.calls.values() for call in seen]
    if not calls:
        raise ValueError("no memory layer was watched: the module has none, or nothing was read")
    return sum((call.openness(margin) for call in calls), start=calls[0].theta.new_zeros(())) / len(calls)
