"""The `torch` backend: chunk-parallel, exact, any device; the backward pass keeps states of a few chunks only.

A call is cut into segments of whole chunks. Each segment is one step of the autograd graph that keeps its inputs
and recomputes the rest (`_segment`), about √n segments for n chunks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from titans_seq.memory._chunk_generic import read_segment_by_autograd
from titans_seq.memory._grid import ChunkGrid
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._segment import (
    SegmentEngine,
    SegmentOutput,
    SegmentPlace,
    SegmentState,
    SegmentTokens,
    TorchEngine,
    read_segment,
)
from titans_seq.memory.state import MemoryState, PendingRows, Weights

HAND_DERIVED_DEPTHS = (1, 2)


def chunked_memory(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    mask: Tensor,
    lengths: tuple[int, ...],
    options: MemoryOptions,
    engine: SegmentEngine | None = None,
) -> tuple[Tensor, MemoryState, Tensor | None]:
    """Read a batch of streams segment by segment; arguments are those of `neural_memory`, already checked.

    ``engine`` reads the segments of memories of depth 1 and 2; default `TorchEngine`.

    Returns
    -------
    y : Tensor, shape (batch, time, heads, head_dim)
    state : MemoryState
    surprise : Tensor of shape (batch, time, heads), or None
    """
    phases = tuple(int(p) % options.chunk_size for p in state.position.tolist())
    grid = ChunkGrid(phases, lengths, q.shape[1], options.chunk_size)
    rows = _lay_rows(grid, state.pending, k, v, theta, eta, alpha, mask)
    queries = grid.lay(q.new_zeros(q.shape[0], state.pending.width, *q.shape[2:]), q)
    plan = SegmentPlan.make(grid, options.checkpoint_every)
    opening, momentum = (tuple(_groups(w) for w in ws) for ws in (state.opening_weights, state.opening_momentum))
    now = SegmentState(opening, momentum, state.initial)
    keeper = _OpeningKeeper(plan, q.shape[2], now)
    outputs: list[SegmentOutput] = []
    for n, tokens in enumerate(_split(rows, queries, plan.sizes)):
        place = SegmentPlace(plan.completed(n, q.shape[2], q.device))
        outputs.append(_read(tokens, now, place, options, engine, recompute=len(plan.sizes) > 1))
        now = now._replace(weights=outputs[-1].weights, momentum=outputs[-1].momentum)
        keeper.after_segment(n, now)
    return _assemble(grid, state, rows, outputs, keeper)


def _read(
    tokens: SegmentTokens,
    state: SegmentState,
    place: SegmentPlace,
    options: MemoryOptions,
    engine: SegmentEngine | None,
    *,
    recompute: bool,
) -> SegmentOutput:
    if len(state.weights) in HAND_DERIVED_DEPTHS:
        return read_segment(engine or TorchEngine(), tokens, state, place, options)
    return read_segment_by_autograd(tokens, state, place, options, recompute=recompute)


@dataclass(frozen=True)
class SegmentPlan:
    """Where a call's chunks are cut into segments: every few chunks, and where a row's open chunk begins.

    Attributes
    ----------
    closed : tuple of int
        Chunks that each row completes.
    ends : tuple of int
        Chunks before each cut, in order; the last is the number of chunks.
    """

    closed: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def make(cls, grid: ChunkGrid, every: int | None) -> SegmentPlan:
        """Cut every ``every`` chunks; default about the square root of their number."""
        n = grid.n_chunks
        every = every or max(1, math.isqrt(n - 1) + 1)
        cuts = {*range(every, n, every), *(c for c in grid.closed_chunks if 0 < c < n), n}
        return cls(grid.closed_chunks, tuple(sorted(cuts)))

    @property
    def sizes(self) -> list[int]:
        """Chunks of each segment."""
        return [end - start for start, end in zip((0, *self.ends), self.ends, strict=False)]

    def completed(self, segment: int, heads: int, device: torch.device) -> bool | Tensor:
        """Which groups complete the chunks of a segment: all, none, or a mask (groups, 1, 1)."""
        return _for_groups([c >= self.ends[segment] for c in self.closed], heads, device)

    def opens(self, cut: int, heads: int, device: torch.device) -> bool | Tensor:
        """Which groups' open chunk begins after ``cut`` chunks."""
        return _for_groups([c == cut for c in self.closed], heads, device)


def _for_groups(rows: list[bool], heads: int, device: torch.device) -> bool | Tensor:
    if all(rows) or not any(rows):
        return rows[0]
    return torch.tensor(rows, device=device).repeat_interleave(heads)[:, None, None]


class _OpeningKeeper:
    """Remembers the state with which each row's last, still open chunk opened, and the latest state."""

    def __init__(self, plan: SegmentPlan, heads: int, start: SegmentState) -> None:
        self.plan, self.heads = plan, heads
        self.opening = self.latest = start

    def after_segment(self, n: int, now: SegmentState) -> None:
        """Take note of the state after segment ``n``."""
        rows = self.plan.opens(self.plan.ends[n], self.heads, now.weights[0].device)
        self.latest = now
        self.opening = SegmentState(
            _where(rows, now.weights, self.opening.weights), _where(rows, now.momentum, self.opening.momentum), ()
        )


def _where(rows: bool | Tensor, new: Weights, old: Weights) -> Weights:
    if isinstance(rows, bool):
        return new if rows else old
    return tuple(torch.where(rows, a, b) for a, b in zip(new, old, strict=True))


def _groups(x: Tensor) -> Tensor:
    return x.flatten(0, 1)


def _lay_rows(
    grid: ChunkGrid,
    pending: PendingRows,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    mask: Tensor,
) -> PendingRows:
    """All tokens of the call on the grid; what stands under a mask is zero before any arithmetic."""
    keep = mask.unsqueeze(-1).expand(theta.shape)
    # On a GPU asking would cost a synchronisation; on a CPU not asking costs passes over every token.
    if mask.device.type != "cpu" or not bool(mask.all()):
        k, v = (torch.where(keep.unsqueeze(-1), x, 0) for x in (k, v))
        theta, eta, alpha = (torch.where(keep, x, 0) for x in (theta, eta, alpha))
    return PendingRows(
        k=grid.lay(pending.k, k),
        v=grid.lay(pending.v, v),
        theta=grid.lay(pending.theta, theta),
        eta=grid.lay(pending.eta, eta),
        alpha=grid.lay(pending.alpha, alpha),
        keep=grid.lay(pending.keep, keep),
    )


def _split(rows: PendingRows, q: Tensor, sizes: list[int]) -> list[SegmentTokens]:
    """Tokens of every segment, chunk by chunk in order of time."""

    def by_chunk(x: Tensor) -> tuple[Tensor, ...]:
        # (batch, n, chunk, heads, …) -> (n, batch × heads, chunk, …)
        return x.movedim(3, 1).movedim(2, 0).flatten(1, 2).contiguous().split(sizes)

    # Pending rows are kept in the state's precision; the kernels take the call's.
    fields = (q, rows.k.to(q.dtype), rows.v.to(q.dtype), rows.theta, rows.eta, rows.alpha, rows.keep)
    return [SegmentTokens(*parts) for parts in zip(*(by_chunk(x) for x in fields), strict=True)]


def _without_skipped(rows: PendingRows) -> PendingRows:
    """Empty the rows that the surprise threshold skipped, as those under a mask already are."""
    keep = rows.keep

    def kept(x: Tensor) -> Tensor:
        return torch.where(keep.unsqueeze(-1) if x.dim() > keep.dim() else keep, x, 0)

    return replace(rows, **{name: kept(getattr(rows, name)) for name in ("k", "v", "theta", "eta", "alpha")})


def _assemble(
    grid: ChunkGrid, state: MemoryState, rows: PendingRows, outputs: list[SegmentOutput], keeper: _OpeningKeeper
) -> tuple[Tensor, MemoryState, Tensor | None]:
    batch, heads = len(grid.phases), rows.k.shape[3]

    def back(parts: list[Tensor]) -> Tensor:
        # segments of (n, batch × heads, chunk, …) -> (batch, n, chunk, heads, …)
        joined = torch.cat(parts).unflatten(1, (batch, heads))
        return joined.movedim(0, 1).movedim(2, 3)

    y = grid.pick(back([o.y for o in outputs]))
    surprises = [o.surprise for o in outputs if o.surprise is not None]
    rows = _without_skipped(replace(rows, keep=back([o.keep for o in outputs])))

    def per_row(ws: Weights) -> Weights:
        return tuple(w.unflatten(0, (batch, heads)) for w in ws)

    new_state = MemoryState(
        initial=state.initial,
        weights=per_row(keeper.latest.weights),
        momentum=per_row(keeper.latest.momentum),
        opening_weights=per_row(keeper.opening.weights),
        opening_momentum=per_row(keeper.opening.momentum),
        pending=rows.map(lambda x: grid.open_rows(x).to(state.dtype if x.is_floating_point() else x.dtype)),
        position=state.position + torch.tensor(grid.lengths, device=state.position.device),
        chunk_size=grid.chunk_size,
    )
    return y, new_state, grid.pick(back(surprises)) if surprises else None
