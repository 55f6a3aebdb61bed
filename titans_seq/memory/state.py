"""The state of a neural memory: a value that is passed in and handed back, never hidden in a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.memory._step_cache import StepCache, combine, write_rows

Weights = tuple[Tensor, ...]


@dataclass(frozen=True)
class PendingRows:
    """Tokens of the open chunk that were read already, left-aligned, one row per batch entry.

    Attributes
    ----------
    k, v : Tensor, shape (batch, rows, heads, head_dim)
        Keys and values; zeros where masked and beyond a row's own phase.
    theta, eta, alpha : Tensor, shape (batch, rows, heads)
        The gates as given.
    keep : Tensor of bool, shape (batch, rows, heads)
        False where a token was masked (or skipped by the surprise threshold), and beyond the phase.
    """

    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor

    @property
    def width(self) -> int:
        """Number of slots held: the longest phase of the batch, or the chunk size where tokens are read singly."""
        return self.k.shape[1]

    def map(self, fn: Callable[[Tensor], Tensor]) -> PendingRows:
        """Apply ``fn`` to every tensor."""
        return PendingRows(*(fn(getattr(self, name)) for name in _PENDING_FIELDS))

    def widen(self, width: int) -> PendingRows:
        """Pad with empty slots up to ``width``."""
        extra = width - self.width

        def pad(x: Tensor) -> Tensor:
            return F.pad(x, (0, 0) * (x.dim() - 2) + (0, extra)) if extra else x

        return self.map(pad)


_PENDING_FIELDS = ("k", "v", "theta", "eta", "alpha", "keep")
_STACKS = ("initial", "weights", "momentum", "opening_weights", "opening_momentum")


def empty_pending(batch_size: int, heads: int, head_dim: int, like: Tensor) -> PendingRows:
    """Return pending rows of width zero."""
    row = like.new_zeros(batch_size, 0, heads, head_dim)
    gate = row[..., 0]
    return PendingRows(row, row, gate, gate, gate, gate.bool())


def cached_pending(cache: StepCache) -> PendingRows:
    """Return the rows that a cache holds, as views of it."""
    parts = (cache.keys, cache.values, *cache.gates.unbind(-1), cache.keep)
    return PendingRows(*(x.transpose(1, 2) for x in parts))


@dataclass(frozen=True)
class MemoryState:
    """What a batch of neural memories has become after the tokens read so far.

    All fields are tensors (or tuples of one tensor per layer), so gradients flow through a carried state.

    Attributes
    ----------
    initial : tuple of Tensor, each (heads, in, out)
        Initial weights, shared by the batch: what forgetting returns to.
    weights, momentum : tuple of Tensor, each (batch, heads, in, out)
        M_t and S_t after the last token read.
    opening_weights, opening_momentum : tuple of Tensor, each (batch, heads, in, out)
        M and S with which each row's open chunk opened.
    pending : PendingRows
        Tokens of the open chunk, from which the chunk is resumed exactly.
    position : Tensor of int64, shape (batch,)
        Tokens read by each row.
    chunk_size : int
        Chunk size the open chunk was read with; 0 while nothing was read.
    cache : StepCache, optional
        What `titans_seq.memory.memory_step` keeps of the open chunk; ``pending`` is then a view of it. Derived from
        the other fields, hence never saved; without it the next step makes it anew.
    """

    initial: Weights
    weights: Weights
    momentum: Weights
    opening_weights: Weights
    opening_momentum: Weights
    pending: PendingRows
    position: Tensor
    chunk_size: int = 0
    cache: StepCache | None = field(default=None, repr=False, compare=False)

    @property
    def batch_size(self) -> int:
        """Number of rows (streams) in the batch."""
        return self.position.shape[0]

    @property
    def depth(self) -> int:
        """Number of weight matrices of the memory."""
        return len(self.initial)

    @property
    def dtype(self) -> torch.dtype:
        """Floating dtype of the weights."""
        return self.weights[0].dtype

    def _map(self, fn: Callable[[Tensor], Tensor], shared: Callable[[Tensor], Tensor] | None = None) -> MemoryState:
        """Apply ``fn`` to what belongs to rows, and ``shared`` to the initial weights; the cache is dropped."""
        initial = self.initial if shared is None else tuple(shared(w) for w in self.initial)
        return MemoryState(
            initial, **self._rows(fn), pending=self.pending.map(fn), position=fn(self.position),
            chunk_size=self.chunk_size,
        )  # fmt: skip

    def _map_cached(self, fn: Callable[[Tensor], Tensor]) -> MemoryState:
        """Apply ``fn`` to what belongs to rows, the cache included."""
        if self.cache is None:
            return self._map(fn)
        cache = self.cache.map(fn)
        return MemoryState(
            self.initial, **self._rows(fn), pending=cached_pending(cache), position=fn(self.position),
            chunk_size=self.chunk_size, cache=cache,
        )  # fmt: skip

    def _rows(self, fn: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        return {name: tuple(fn(w) for w in getattr(self, name)) for name in _STACKS[1:]}

    def detach(self) -> MemoryState:
        """Cut the state off from the graph that made it (the initial weights stay attached)."""
        # A state with a cache has no graph behind it.
        return self if self.cache is not None else self._map(lambda x: x.detach())

    def clone(self) -> MemoryState:
        """Copy everything but the initial weights, so that nothing is shared with this state."""
        return self._map_cached(lambda x: x.clone(memory_format=torch.contiguous_format))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> MemoryState:
        """Move to a device and / or change the floating dtype."""
        if device is None and dtype in (None, self.dtype):
            return self

        def move(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

        return self._map(move, move)

    def select(self, rows: Tensor) -> MemoryState:
        """Return the rows named by an integer or boolean index tensor, in that order."""
        return self._map_cached(lambda x: x[rows])

    def first(self, batch_size: int) -> MemoryState:
        """Return the first rows, as views."""
        return self._map_cached(lambda x: x[:batch_size])

    def put(self, rows: Tensor, other: MemoryState) -> MemoryState:
        """Write ``other`` over the named rows, in this state's own tensors.

        Raises
        ------
        ValueError
            If one of them has no cache, or they are states of different memories.
        """
        if self.cache is None or other.cache is None:
            raise ValueError("put needs states that are read token by token, found one without a cache")
        _check_same_initial(self, other, 1)
        for name in ("position", "cache", *_STACKS[1:]):
            combine(lambda x: write_rows(x[0], rows, x[1]), [getattr(self, name), getattr(other, name)])
        return self

    def expand(self, batch_size: int) -> MemoryState:
        """Repeat a state of batch size 1 (a view, no copy)."""
        if self.batch_size != 1:
            raise ValueError(f"expand needs a state of batch size 1, found {self.batch_size}")
        return self._map(lambda x: x.expand(batch_size, *x.shape[1:]))

    def forget(self) -> MemoryState:
        """Return to the initial weights: zero momentum, position 0, nothing pending."""
        return init_state(self.initial, batch_size=self.batch_size)

    def rebase(self) -> MemoryState:
        """Close the open chunk where it stands and count positions from here.

        Used after a prefix (persistent tokens) was read, so that chunk boundaries stand at multiples of
        the chunk size of what follows.
        """
        _, heads, head_dim, _ = self.weights[0].shape
        return replace(
            self,
            opening_weights=self.weights,
            opening_momentum=self.momentum,
            pending=empty_pending(self.batch_size, heads, head_dim, self.weights[0]),
            position=torch.zeros_like(self.position),
            chunk_size=0,
            cache=None,
        )

    def read(self, q: Tensor) -> Tensor:
        """Read without writing: f(q; M_t) for q of shape (batch, time, heads, head_dim)."""
        x = q.transpose(1, 2).to(self.dtype)
        for layer, w in enumerate(self.weights):
            x = torch.matmul(x, w)
            if layer + 1 < self.depth:
                x = F.silu(x)
        return x.transpose(1, 2).to(q.dtype)

    @staticmethod
    def stack(states: Sequence[MemoryState]) -> MemoryState:
        """Join states along the batch; rows may stand at different positions.

        Raises
        ------
        ValueError
            If the list is empty, or initial weights, chunk sizes or dtypes differ.
        """
        if not states:
            raise ValueError("stack needs at least one state, found none")
        first = states[0]
        chunk_size = _common_chunk_size(states)
        for i, other in enumerate(states[1:], start=1):
            _check_same_initial(first, other, i)
        cache = _joined_caches(states)
        return MemoryState(
            first.initial,
            **{name: combine(_cat, [getattr(s, name) for s in states]) for name in _STACKS[1:]},
            pending=_joined_pending(states) if cache is None else cached_pending(cache),
            position=_cat([s.position for s in states]),
            chunk_size=chunk_size,
            cache=cache,
        )

    def unstack(self) -> list[MemoryState]:
        """Split into states of batch size 1."""
        return [self._map(lambda x, i=i: x[i : i + 1]) for i in range(self.batch_size)]  # type: ignore[misc]

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under a flat name, for saving; the inverse of `from_tensors`."""
        flat = {f"{name}.{i}": w for name in _STACKS for i, w in enumerate(getattr(self, name))}
        longest = int((self.position % self.chunk_size).max()) if self.chunk_size else 0
        flat |= {f"pending.{name}": getattr(self.pending, name)[:, :longest] for name in _PENDING_FIELDS}
        flat |= {"position": self.position, "chunk_size": torch.tensor(self.chunk_size)}
        return {name: x.contiguous() for name, x in flat.items()}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> MemoryState:
        """Rebuild a state from `tensors`."""
        depth = sum(name.startswith("initial.") for name in tensors)
        stacks: dict[str, Any] = {name: tuple(tensors[f"{name}.{i}"] for i in range(depth)) for name in _STACKS}
        return MemoryState(
            **stacks,
            pending=PendingRows(*(tensors[f"pending.{name}"] for name in _PENDING_FIELDS)),
            position=tensors["position"],
            chunk_size=int(tensors["chunk_size"]),
        )


def init_state(weights: Sequence[Tensor], *, batch_size: int) -> MemoryState:
    """Make the state of a memory that has read nothing.

    Parameters
    ----------
    weights : sequence of Tensor, each (heads, in, out)
        Initial weights, layer by layer; the first ``in`` and the last ``out`` are the head dimension.
    batch_size : int
        Number of streams.

    Returns
    -------
    MemoryState
        Weights equal to ``weights`` in every row, momentum zero, position zero.

    Raises
    ------
    ValueError
        If shapes do not chain, there are not 1 to 4 layers, or ``batch_size`` is below 1.
    """
    initial = tuple(weights)
    _check_chain(initial)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}")
    heads, head_dim, _ = initial[0].shape
    batched = tuple(w.expand(batch_size, *w.shape) for w in initial)
    momentum = tuple(torch.zeros_like(w) for w in batched)
    return MemoryState(
        initial=initial,
        weights=batched,
        momentum=momentum,
        opening_weights=batched,
        opening_momentum=momentum,
        pending=empty_pending(batch_size, heads, head_dim, initial[0]),
        position=torch.zeros(batch_size, dtype=torch.int64, device=initial[0].device),
    )


def _check_chain(weights: Weights) -> None:
    if not 1 <= len(weights) <= 4:
        raise ValueError(f"a memory has 1 to 4 layers, found {len(weights)}")
    for i, w in enumerate(weights):
        if w.dim() != 3 or w.shape[0] != weights[0].shape[0]:
            raise ValueError(f"weights[{i}] must have shape (heads, in, out), found {tuple(w.shape)}")
        if i and w.shape[1] != weights[i - 1].shape[2]:
            raise ValueError(
                f"weights[{i}] takes {w.shape[1]} inputs, weights[{i - 1}] gives {weights[i - 1].shape[2]}"
            )
    if weights[0].shape[1] != weights[-1].shape[2]:
        raise ValueError(f"first in and last out must be equal, found {weights[0].shape[1]} and {weights[-1].shape[2]}")


def _common_chunk_size(states: Sequence[MemoryState]) -> int:
    sizes = sorted({s.chunk_size for s in states} - {0})
    if len(sizes) > 1:
        raise ValueError(f"cannot stack states read with different chunk sizes: {sizes}")
    return sizes[0] if sizes else 0


def _cat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(tensors))


def _joined_pending(states: Sequence[MemoryState]) -> PendingRows:
    width = max(s.pending.width for s in states)
    return combine(_cat, [s.pending.widen(width) for s in states])


def _joined_caches(states: Sequence[MemoryState]) -> StepCache | None:
    """Join the caches where all states have one, made for the same rule and chunk size."""
    caches = [s.cache for s in states if s.cache is not None]
    alike = len({(c.rule, s.chunk_size) for c, s in zip(caches, states, strict=False)}) == 1
    return combine(_cat, caches) if len(caches) == len(states) and alike else None


def _check_same_initial(first: MemoryState, other: MemoryState, i: int) -> None:
    same = len(first.initial) == len(other.initial) and all(
        a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
        for a, b in zip(first.initial, other.initial, strict=True)
    )
    if not same:
        raise ValueError(f"cannot stack states of different memories: initial weights of states 0 and {i} differ")
