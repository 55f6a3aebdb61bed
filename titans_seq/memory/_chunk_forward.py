"""One chunk of the op, forward, for memories of depth 1 and 2: the products the hand-derived adjoint goes back through.

Shapes: groups = batch × heads; keys (groups, chunk, head_dim), hidden features (groups, chunk, hidden). Rows are
scaled by gates on whichever side of a product is head_dim wide: the hidden width is several times that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from titans_seq.memory._gates import Gates
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._scaled import ScaledTokens
from titans_seq.memory.rules import DAMPING_REACH, STEP_FLOOR
from titans_seq.memory.state import Weights

Tokens = tuple[Tensor, Tensor, Tensor]


class ChunkInputs(NamedTuple):
    """Tokens of one chunk (or, with a leading dimension, of many) with what follows from them alone.

    Attributes
    ----------
    q, k, v : Tensor, shape (groups, chunk, head_dim)
    keep : Tensor of bool, shape (groups, chunk)
    moves : Tensor, shape (groups, chunk)
        1 where kept, 0 elsewhere.
    base : Tensor, shape (groups, chunk)
        Steps before they are normalised.
    path, before_path : Tensor, shape (groups, chunk, chunk)
        Weights of gradients in M_t, and in the weights that each token finds.
    beta, returned, gamma : Tensor, shape (groups, chunk, 1)
        Weights of W_0, W_init and S_0 in M_t; with ``before_`` in the weights that each token finds.
    end_path, end_momentum : Tensor, shape (groups, chunk)
        Weights of gradients in M and S at the chunk's end.
    end_beta, end_gamma, end_decay : Tensor, shape (groups, 1, 1)
        Weights of W_0 and S_0 in M at the chunk's end, and of S_0 in S.
    gram, query_gram : Tensor, shape (groups, chunk, chunk)
        k kᵀ and q kᵀ.
    by_weights, by_momentum, by_initial : Tensor, shape (groups, rows, head_dim)
        What multiplies the first layer's matrices: see `titans_seq.memory._scaled.ScaledTokens`.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    keep: Tensor
    moves: Tensor
    base: Tensor
    path: Tensor
    beta: Tensor
    returned: Tensor
    gamma: Tensor
    before_path: Tensor
    before_beta: Tensor
    before_returned: Tensor
    before_gamma: Tensor
    end_path: Tensor
    end_momentum: Tensor
    end_beta: Tensor
    end_gamma: Tensor
    end_decay: Tensor
    gram: Tensor
    query_gram: Tensor
    by_weights: Tensor
    by_momentum: Tensor
    by_initial: Tensor | None

    def chunks(self) -> list[ChunkInputs]:
        """Take the leading dimension apart."""
        fields = [[None] * len(self.q) if x is None else x.unbind(0) for x in self]
        return [ChunkInputs(*parts) for parts in zip(*fields, strict=True)]


def prepare_inputs(tokens: Tokens, gates: Gates, scaled: ScaledTokens) -> ChunkInputs:
    """Gather what a chunk takes; leading dimensions are free."""
    q, k, v = tokens
    c, before = gates.made.coefficients, gates.before

    def column(x: Tensor) -> Tensor:
        return x.unsqueeze(-1)

    def end(x: Tensor) -> Tensor:
        return x[..., None, None]

    return ChunkInputs(
        q, k, v, gates.keep, gates.keep.to(q.dtype), gates.base,
        c.path, column(c.beta), column(1 - c.beta), column(c.gamma),
        before.path, column(before.beta), column(1 - before.beta), column(before.gamma),
        c.path[..., -1, :], c.momentum_row, end(c.beta[..., -1]), end(c.gamma[..., -1]), end(c.momentum_decay),
        k @ k.mT, q @ k.mT, *scaled,
    )  # fmt: skip


class Hidden(NamedTuple):
    """The hidden layer at the keys, (groups, chunk, hidden): z_1, σ(z_1), silu(z_1) and silu'(z_1).

    ``motion`` is what the opening momentum and forgetting move z_1 by; ``row_norms`` (groups, hidden) are the
    squared lengths of the output layer's rows.
    """

    z: Tensor
    sigmoid: Tensor
    a: Tensor
    slopes: Tensor
    motion: Tensor | None
    row_norms: Tensor | None


class Right(NamedTuple):
    """The solve's right-hand side, and at depth 2 the products that it and its adjoint share.

    ``first`` (groups, chunk, hidden) is what the output layer's opening weights multiply; ``initial`` and
    ``momentum`` are the reads of the output layer's initial weights and opening momentum.
    """

    errors: Tensor
    first: Tensor | None = None
    initial: Tensor | None = None
    momentum: Tensor | None = None


class Damping(NamedTuple):
    """Damping of the hidden layer: the factor, its root, and the largest error so far with the slot it stood in."""

    factor: Tensor
    ratio: Tensor
    norms: Tensor
    largest: Tensor
    largest_at: Tensor


class Kernel(NamedTuple):
    """The kernel K and its parts, (groups, chunk, chunk); parts and damping are None at depth 1.

    ``inner`` = ``kappa`` ∘ k kᵀ is the hidden layer's part before damping; ``scale`` (groups, chunk) is what steps
    are divided by.
    """

    whole: Tensor
    scale: Tensor
    kappa: Tensor | None = None
    inner: Tensor | None = None
    damping: Damping | None = None


class FirstLayer(NamedTuple):
    """What the first layer's matrices give, (groups, chunk, out), all opening coefficients applied.

    ``keys`` at the opening weights, ``moved`` (None for the rule "titans") by opening momentum and initial weights;
    ``queries`` at M_t but for the chunk's own tokens.
    """

    keys: Tensor
    moved: Tensor | None
    queries: Tensor


class Query(NamedTuple):
    """The read's hidden layer at depth 2: z, silu(z), and silu(z) aᵀ."""

    z: Tensor
    a: Tensor
    feature_gram: Tensor


@dataclass
class Trace:
    """What the adjoint of a chunk needs; ``kernel``, ``right`` and ``system`` are None for rule "titans"."""

    inputs: ChunkInputs
    weights: Weights
    momentum: Weights
    queries: Tensor
    hidden: Hidden | None
    errors: Tensor
    steps: Tensor
    kernel: Kernel | None = None
    right: Right | None = None
    system: Tensor | None = None
    back: Tensor | None = None
    deltas: Weights = ()
    query: Query | None = None

    @property
    def last(self) -> Tensor:
        """What the output layer multiplies, at the keys."""
        return self.inputs.k if self.hidden is None else self.hidden.a

    @property
    def damped_errors(self) -> Tensor:
        """Errors as the hidden layer sees them."""
        if self.kernel is None or self.kernel.damping is None:
            return self.errors
        return self.kernel.damping.factor.unsqueeze(-1) * self.errors


def write_chunk(x: ChunkInputs, weights: Weights, momentum: Weights, initial: Weights, options: MemoryOptions) -> Trace:
    """Errors, steps and δ of every token of a chunk at its opening weights."""
    first = _first_layer(x, weights[0], momentum[0], initial[0])
    hidden = None if len(weights) == 1 else _hidden(x, first, weights[1])
    if options.rule == "titans":
        errors = -x.v if options.loss == "dot" else _opening_errors(x, first, hidden, weights)
        trace = Trace(x, weights, momentum, first.queries, hidden, errors, x.base)
    else:
        trace = _bounded(x, first, hidden, weights, momentum, initial)
    trace.deltas = (trace.errors,)
    if hidden is not None:
        trace.back = torch.bmm(trace.damped_errors, weights[1].mT)
        trace.deltas = (trace.back * hidden.slopes, trace.errors)
    return trace


def _first_layer(x: ChunkInputs, weights: Tensor, momentum: Tensor, initial: Tensor) -> FirstLayer:
    size = x.q.shape[1]
    by_weights, by_momentum = torch.bmm(x.by_weights, weights), torch.bmm(x.by_momentum, momentum)
    if x.by_initial is not None:
        by_momentum.baddbmm_(x.by_initial, initial)
    queries = by_weights[:, :size].add_(by_momentum[:, -size:])
    moved = None if x.by_initial is None else by_momentum[:, :size]
    return FirstLayer(by_weights[:, size:], moved, queries)


def _hidden(x: ChunkInputs, first: FirstLayer, output_weights: Tensor) -> Hidden:
    z = first.keys
    sigmoid = torch.sigmoid(z)
    a = z * sigmoid
    slopes = (sigmoid + a).addcmul_(a, sigmoid, value=-1)
    if first.moved is None:
        return Hidden(z, sigmoid, a, slopes, None, None)
    motion = first.moved.addcmul_(x.before_returned, z, value=-1)
    return Hidden(z, sigmoid, a, slopes, motion, torch.linalg.vector_norm(output_weights, dim=-1).square())


def _opening_errors(x: ChunkInputs, first: FirstLayer, hidden: Hidden | None, weights: Weights) -> Tensor:
    if hidden is None:
        return first.keys - x.v
    return torch.baddbmm(x.v, hidden.a, weights[1], beta=-1)


def _bounded(
    x: ChunkInputs, first: FirstLayer, hidden: Hidden | None, weights: Weights, momentum: Weights, initial: Weights
) -> Trace:
    right = _right(x, first, hidden, weights, momentum, initial)
    kernel = _kernel(x, hidden, right.errors)
    steps = x.base / kernel.scale
    system = x.before_path * steps.unsqueeze(-2) * kernel.whole
    errors = torch.linalg.solve_triangular(system, right.errors, upper=False, unitriangular=True)
    return Trace(x, weights, momentum, first.queries, hidden, errors, steps, kernel, right, system)


def _right(
    x: ChunkInputs, first: FirstLayer, hidden: Hidden | None, weights: Weights, momentum: Weights, initial: Weights
) -> Right:
    if hidden is None:
        assert first.moved is not None
        return Right(first.keys + first.moved - x.v)
    assert hidden.motion is not None
    through = (hidden.motion * hidden.slopes).addcmul_(hidden.a, x.before_beta)
    from_initial, from_momentum = torch.bmm(hidden.a, initial[1]), torch.bmm(hidden.a, momentum[1])
    errors = torch.baddbmm(x.v, through, weights[1], beta=-1)
    errors.addcmul_(x.before_returned, from_initial).addcmul_(x.before_gamma, from_momentum)
    return Right(errors, through, from_initial, from_momentum)


def _kernel(x: ChunkInputs, hidden: Hidden | None, errors: Tensor) -> Kernel:
    if hidden is None:
        return Kernel(x.gram, x.gram.diagonal(dim1=-2, dim2=-1) + STEP_FLOOR)
    assert hidden.row_norms is not None
    output = torch.bmm(hidden.a, hidden.a.mT)
    of_output = output.diagonal(dim1=-2, dim2=-1)
    kappa = torch.bmm(hidden.slopes * hidden.row_norms.unsqueeze(-2), hidden.slopes.mT)
    inner = kappa * x.gram
    of_hidden = inner.diagonal(dim1=-2, dim2=-1)
    damping = _damping(of_output + of_hidden, errors, x.moves)
    whole = torch.addcmul(output, inner, damping.factor.unsqueeze(-2))
    scale = torch.addcmul(of_output + STEP_FLOOR, damping.factor, of_hidden)
    return Kernel(whole, scale, kappa, inner, damping)


def _damping(diagonal: Tensor, errors: Tensor, moves: Tensor) -> Damping:
    norms = torch.linalg.vector_norm(errors, dim=-1)
    largest, at = torch.cummax(norms * moves, -1)
    largest = largest.clamp_(min=1e-30)
    ratio = (DAMPING_REACH * diagonal / largest).clamp(max=1)
    return Damping(ratio.square(), ratio, norms, largest, at)


def read_chunk(trace: Trace, initial: Weights, options: MemoryOptions) -> Tensor:
    """y_t = f(q_t; M_t), without forming M_t. Overwrites ``trace.queries``."""
    x = trace.inputs
    path = x.path * trace.steps.unsqueeze(-2)
    if trace.hidden is None:
        return trace.queries.baddbmm_(path * x.query_gram, trace.errors, alpha=-1)
    query = read_hidden(trace, path)
    y = (x.beta * torch.bmm(query.a, trace.weights[1])).addcmul_(x.gamma, torch.bmm(query.a, trace.momentum[1]))
    if options.rule == "bounded":
        y.addcmul_(x.returned, torch.bmm(query.a, initial[1]))
    return y.baddbmm_(path * query.feature_gram, trace.errors, alpha=-1)


def read_hidden(trace: Trace, path: Tensor) -> Query:
    """The read's hidden layer; ``path`` holds each token's weight in M_t, steps included."""
    assert trace.hidden is not None
    z = trace.queries.baddbmm_(path * trace.inputs.query_gram, trace.deltas[0], alpha=-1)
    a = torch.nn.functional.silu(z)
    return Query(z, a, torch.bmm(a, trace.hidden.a.mT))


def close_chunk(
    trace: Trace, initial: Weights, options: MemoryOptions, *, inplace: bool = False
) -> tuple[Weights, Weights]:
    """M and S after the chunk's last token, before hidden layers are confined.

    ``inplace`` overwrites the opening state, which must then not be used again.
    """
    x = trace.inputs
    in_weights, in_momentum = (x.end_path * trace.steps).unsqueeze(-1), (x.end_momentum * trace.steps).unsqueeze(-1)
    weights, momentum = [], []
    for layer, (w, s) in enumerate(zip(trace.weights, trace.momentum, strict=True)):
        w_out, s_out = (w, s) if inplace else (torch.empty_like(w), torch.empty_like(s))
        if options.rule == "bounded":
            torch.lerp(initial[layer], w, x.end_beta, out=w_out)
        else:
            torch.mul(w, x.end_beta, out=w_out)
        w_out.addcmul_(x.end_gamma, s)
        torch.mul(s, x.end_decay, out=s_out)
        weights.append(_add_outer(w_out, trace, layer, in_weights))
        momentum.append(_add_outer(s_out, trace, layer, in_momentum))
    return tuple(weights), tuple(momentum)


def _add_outer(carried: Tensor, trace: Trace, layer: int, scale: Tensor) -> Tensor:
    """Add −Σ_i scale_i a_i ⊗ δ_i of one layer, in place."""
    if layer == len(trace.weights) - 1:
        return carried.baddbmm_(trace.last.mT, scale * trace.errors, alpha=-1)
    return carried.baddbmm_((scale * trace.inputs.k).mT, trace.deltas[layer], alpha=-1)
