"""The `torch` backend: chunk-parallel, exact, any device, plain autograd.

Within a chunk every gradient is a rank-1 product of features at the opening weights, so M_t is read through
(chunk × chunk) coefficient matrices and no per-token weight matrix is formed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from titans_seq.memory._coefficients import Coefficients, chunk_coefficients
from titans_seq.memory._grid import ChunkGrid
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory.rules import RULES, ChunkFeatures, Features, confine_hidden, features_at
from titans_seq.memory.state import MemoryState, PendingRows, Weights


@dataclass(frozen=True)
class Chunk:
    """Tokens of one chunk, (groups, chunk, …) with groups = batch × heads."""

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor

    def masked(self, keep: Tensor) -> Chunk:
        """Close the gates of tokens that are not kept: θ = α = 0, η = 1."""
        return replace(
            self,
            theta=torch.where(keep, self.theta, 0),
            eta=torch.where(keep, self.eta, 1),
            alpha=torch.where(keep, self.alpha, 0),
            keep=keep,
        )


@dataclass(frozen=True)
class ChunkResult:
    """What one chunk gives: reads, the state it leaves, errors, and which tokens were written."""

    y: Tensor
    weights: Weights
    momentum: Weights
    surprise: Tensor | None
    keep: Tensor


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
) -> tuple[Tensor, MemoryState, Tensor | None]:
    """Read a batch of streams chunk by chunk; arguments are those of `neural_memory`, already checked.

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
    chunks, coefficients = _split(rows, queries, precompute=options.surprise_threshold == 0)
    initial = tuple(_groups(w.expand(q.shape[0], *w.shape)) for w in state.initial)
    weights, momentum = (tuple(_groups(w) for w in ws) for ws in (state.opening_weights, state.opening_momentum))
    keeper = _OpeningKeeper(grid, weights, momentum)
    results: list[ChunkResult] = []
    for n, chunk in enumerate(chunks):
        given = None if coefficients is None else Coefficients(*(c[n] for c in coefficients))
        results.append(_read_chunk(chunk, given, weights, momentum, initial, options))
        weights, momentum = results[-1].weights, results[-1].momentum
        if options.rule == "bounded" and state.depth > 1:
            weights, momentum = _confine(keeper.completed(n), weights, momentum, initial)
        keeper.after_chunk(n, weights, momentum)
    return _assemble(grid, state, rows, results, weights, momentum, keeper)


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
    cell = keep.unsqueeze(-1)
    return PendingRows(
        k=grid.lay(pending.k, torch.where(cell, k, 0)),
        v=grid.lay(pending.v, torch.where(cell, v, 0)),
        theta=grid.lay(pending.theta, torch.where(keep, theta, 0)),
        eta=grid.lay(pending.eta, torch.where(keep, eta, 0)),
        alpha=grid.lay(pending.alpha, torch.where(keep, alpha, 0)),
        keep=grid.lay(pending.keep, keep),
    )


def _split(rows: PendingRows, q: Tensor, *, precompute: bool) -> tuple[list[Chunk], Coefficients | None]:
    """Chunks in order of time, and the coefficients of all of them where they don't depend on the weights."""

    def by_chunk(x: Tensor) -> Tensor:
        # (batch, n, chunk, heads, …) -> (n, batch × heads, chunk, …)
        return x.movedim(3, 1).movedim(2, 0).flatten(1, 2).contiguous()

    laid = Chunk(*(by_chunk(x) for x in (q, rows.k, rows.v, rows.theta, rows.eta, rows.alpha, rows.keep)))
    coefficients = None
    if precompute:
        laid = laid.masked(laid.keep)
        coefficients = chunk_coefficients(laid.eta, laid.alpha, laid.keep)
    fields = (laid.q, laid.k, laid.v, laid.theta, laid.eta, laid.alpha, laid.keep)
    return [Chunk(*parts) for parts in zip(*(x.unbind(0) for x in fields), strict=True)], coefficients


def _read_chunk(
    chunk: Chunk,
    coefficients: Coefficients | None,
    weights: Weights,
    momentum: Weights,
    initial: Weights,
    options: MemoryOptions,
) -> ChunkResult:
    features = features_at(chunk.k, weights)
    skipped = None
    if coefficients is None:
        opening = torch.linalg.vector_norm(torch.bmm(features.inputs[-1], weights[-1]) - chunk.v, dim=-1)
        skipped = torch.where(chunk.keep, opening, 0)
        chunk = chunk.masked(chunk.keep & (opening > options.surprise_threshold))
        coefficients = chunk_coefficients(chunk.eta, chunk.alpha, chunk.keep)
    seen = ChunkFeatures(
        features,
        chunk.v,
        chunk.theta,
        chunk.eta,
        chunk.alpha,
        chunk.keep,
        coefficients,
        weights,
        momentum,
        initial,
        options.loss,
        options.decay_before_error,
    )
    errors, steps, damping = RULES[options.rule](seen)
    deltas = _backpropagate(errors, damping, features, weights)
    returns_to = initial if options.rule == "bounded" else None
    path = -coefficients.path * steps.unsqueeze(-2)
    y = _read(chunk.q, path, coefficients, features, deltas, weights, momentum, returns_to)
    new_weights, new_momentum = _close(path, steps, coefficients, features, deltas, weights, momentum, returns_to)
    surprise = _surprise(errors, chunk.keep, skipped) if options.return_surprise else None
    return ChunkResult(y, new_weights, new_momentum, surprise, chunk.keep)


def _surprise(errors: Tensor, keep: Tensor, skipped: Tensor | None) -> Tensor:
    norms = torch.where(keep, torch.linalg.vector_norm(errors, dim=-1), 0)
    return norms if skipped is None else torch.where(keep, norms, skipped)


def _backpropagate(errors: Tensor, damping: Tensor | None, features: Features, weights: Weights) -> list[Tensor]:
    """Return δ_1 … δ_L of every token at the opening weights; damping scales those of the hidden layers."""
    deltas = [errors]
    back = errors if damping is None else damping.unsqueeze(-1) * errors
    for layer in range(len(weights) - 2, -1, -1):
        back = torch.bmm(back, weights[layer + 1].mT) * features.slopes[layer]
        deltas.insert(0, back)
    return deltas


def _read(
    q: Tensor,
    path: Tensor,
    c: Coefficients,
    features: Features,
    deltas: list[Tensor],
    weights: Weights,
    momentum: Weights,
    returns_to: Weights | None,
) -> Tensor:
    """y_t = f(q_t; M_t), layer by layer, without forming M_t."""
    beta, gamma = c.beta.unsqueeze(-1), c.gamma.unsqueeze(-1)
    x = q
    for layer, w in enumerate(weights):
        z = beta * torch.bmm(x, w) + gamma * torch.bmm(x, momentum[layer])
        if returns_to is not None:
            z = z + (1 - beta) * torch.bmm(x, returns_to[layer])
        z = torch.baddbmm(z, path * torch.bmm(x, features.inputs[layer].mT), deltas[layer])
        x = torch.nn.functional.silu(z) if layer + 1 < len(weights) else z
    return x


def _close(
    path: Tensor,
    steps: Tensor,
    c: Coefficients,
    features: Features,
    deltas: list[Tensor],
    weights: Weights,
    momentum: Weights,
    returns_to: Weights | None,
) -> tuple[Weights, Weights]:
    """M and S after the chunk's last token."""
    beta, gamma, decay = (
        c.beta[:, -1, None, None],
        c.gamma[:, -1, None, None],
        c.momentum_decay[:, None, None],
    )
    in_weights, in_momentum = path[:, -1, :, None], -(c.momentum_row * steps).unsqueeze(-1)
    new_weights, new_momentum = [], []
    for layer, (w, s) in enumerate(zip(weights, momentum, strict=True)):
        carried = beta * w + gamma * s
        if returns_to is not None:
            carried = carried + (1 - beta) * returns_to[layer]
        a = features.inputs[layer].mT
        new_weights.append(torch.baddbmm(carried, a, in_weights * deltas[layer]))
        new_momentum.append(torch.baddbmm(decay * s, a, in_momentum * deltas[layer]))
    return tuple(new_weights), tuple(new_momentum)


class _OpeningKeeper:
    """Remembers the weights with which each row's last, still open chunk opened."""

    def __init__(self, grid: ChunkGrid, weights: Weights, momentum: Weights) -> None:
        self.grid, self.heads = grid, weights[0].shape[0] // len(grid.phases)
        self.weights, self.momentum = weights, momentum

    def completed(self, n: int) -> bool | Tensor:
        """Which rows have read every slot of chunk ``n``: all, none, or a mask (groups, 1, 1)."""
        rows = [closed > n for closed in self.grid.closed_chunks]
        if all(rows) or not any(rows):
            return rows[0]
        return torch.tensor(rows, device=self.weights[0].device).repeat_interleave(self.heads)[:, None, None]

    def after_chunk(self, n: int, weights: Weights, momentum: Weights) -> None:
        rows = self.completed(n)
        self.weights = _where(rows, weights, self.weights)
        self.momentum = _where(rows, momentum, self.momentum)


def _where(rows: bool | Tensor, new: Weights, old: Weights) -> Weights:
    if isinstance(rows, bool):
        return new if rows else old
    return tuple(torch.where(rows, a, b) for a, b in zip(new, old, strict=True))


def _confine(rows: bool | Tensor, weights: Weights, momentum: Weights, initial: Weights) -> tuple[Weights, Weights]:
    if rows is False:
        return weights, momentum
    confined, calmed = confine_hidden(weights, momentum, initial)
    return _where(rows, confined, weights), _where(rows, calmed, momentum)


def _without_skipped(rows: PendingRows) -> PendingRows:
    """Empty the rows that the surprise threshold skipped, as those under a mask already are."""
    keep = rows.keep

    def kept(x: Tensor) -> Tensor:
        return torch.where(keep.unsqueeze(-1) if x.dim() > keep.dim() else keep, x, 0)

    return replace(rows, **{name: kept(getattr(rows, name)) for name in ("k", "v", "theta", "eta", "alpha")})


def _assemble(
    grid: ChunkGrid,
    state: MemoryState,
    rows: PendingRows,
    results: list[ChunkResult],
    weights: Weights,
    momentum: Weights,
    keeper: _OpeningKeeper,
) -> tuple[Tensor, MemoryState, Tensor | None]:
    batch, heads = len(grid.phases), rows.k.shape[3]

    def back(parts: list[Tensor]) -> Tensor:
        # n × (batch × heads, chunk, …) -> (batch, n, chunk, heads, …)
        joined = torch.stack(parts).unflatten(1, (batch, heads))
        return joined.movedim(0, 1).movedim(2, 3)

    y = grid.pick(back([r.y for r in results]))
    surprise = None
    if results[0].surprise is not None:
        surprise = grid.pick(back([r.surprise for r in results if r.surprise is not None]))
    rows = _without_skipped(replace(rows, keep=back([r.keep for r in results])))

    def per_row(ws: Weights) -> Weights:
        return tuple(w.unflatten(0, (batch, heads)) for w in ws)

    new_state = MemoryState(
        initial=state.initial,
        weights=per_row(weights),
        momentum=per_row(momentum),
        opening_weights=per_row(keeper.weights),
        opening_momentum=per_row(keeper.momentum),
        pending=rows.map(grid.open_rows),
        position=state.position + torch.tensor(grid.lengths, device=state.position.device),
        chunk_size=grid.chunk_size,
    )
    return y, new_state, surprise
