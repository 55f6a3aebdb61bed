"""A run of whole chunks: the unit that is recomputed in the backward pass, so that only its opening state is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from titans_seq.memory._chunk_backward import ChunkGradients, EndGradients, chunk_backward
from titans_seq.memory._chunk_forward import ChunkInputs, Trace, close_chunk, read_chunk, read_hidden, write_chunk
from titans_seq.memory._coefficients import Coefficients
from titans_seq.memory._confinement import Confinement, confine, confine_backward
from titans_seq.memory._gates import Before, Gates, close_gates, gates_backward
from titans_seq.memory._options import MemoryOptions
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
        q, k, v, theta, eta, alpha, weights, momentum, initial = zip(*parts, strict=True)
        return SegmentGradients(
            *(torch.cat(x, 1) for x in (q, k, v, theta, eta, alpha)),
            _joined(weights),
            _joined(momentum),
            _by_head(_joined(initial), state.initial) if initial_needed else None,
        )


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
    gates = _all_gates(tokens, options)
    y, keep = torch.empty_like(tokens.v), tokens.keep.clone()
    surprise = torch.zeros_like(tokens.theta) if options.return_surprise else None
    for n in range(len(y)):
        x, skipped = _chunk_inputs(tokens, gates, n, weights, options)
        trace = write_chunk(x, weights, momentum, initial, options)
        y[n] = read_chunk(trace, initial, options)
        keep[n] = x.keep
        if surprise is not None:
            surprise[n] = torch.where(x.keep, torch.linalg.vector_norm(trace.errors, dim=-1), skipped)
        weights, momentum = close_chunk(trace, initial, options, inplace=n > 0)
        if options.rule == "bounded":
            weights, momentum, _ = confine(place.completed, weights, momentum, initial)
    return SegmentOutput(y, weights, momentum, surprise, keep)


def _block_backward(
    block: _Block, options: MemoryOptions, end: EndGradients, *, initial_needed: bool
) -> SegmentGradients:
    tokens, state, place = block
    traces, confinements, gates = _retrace(block, options)
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
    q, k, v = (torch.stack([getattr(p, name) for p in parts]) for name in ("q", "k", "v"))
    gate_grads = _gate_gradients(parts, gates, options)
    return SegmentGradients(q, k, v, *gate_grads, weights, momentum, tuple(initial_grads) if initial_grads else None)


def _by_head(grads: Weights, initial: Weights) -> Weights:
    return tuple(g.unflatten(0, (-1, w.shape[0])).sum(0) for g, w in zip(grads, initial, strict=True))


def _all_gates(tokens: SegmentTokens, options: MemoryOptions) -> Gates | None:
    """Coefficients of all chunks at once; None where they depend on the weights through the threshold."""
    if options.surprise_threshold > 0:
        return None
    return close_gates(tokens.theta, tokens.eta, tokens.alpha, tokens.keep, options)


def _chunk_inputs(
    tokens: SegmentTokens, gates: Gates | None, n: int, weights: Weights, options: MemoryOptions
) -> tuple[ChunkInputs, Tensor]:
    """Inputs of one chunk, and the surprise of its tokens that are not written."""
    q, k, v, keep = tokens.q[n], tokens.k[n], tokens.v[n], tokens.keep[n]
    skipped = v.new_zeros(())
    if gates is None:
        last = k
        for w in weights[:-1]:
            last = torch.nn.functional.silu(torch.bmm(last, w))
        opening = torch.linalg.vector_norm(torch.bmm(last, weights[-1]) - v, dim=-1)
        skipped = torch.where(keep, opening, 0)
        keep = keep & (opening > options.surprise_threshold)
        made = close_gates(tokens.theta[n], tokens.eta[n], tokens.alpha[n], keep, options)
        return ChunkInputs(q, k, v, keep, made.base, made.made.coefficients, made.before), skipped
    coefficients = Coefficients(*(c[n] for c in gates.made.coefficients))
    return ChunkInputs(q, k, v, keep, gates.base[n], coefficients, Before(*(b[n] for b in gates.before))), skipped


def _retrace(block: _Block, options: MemoryOptions) -> tuple[list[Trace], list[Confinement | None], Gates]:
    """The segment's forward once more, without its reads, keeping what the adjoint needs."""
    tokens, (weights, momentum, initial), place = block
    gates = _all_gates(tokens, options)
    traces: list[Trace] = []
    confinements: list[Confinement | None] = []
    for n in range(len(tokens.q)):
        x, _ = _chunk_inputs(tokens, gates, n, weights, options)
        trace = write_chunk(x, weights, momentum, initial, options)
        trace.query = read_hidden(trace, x.coefficients.path * trace.steps.unsqueeze(-2), initial, options)
        traces.append(trace)
        confinements.append(None)
        if n + 1 < len(tokens.q) or place.completed is not False:
            weights, momentum = close_chunk(trace, initial, options)
            if options.rule == "bounded":
                weights, momentum, confinements[n] = confine(place.completed, weights, momentum, initial)
    if gates is None:
        keep = torch.stack([t.inputs.keep for t in traces])
        gates = close_gates(tokens.theta, tokens.eta, tokens.alpha, keep, options)
    return traces, confinements, gates


def _gate_gradients(
    parts: list[ChunkGradients], gates: Gates, options: MemoryOptions
) -> tuple[Tensor, Tensor, Tensor]:
    def stacked(name: str) -> Tensor:
        return torch.stack([getattr(p, name) for p in parts])

    coefficients = Coefficients(*(stacked(name) for name in Coefficients._fields))
    before = None
    if parts[0].before is not None:
        before = Before(*(torch.stack([getattr(p.before, name) for p in parts]) for name in Before._fields))
    return gates_backward(gates, stacked("base"), coefficients, before, options)


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
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of ``tensors``."""
        keep, *tensors = ctx.saved_tensors
        tokens, state = _unpack(keep, tuple(tensors))
        depth = len(state.weights)
        surprise = grads[2 * depth + 2].contiguous() if ctx.options.return_surprise else None
        end = EndGradients(grads[0].contiguous(), grads[1 : depth + 1], grads[depth + 1 : 2 * depth + 1], surprise)
        needed = any(ctx.needs_input_grad[-depth:])
        g = ctx.engine.backward(tokens, state, ctx.place, ctx.options, end, initial_needed=needed)
        initial = (None,) * depth if g.initial is None else g.initial
        return (None,) * 4 + (g.q, g.k, g.v, g.theta, g.eta, g.alpha, *g.weights, *g.momentum, *initial)


def _unpack(keep: Tensor, tensors: tuple[Tensor, ...]) -> tuple[SegmentTokens, SegmentState]:
    depth = (len(tensors) - 6) // 3
    stacks = tensors[6:]
    return SegmentTokens(*tensors[:6], keep), SegmentState(
        stacks[:depth], stacks[depth : 2 * depth], stacks[2 * depth :]
    )


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
