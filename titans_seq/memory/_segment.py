"""A run of whole chunks: the unit that is recomputed in the backward pass, so that only its opening state is kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from titans_seq.memory._chunk_backward import ChunkGradients, EndGradients, chunk_backward
from titans_seq.memory._chunk_forward import (
    ChunkInputs,
    Trace,
    close_chunk,
    prepare_inputs,
    read_chunk,
    read_hidden,
    write_chunk,
)
from titans_seq.memory._coefficients import Coefficients
from titans_seq.memory._confinement import Confinement, confine, confine_backward, hidden_radius
from titans_seq.memory._gates import Before, Gates, close_gates, gates_backward
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._quiet import prepared_chunks, quiet_chunks, quiet_run, read_weights
from titans_seq.memory._scaled import ScaledTokens, scale_backward, scale_tokens
from titans_seq.memory.state import Weights


class SegmentTokens(NamedTuple):
    """Tokens of a segment, (chunks, groups, chunk, …) with groups = batch × heads.

    q, k, v are (…, head_dim); what stands under a mask is zero. ``keep`` is False where masked.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor


class SegmentState(NamedTuple):
    """Weights and momentum, each (groups, in, out), and initial weights, (heads, in, out)."""

    weights: Weights
    momentum: Weights
    initial: Weights


@dataclass(frozen=True)
class SegmentPlace:
    """Which groups complete this segment's chunks: all, none, or a mask (groups, 1, 1)."""

    completed: bool | Tensor


class SegmentOutput(NamedTuple):
    """Reads (chunks, groups, chunk, head_dim), end state, ‖e‖ (chunks, groups, chunk) or None, and tokens written."""

    y: Tensor
    weights: Weights
    momentum: Weights
    surprise: Tensor | None
    keep: Tensor


class SegmentGradients(NamedTuple):
    """Gradients of a segment's tokens and opening state; of the initial weights per head, or None."""

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    weights: Weights
    momentum: Weights
    initial: Weights | None


class SegmentEngine(Protocol):
    """What a backend has to offer: a segment forward, and its gradients from nothing but its inputs."""

    def forward(
        self, tokens: SegmentTokens, state: SegmentState, place: SegmentPlace, options: MemoryOptions
    ) -> SegmentOutput: ...

    def backward(
        self,
        tokens: SegmentTokens,
        state: SegmentState,
        place: SegmentPlace,
        options: MemoryOptions,
        end: EndGradients,
        *,
        initial_needed: bool,
    ) -> SegmentGradients: ...


def grouped(initial: Weights, groups: int) -> Weights:
    """Repeat per-head weights for every group; group g has head g mod heads."""
    return tuple(w.expand(groups // w.shape[0], *w.shape).flatten(0, 1) for w in initial)


class TorchEngine:
    """Chunk by chunk with the products of `_chunk_forward`; any device."""

    def forward(
        self, tokens: SegmentTokens, state: SegmentState, place: SegmentPlace, options: MemoryOptions
    ) -> SegmentOutput:
        """Read a segment."""
        outputs = [_read_block(block, options) for block in _blocks(tokens, state, place)]
        if len(outputs) == 1:
            return outputs[0]
        y, weights, momentum, surprise, keep = zip(*outputs, strict=True)
        return SegmentOutput(
            torch.cat(y, 1),
            _joined(weights),
            _joined(momentum),
            None if surprise[0] is None else torch.cat(surprise, 1),
            torch.cat(keep, 1),
        )

    def backward(
        self,
        tokens: SegmentTokens,
        state: SegmentState,
        place: SegmentPlace,
        options: MemoryOptions,
        end: EndGradients,
        *,
        initial_needed: bool,
    ) -> SegmentGradients:
        """Recompute the segment, then go back through it."""
        parts, first = [], 0
        for block in _blocks(tokens, state, place):
            last = first + block.tokens.q.shape[1]
            parts.append(_block_backward(block, options, _end_of(end, first, last), initial_needed=initial_needed))
            first = last
        *of_tokens, weights, momentum, initial = zip(*parts, strict=True)
        q, k, v, theta, eta, alpha = (torch.cat(x, 1) for x in of_tokens)
        by_head = _by_head(_joined(initial), state.initial) if initial_needed else None
        return SegmentGradients(q, k, v, theta, eta, alpha, _joined(weights), _joined(momentum), by_head)


BLOCK_ELEMENTS = 1 << 16
"""Elements of the widest intermediate that groups read together may have: it stays in a second-level cache."""


class _Block(NamedTuple):
    """Groups that are read together; ``state.initial`` is per group."""

    tokens: SegmentTokens
    state: SegmentState
    place: SegmentPlace


def _blocks(tokens: SegmentTokens, state: SegmentState, place: SegmentPlace) -> list[_Block]:
    groups = tokens.q.shape[1]
    state = state._replace(initial=grouped(state.initial, groups))
    rows = max(tokens.q.shape[2], tokens.q.shape[3])
    size = groups if tokens.q.device.type != "cpu" else max(1, BLOCK_ELEMENTS // (rows * state.weights[0].shape[-1]))
    if size >= groups:
        return [_Block(tokens, state, place)]

    def block(first: int) -> _Block:
        part = slice(first, first + size)
        completed = place.completed if isinstance(place.completed, bool) else place.completed[part]
        return _Block(
            SegmentTokens(*(x[:, part] for x in tokens)),
            SegmentState(*(tuple(w[part] for w in ws) for ws in state)),
            SegmentPlace(completed),
        )

    return [block(first) for first in range(0, groups, size)]


def _joined(parts: Sequence[Weights]) -> Weights:
    return tuple(torch.cat(ws) for ws in zip(*parts, strict=True))


def _end_of(end: EndGradients, first: int, last: int) -> EndGradients:
    return EndGradients(
        end.y[:, first:last],
        tuple(w[first:last] for w in end.weights),
        tuple(w[first:last] for w in end.momentum),
        None if end.surprise is None else end.surprise[:, first:last],
    )


def _read_block(block: _Block, options: MemoryOptions) -> SegmentOutput:
    tokens, (weights, momentum, initial), place = block
    chunks = _Chunks(tokens, options, hidden=len(weights) > 1, skip_quiet=True)
    radius = hidden_radius(initial)
    reads: list[Tensor] = []
    keeps, surprises, n = [], [], 0
    while n < len(chunks):
        if still := chunks.quiet_run(n, momentum):
            reads += read_weights(tokens.q[n : n + still], weights)
            n += still
            continue
        x, opening = chunks.take(n, weights)
        trace = write_chunk(x, weights, momentum, initial, options)
        reads.append(read_chunk(trace, initial, options))
        keeps.append(x.keep)
        if options.return_surprise:
            surprises.append(_surprise(trace, tokens.keep[n], opening))
        weights, momentum = close_chunk(trace, initial, options, inplace=weights is not block.state.weights)
        if options.rule == "bounded":
            weights, momentum, _ = confine(place.completed, weights, momentum, initial, radius)
        n += 1
    keep = tokens.keep if options.surprise_threshold == 0 else torch.stack(keeps)
    return SegmentOutput(torch.stack(reads), weights, momentum, torch.stack(surprises) if surprises else None, keep)


def _surprise(trace: Trace, keep: Tensor, opening: Tensor | None) -> Tensor:
    norms = torch.linalg.vector_norm(trace.errors, dim=-1) * trace.inputs.moves
    return norms if opening is None else torch.where(trace.inputs.keep, norms, opening * keep)


def _block_backward(
    block: _Block, options: MemoryOptions, end: EndGradients, *, initial_needed: bool
) -> SegmentGradients:
    tokens, state, place = block
    traces, confinements, prepared = _retrace(block, options)
    initial_grads = [torch.zeros_like(w) for w in state.initial] if initial_needed else None
    weights, momentum = (tuple(w.clone() for w in ws) for ws in (end.weights, end.momentum))
    parts: list[ChunkGradients] = []
    for n in range(len(traces) - 1, -1, -1):
        weights, momentum = confine_backward(confinements[n], weights, momentum, state.initial, initial_grads)
        surprise = None if end.surprise is None else end.surprise[n]
        skipped = None
        if surprise is not None and options.surprise_threshold > 0:
            skipped = torch.where(tokens.keep[n] & ~traces[-1].inputs.keep, surprise, 0)
        here = EndGradients(end.y[n], weights, momentum, surprise, skipped)
        parts.append(chunk_backward(traces.pop(), state.initial, options, here, initial_grads))
        weights, momentum = tuple(parts[-1].weights), tuple(parts[-1].momentum)
    parts.reverse()
    q, k, v, theta, eta, alpha = _token_gradients(parts, tokens, prepared, options, hidden=len(weights) > 1)
    initial = None if initial_grads is None else tuple(initial_grads)
    return SegmentGradients(q, k, v, theta, eta, alpha, weights, momentum, initial)


def _by_head(grads: Weights, initial: Weights) -> Weights:
    return tuple(g.unflatten(0, (-1, w.shape[0])).sum(0) for g, w in zip(grads, initial, strict=True))


class _Prepared(NamedTuple):
    """What follows from the tokens alone, of one chunk or of all."""

    gates: Gates
    inputs: ChunkInputs


def _prepare(tokens: SegmentTokens, options: MemoryOptions, *, hidden: bool) -> _Prepared:
    q, k, v, theta, eta, alpha, keep = tokens
    gates = close_gates(theta, eta, alpha, keep, options)
    bounded = options.rule == "bounded"
    scaled = scale_tokens(q, k, gates.made.coefficients, gates.before, bounded=bounded, hidden=hidden)
    return _Prepared(gates, prepare_inputs((q, k, v), gates, scaled))


class _Chunks:
    """Inputs of a block's chunks in turn: prepared at once, unless the surprise threshold ties them to the weights.

    With ``skip_quiet`` chunks in which all gates are closed are left out: see `titans_seq.memory._quiet`.
    """

    def __init__(
        self, tokens: SegmentTokens, options: MemoryOptions, *, hidden: bool, skip_quiet: bool = False
    ) -> None:
        self.tokens, self.options, self.hidden = tokens, options, hidden
        self.quiet = quiet_chunks(tokens, options) if skip_quiet else None
        self.prepared = self.inputs = None
        if self.quiet is not None:
            self.some = prepared_chunks(self.quiet)
            part = SegmentTokens(*(x[self.some] for x in tokens))
            inputs = _prepare(part, options, hidden=hidden).inputs.chunks() if self.some else []
            self.ahead = dict(zip(self.some, inputs, strict=True))
        elif options.surprise_threshold == 0:
            self.prepared = _prepare(tokens, options, hidden=hidden)
            self.inputs = self.prepared.inputs.chunks()

    def __len__(self) -> int:
        return len(self.tokens.q)

    def quiet_run(self, n: int, momentum: Weights) -> int:
        """Number of chunks from ``n`` on that change nothing."""
        return 0 if self.quiet is None else quiet_run(self.quiet, n, momentum)

    def take(self, n: int, weights: Weights) -> tuple[ChunkInputs, Tensor | None]:
        """Inputs of chunk ``n``, and the opening errors' norms where the threshold needed them."""
        if self.inputs is not None:
            return self.inputs[n], None
        chunk = SegmentTokens(*(x[n] for x in self.tokens))
        if self.quiet is not None:
            return self.ahead.pop(n, None) or _prepare(chunk, self.options, hidden=self.hidden).inputs, None
        opening = _opening_surprise(chunk, weights)
        chunk = chunk._replace(keep=chunk.keep & (opening > self.options.surprise_threshold))
        return _prepare(chunk, self.options, hidden=self.hidden).inputs, opening

    def all(self, traces: list[Trace]) -> _Prepared:
        """What was prepared for every chunk, known once all are written."""
        if self.prepared is not None:
            return self.prepared
        keep = torch.stack([t.inputs.keep for t in traces])
        return _prepare(self.tokens._replace(keep=keep), self.options, hidden=self.hidden)


def _opening_surprise(chunk: SegmentTokens, weights: Weights) -> Tensor:
    last = chunk.k
    for w in weights[:-1]:
        last = torch.nn.functional.silu(torch.bmm(last, w))
    return torch.linalg.vector_norm(torch.bmm(last, weights[-1]) - chunk.v, dim=-1)


def _retrace(block: _Block, options: MemoryOptions) -> tuple[list[Trace], list[Confinement | None], _Prepared]:
    """The segment's forward once more, without its reads, keeping what the adjoint needs."""
    tokens, (weights, momentum, initial), place = block
    chunks, radius = _Chunks(tokens, options, hidden=len(weights) > 1), hidden_radius(initial)
    traces: list[Trace] = []
    confinements: list[Confinement | None] = []
    for n in range(len(chunks)):
        x, _ = chunks.take(n, weights)
        trace = write_chunk(x, weights, momentum, initial, options)
        if trace.hidden is not None:
            trace.query = read_hidden(trace, x.path * trace.steps.unsqueeze(-2))
        traces.append(trace)
        confinements.append(None)
        if n + 1 < len(chunks) or place.completed is not False:
            weights, momentum = close_chunk(trace, initial, options)
            if options.rule == "bounded":
                weights, momentum, confinements[n] = confine(place.completed, weights, momentum, initial, radius)
    return traces, confinements, chunks.all(traces)


def _token_gradients(
    parts: list[ChunkGradients], tokens: SegmentTokens, prepared: _Prepared, options: MemoryOptions, *, hidden: bool
) -> tuple[Tensor, ...]:
    """Gradients of q, k, v, theta, eta and alpha from those of what was prepared, all chunks at once."""

    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(p, name) for p in parts])

    gates, c = prepared.gates, prepared.gates.made.coefficients
    coefficients = Coefficients(*(stacked(name) for name in Coefficients._fields))
    by_weights, by_momentum, by_initial = zip(*(p.scaled for p in parts if p.scaled is not None), strict=True)
    dscaled = ScaledTokens(
        torch.stack(by_weights), torch.stack(by_momentum), None if by_initial[0] is None else torch.stack(by_initial)
    )
    by_scale = scale_backward(dscaled, tokens.q, tokens.k, c, gates.before, hidden=hidden)
    coefficients = coefficients._replace(
        beta=coefficients.beta + by_scale.beta, gamma=coefficients.gamma + by_scale.gamma
    )
    before = None
    befores = [p.before for p in parts if p.before is not None]
    if befores:
        before = Before(*(torch.stack(xs) for xs in zip(*befores, strict=True)))
        assert by_scale.before_beta is not None and by_scale.before_gamma is not None
        before = before._replace(beta=before.beta + by_scale.before_beta, gamma=before.gamma + by_scale.before_gamma)
    dquery_gram, dk = stacked("query_gram"), stacked("k") + by_scale.k
    dq = by_scale.q + dquery_gram @ tokens.k
    dk += dquery_gram.mT @ tokens.q
    if parts[0].gram is not None:
        dgram = stacked("gram")
        dk += (dgram + dgram.mT) @ tokens.k
    return dq, dk, stacked("v"), *gates_backward(gates, stacked("base"), coefficients, before, options)


def full_precision(device: str) -> AbstractContextManager[Any]:
    """Leave autocast, if it is on: the memory chooses its own precision."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


class SegmentFunction(torch.autograd.Function):
    """A segment whose backward pass keeps only its inputs and recomputes the rest."""

    @staticmethod
    def forward(
        ctx: Any,
        engine: SegmentEngine,
        place: SegmentPlace,
        options: MemoryOptions,
        keep: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        """``tensors``: q, k, v, theta, eta, alpha, then weights, momentum and initial weights of every layer."""
        tokens, state = _unpack(keep, tensors)
        out = engine.forward(tokens, state, place, options)
        ctx.save_for_backward(keep, *tensors)
        ctx.engine, ctx.place, ctx.options = engine, place, options
        ctx.mark_non_differentiable(out.keep)
        surprise = () if out.surprise is None else (out.surprise,)
        return (out.y, *out.weights, *out.momentum, out.keep, *surprise)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of ``tensors``."""
        # once_differentiable alone refuses only where the graph happens to pass through its own node.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the memory's hand-derived gradient cannot be differentiated again (create_graph=True): "
                "use backend='reference', or a memory of three or four layers"
            )
        keep, *tensors = ctx.saved_tensors
        tokens, state = _unpack(keep, tuple(tensors))
        depth = len(state.weights)
        surprise = grads[2 * depth + 2].contiguous() if ctx.options.return_surprise else None
        end = EndGradients(grads[0].contiguous(), grads[1 : depth + 1], grads[depth + 1 : 2 * depth + 1], surprise)
        needed = any(ctx.needs_input_grad[-depth:])
        with full_precision(keep.device.type):
            g = ctx.engine.backward(tokens, state, ctx.place, ctx.options, end, initial_needed=needed)
        initial = (None,) * depth if g.initial is None else g.initial
        return (None,) * 4 + (g.q, g.k, g.v, g.theta, g.eta, g.alpha, *g.weights, *g.momentum, *initial)


def _unpack(keep: Tensor, tensors: tuple[Tensor, ...]) -> tuple[SegmentTokens, SegmentState]:
    q, k, v, theta, eta, alpha, *stacks = tensors
    depth = len(stacks) // 3
    weights, momentum, initial = (tuple(stacks[n * depth : (n + 1) * depth]) for n in range(3))
    return SegmentTokens(q, k, v, theta, eta, alpha, keep), SegmentState(weights, momentum, initial)


def read_segment(
    engine: SegmentEngine, tokens: SegmentTokens, state: SegmentState, place: SegmentPlace, options: MemoryOptions
) -> SegmentOutput:
    """Read a segment, differentiably where a gradient is asked for."""
    tensors = (*tokens[:6], *state.weights, *state.momentum, *state.initial)
    if not (torch.is_grad_enabled() and any(x.requires_grad for x in tensors)):
        return engine.forward(tokens, state, place, options)
    y, *rest = SegmentFunction.apply(engine, place, options, tokens.keep, *tensors)
    depth = len(state.weights)
    surprise = rest[2 * depth + 1] if options.return_surprise else None
    return SegmentOutput(y, tuple(rest[:depth]), tuple(rest[depth : 2 * depth]), surprise, rest[2 * depth])
