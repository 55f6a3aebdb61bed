"""One chunk of the op, forward, for memories of depth 1 and 2: the products the hand-derived adjoint goes back through.

Shapes: groups = batch × heads; keys (groups, chunk, head_dim), hidden features (groups, chunk, hidden). Rows are
scaled by gates on whichever side of a product is head_dim wide: the hidden width is several times that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from titans_seq.memory._coefficients import Coefficients
from titans_seq.memory._gates import Before
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory.rules import DAMPING_REACH, STEP_FLOOR
from titans_seq.memory.state import Weights


class ChunkInputs(NamedTuple):
    """Tokens of one chunk with what follows from the gates alone; ``base`` is the step before normalisation."""

    q: Tensor
    k: Tensor
    v: Tensor
    keep: Tensor
    base: Tensor
    coefficients: Coefficients
    before: Before


class Hidden(NamedTuple):
    """The hidden layer at the keys, (groups, chunk, hidden): z_1, silu(z_1) and silu'(z_1).

    ``motion`` is what the opening momentum and forgetting move z_1 by; ``row_norms`` (groups, hidden) are the
    squared lengths of the output layer's rows.
    """

    z: Tensor
    a: Tensor
    slopes: Tensor
    motion: Tensor | None
    row_norms: Tensor | None


class Right(NamedTuple):
    """The solve's right-hand side, and the products that it and its adjoint share.

    ``first`` (groups, chunk, width) is what the output layer's opening weights multiply; ``initial`` and
    ``momentum`` are the reads of the output layer's initial weights and opening momentum.
    """

    errors: Tensor
    first: Tensor
    initial: Tensor
    momentum: Tensor


class Damping(NamedTuple):
    """Damping of the hidden layer: the factor, its root, and the largest error so far with the slot it stood in."""

    factor: Tensor
    ratio: Tensor
    norms: Tensor
    largest: Tensor
    largest_at: Tensor


class Kernel(NamedTuple):
    """The kernel K and its parts, (groups, chunk, chunk); parts and damping are None at depth 1.

    ``inner`` = ``kappa`` ∘ ``gram`` is the hidden layer's part before damping; ``scale`` (groups, chunk) is what
    steps are divided by.
    """

    whole: Tensor
    scale: Tensor
    gram: Tensor | None = None
    kappa: Tensor | None = None
    inner: Tensor | None = None
    damping: Damping | None = None


class Query(NamedTuple):
    """The read's hidden layer: q kᵀ, z, silu(z) and silu(z) aᵀ; the latter three None at depth 1."""

    gram: Tensor
    z: Tensor | None = None
    a: Tensor | None = None
    feature_gram: Tensor | None = None


@dataclass
class Trace:
    """What the adjoint of a chunk needs; ``kernel``, ``right`` and ``system`` are None for rule "titans"."""

    inputs: ChunkInputs
    weights: Weights
    momentum: Weights
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


def write_chunk(
    x: ChunkInputs, weights: Weights, momentum: Weights, initial: Weights, options: MemoryOptions
) -> Trace:
    """Errors, steps and δ of every token of a chunk at its opening weights."""
    hidden = _hidden(x, weights, momentum, initial, options) if len(weights) == 2 else None
    if options.rule == "titans":
        last = x.k if hidden is None else hidden.a
        errors = -x.v if options.loss == "dot" else torch.baddbmm(x.v, last, weights[-1], beta=-1)
        trace = Trace(x, weights, momentum, hidden, errors, x.base)
    else:
        trace = _bounded(x, hidden, weights, momentum, initial)
    trace.deltas = (trace.errors,)
    if hidden is not None:
        trace.back = torch.bmm(trace.damped_errors, weights[1].mT)
        trace.deltas = (trace.back * hidden.slopes, trace.errors)
    return trace


def _hidden(x: ChunkInputs, weights: Weights, momentum: Weights, initial: Weights, options: MemoryOptions) -> Hidden:
    z = torch.bmm(x.k, weights[0])
    sigmoid = torch.sigmoid(z)
    a = z * sigmoid
    slopes = (sigmoid + a).addcmul_(a, sigmoid, value=-1)
    if options.rule == "titans":
        return Hidden(z, a, slopes, None, None)
    returned = 1 - x.before.beta.unsqueeze(-1)
    motion = torch.bmm(x.before.gamma.unsqueeze(-1) * x.k, momentum[0])
    motion.baddbmm_(returned * x.k, initial[0]).addcmul_(returned, z, value=-1)
    return Hidden(z, a, slopes, motion, torch.linalg.vector_norm(weights[1], dim=-1).square())


def _bounded(x: ChunkInputs, hidden: Hidden | None, weights: Weights, momentum: Weights, initial: Weights) -> Trace:
    right = _right(x, hidden, weights, momentum, initial)
    kernel = _kernel(x, hidden, right.errors)
    steps = x.base / kernel.scale
    system = x.before.path * steps.unsqueeze(-2) * kernel.whole
    errors = torch.linalg.solve_triangular(system, right.errors, upper=False, unitriangular=True)
    return Trace(x, weights, momentum, hidden, errors, steps, kernel, right, system)


def _right(x: ChunkInputs, hidden: Hidden | None, weights: Weights, momentum: Weights, initial: Weights) -> Right:
    beta, gamma = x.before.beta.unsqueeze(-1), x.before.gamma.unsqueeze(-1)
    if hidden is None:
        last, first = x.k, beta * x.k
    else:
        assert hidden.motion is not None
        last, first = hidden.a, (hidden.motion * hidden.slopes).addcmul_(hidden.a, beta)
    from_initial, from_momentum = torch.bmm(last, initial[-1]), torch.bmm(last, momentum[-1])
    errors = torch.baddbmm(x.v, first, weights[-1], beta=-1)
    errors.addcmul_(1 - beta, from_initial).addcmul_(gamma, from_momentum)
    return Right(errors, first, from_initial, from_momentum)


def _kernel(x: ChunkInputs, hidden: Hidden | None, errors: Tensor) -> Kernel:
    last = x.k if hidden is None else hidden.a
    output = torch.bmm(last, last.mT)
    of_output = output.diagonal(dim1=-2, dim2=-1)
    if hidden is None:
        return Kernel(output, of_output + STEP_FLOOR)
    assert hidden.row_norms is not None
    gram = torch.bmm(x.k, x.k.mT)
    kappa = torch.bmm(hidden.slopes * hidden.row_norms.unsqueeze(-2), hidden.slopes.mT)
    inner = kappa * gram
    of_hidden = inner.diagonal(dim1=-2, dim2=-1)
    damping = _damping(of_output + of_hidden, errors, x.keep)
    whole = torch.addcmul(output, inner, damping.factor.unsqueeze(-2))
    scale = torch.addcmul(of_output + STEP_FLOOR, damping.factor, of_hidden)
    return Kernel(whole, scale, gram, kappa, inner, damping)


def _damping(diagonal: Tensor, errors: Tensor, keep: Tensor) -> Damping:
    norms = torch.linalg.vector_norm(errors, dim=-1)
    largest, at = torch.cummax(torch.where(keep, norms, 0), -1)
    largest = largest.clamp(min=1e-30)
    ratio = (DAMPING_REACH * diagonal / largest).clamp(max=1)
    return Damping(ratio.square(), ratio, norms, largest, at)


def read_chunk(trace: Trace, initial: Weights, options: MemoryOptions) -> Tensor:
    """y_t = f(q_t; M_t), without forming M_t; leaves in ``trace`` what its adjoint needs."""
    x = trace.inputs
    path = x.coefficients.path * trace.steps.unsqueeze(-2)
    trace.query = read_hidden(trace, path, initial, options)
    last, gram = (x.q, trace.query.gram) if trace.query.a is None else (trace.query.a, trace.query.feature_gram)
    assert gram is not None
    beta, gamma = x.coefficients.beta.unsqueeze(-1), x.coefficients.gamma.unsqueeze(-1)
    y = (beta * torch.bmm(last, trace.weights[-1])).addcmul_(gamma, torch.bmm(last, trace.momentum[-1]))
    if options.rule == "bounded":
        y.addcmul_(1 - beta, torch.bmm(last, initial[-1]))
    return y.baddbmm_(path * gram, trace.errors, alpha=-1)


def read_hidden(trace: Trace, path: Tensor, initial: Weights, options: MemoryOptions) -> Query:
    """The read up to the output layer; ``path`` holds each token's weight in M_t, steps included."""
    x, hidden = trace.inputs, trace.hidden
    gram = torch.bmm(x.q, x.k.mT)
    if hidden is None:
        return Query(gram)
    beta, gamma = x.coefficients.beta.unsqueeze(-1), x.coefficients.gamma.unsqueeze(-1)
    z = torch.bmm(beta * x.q, trace.weights[0]).baddbmm_(gamma * x.q, trace.momentum[0])
    if options.rule == "bounded":
        z.baddbmm_((1 - beta) * x.q, initial[0])
    z.baddbmm_(path * gram, trace.deltas[0], alpha=-1)
    a = torch.nn.functional.silu(z)
    return Query(gram, z, a, torch.bmm(a, hidden.a.mT))


def close_chunk(
    trace: Trace, initial: Weights, options: MemoryOptions, *, inplace: bool = False
) -> tuple[Weights, Weights]:
    """M and S after the chunk's last token, before hidden layers are confined.

    ``inplace`` overwrites the opening state, which must then not be used again.
    """
    x, c = trace.inputs, trace.inputs.coefficients
    beta, gamma, decay = c.beta[:, -1, None, None], c.gamma[:, -1, None, None], c.momentum_decay[:, None, None]
    in_weights = (c.path[:, -1] * trace.steps).unsqueeze(-1)
    in_momentum = (c.momentum_row * trace.steps).unsqueeze(-1)
    weights, momentum = [], []
    for layer, (w, s) in enumerate(zip(trace.weights, trace.momentum, strict=True)):
        w_out, s_out = (w, s) if inplace else (torch.empty_like(w), torch.empty_like(s))
        if options.rule == "bounded":
            torch.lerp(initial[layer], w, beta, out=w_out)
        else:
            torch.mul(w, beta, out=w_out)
        w_out.addcmul_(gamma, s)
        torch.mul(s, decay, out=s_out)
        weights.append(_add_outer(w_out, trace, layer, in_weights))
        momentum.append(_add_outer(s_out, trace, layer, in_momentum))
    return tuple(weights), tuple(momentum)


def _add_outer(carried: Tensor, trace: Trace, layer: int, scale: Tensor) -> Tensor:
    """Add −Σ_i scale_i a_i ⊗ δ_i of one layer, in place."""
    if layer == len(trace.weights) - 1:
        return carried.baddbmm_(trace.last.mT, scale * trace.errors, alpha=-1)
    return carried.baddbmm_((scale * trace.inputs.k).mT, trace.deltas[layer], alpha=-1)
