"""The state of a neural memory: a value that is passed in and handed back, never hidden in a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

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
        """Number of slots held; the longest phase of the batch."""
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
    """

    initial: Weights
    weights: Weights
    momentum: Weights
    opening_weights: Weights
    opening_momentum: Weights
    pending: PendingRows
    position: Tensor
    chunk_size: int = 0

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

    def _map(self, fn: Callable[[Tensor], Tensor], shared: Callable[[Tensor], Tensor]) -> MemoryState:
        stacks = {
            name: tuple((shared if name == "initial" else fn)(w) for w in getattr(self, name)) for name in _STACKS
        }
        return MemoryState(
            **stacks, pending=self.pending.map(fn), position=fn(self.position), chunk_size=self.chunk_size
        )

    def detach(self) -> MemoryState:
        """Cut the state off from the graph that made it (the initial weights stay attached)."""
        return self._map(lambda x: x.detach(), lambda x: x)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> MemoryState:
        """Move to a device and / or change the floating dtype."""

        def move(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

        return self._map(move, move)

    def select(self, rows: Tensor) -> MemoryState:
        """Return the rows named by an integer or boolean index tensor, in that order."""
        return self._map(lambda x: x[rows], lambda x: x)

    def expand(self, batch_size: int) -> MemoryState:
        """Repeat a state of batch size 1 (a view, no copy)."""
        if self.batch_size != 1:
            raise ValueError(f"expand needs a state of batch size 1, found {self.batch_size}")
        return self._map(lambda x: x.expand(batch_size, *x.shape[1:]), lambda x: x)

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
        width = max(s.pending.width for s in states)
        pending = [s.pending.widen(width) for s in states]
        joined = {
            name: tuple(torch.cat(ws) for ws in zip(*(getattr(s, name) for s in states), strict=True))
            for name in _STACKS[1:]
        }
        return MemoryState(
            initial=first.initial,
            **joined,
            pending=PendingRows(*(torch.cat([getattr(p, n) for p in pending]) for n in _PENDING_FIELDS)),
            position=torch.cat([s.position for s in states]),
            chunk_size=chunk_size,
        )

    def unstack(self) -> list[MemoryState]:
        """Split into states of batch size 1."""
        return [self._map(lambda x, i=i: x[i : i + 1], lambda x: x) for i in range(self.batch_size)]  # type: ignore[misc]

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under a flat name, for saving; the inverse of `from_tensors`."""
        flat = {f"{name}.{i}": w for name in _STACKS for i, w in enumerate(getattr(self, name))}
        flat |= {f"pending.{name}": getattr(self.pending, name) for name in _PENDING_FIELDS}
        flat |= {"position": self.position, "chunk_size": torch.tensor(self.chunk_size)}
        return {name: x.contiguous() for name, x in flat.items()}

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> MemoryState:
        """Rebuild a state from `tensors`."""
        depth = sum(name.startswith("initial.") for name in tensors)
        stacks = {name: tuple(tensors[f"{name}.{i}"] for i in range(depth)) for name in _STACKS}
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


def _check_same_initial(first: MemoryState, other: MemoryState, i: int) -> None:
    same = len(first.initial) == len(other.initial) and all(
        a is b or (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b))
        for a, b in zip(first.initial, other.initial, strict=True)
    )
    if not same:
        raise ValueError(f"cannot stack states of different memories: initial weights of states 0 and {i} differ")
