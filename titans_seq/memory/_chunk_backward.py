"""The adjoint of one chunk, by hand, for memories of depth 1 and 2: `_chunk_forward` read backwards.

Second order, since the errors, their normaliser and the triangular solve are themselves functions of the
weights. The gradient of the loss with respect to x is named ``dx``, or x in a record of gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from titans_seq.memory._chunk_forward import Damping, Hidden, Kernel, Query, Right, Trace
from titans_seq.memory._gates import Before
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory.rules import DAMPING_REACH
from titans_seq.memory.state import Weights


class EndGradients(NamedTuple):
    """Gradients of what a chunk gives: reads, weights and momentum at its end, and ‖e_t‖ if it was asked for.

    ``skipped`` is the surprise gradient of tokens that the surprise threshold kept from being written.
    """

    y: Tensor
    weights: Weights
    momentum: Weights
    surprise: Tensor | None
    skipped: Tensor | None = None


@dataclass
class ChunkGradients:
    """Gradients of what a chunk takes, gathered part by part.

    ``path``, ``beta``, ``gamma``, ``momentum_row`` and ``momentum_decay`` belong to its coefficients; ``initial``
    is None where the initial weights need no gradient.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    base: Tensor
    path: Tensor
    beta: Tensor
    gamma: Tensor
    momentum_row: Tensor
    momentum_decay: Tensor
    weights: list[Tensor]
    momentum: list[Tensor]
    initial: list[Tensor] | None
    before: Before | None = None


@dataclass
class _Written:
    """Gradients of what the write made, while they gather: errors, steps, features and δ of the hidden layer."""

    errors: Tensor
    steps: Tensor
    a: Tensor
    delta: Tensor | None


def chunk_backward(
    trace: Trace, initial: Weights, options: MemoryOptions, end: EndGradients, initial_grads: list[Tensor] | None
) -> ChunkGradients:
    """Gradients of a chunk's tokens, coefficients and opening state.

    Those of the initial weights are added in place to ``initial_grads``, if given; ``end.weights`` and
    ``end.momentum`` are taken over and become those of the opening state.
    """
    bounded = options.rule == "bounded"
    grads = _empty_gradients(trace, end, initial_grads if bounded else None)
    written = _close_backward(trace, end, grads)
    _carry_backward(trace, initial if bounded else None, grads)
    _read_backward(trace, initial if bounded else None, end.y, written, grads)
    if end.surprise is not None:
        written.errors.addcmul_(_surprise_scale(trace, end.surprise).unsqueeze(-1), trace.errors)
    dslopes, ddamping = _delta_backward(trace, written, grads)
    dz: Tensor | None = None
    if bounded:
        dslopes, dz = _bounded_backward(trace, initial, written, dslopes, ddamping, grads)
    else:
        _titans_backward(trace, options.loss, written, grads)
    if trace.hidden is None:
        grads.k += written.a
    else:
        assert dslopes is not None
        _features_backward(trace, trace.hidden, written.a, dslopes, dz, grads)
    if end.skipped is not None:
        _skipped_backward(trace, end.skipped, grads)
    return grads


def _rowdot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of weight matrices, per group."""
    if len(a) == 1:
        return torch.dot(a.flatten(), b.flatten()).unsqueeze(0)
    return (a * b).sum((-2, -1))


def _add(total: list[Tensor] | None, layer: int, rows: Tensor, columns: Tensor) -> None:
    """Add rowsᵀ columns to a layer's gradient."""
    if total is not None:
        total[layer].baddbmm_(rows.mT, columns)


def _surprise_scale(trace: Trace, grad: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(trace.errors, dim=-1)
    return torch.where(trace.inputs.keep & (norms > 0), grad / norms.clamp(min=1e-30), 0)


def _skipped_backward(trace: Trace, grad: Tensor, grads: ChunkGradients) -> None:
    """‖f(k; W_0) − v‖ of tokens that were not written."""
    errors = torch.baddbmm(trace.inputs.v, trace.last, trace.weights[-1], beta=-1)
    norms = torch.linalg.vector_norm(errors, dim=-1)
    derrors = (grad / norms.clamp(min=1e-30)).unsqueeze(-1) * errors
    grads.v -= derrors
    _add(grads.weights, -1, trace.last, derrors)
    dlast = torch.bmm(derrors, trace.weights[-1].mT)
    if trace.hidden is not None:
        dz = dlast * trace.hidden.slopes
        _add(grads.weights, 0, trace.inputs.k, dz)
        dlast = torch.bmm(dz, trace.weights[0].mT)
    grads.k += dlast


def _empty_gradients(trace: Trace, end: EndGradients, initial_grads: list[Tensor] | None) -> ChunkGradients:
    x, c = trace.inputs, trace.inputs.coefficients
    zeros = torch.zeros_like
    return ChunkGradients(
        zeros(x.q), zeros(x.k), zeros(x.v), zeros(x.base), zeros(c.path), zeros(c.beta), zeros(c.gamma),
        zeros(c.momentum_row), zeros(c.momentum_decay), list(end.weights), list(end.momentum), initial_grads,
    )  # fmt: skip


def _carry_backward(trace: Trace, initial: Weights | None, grads: ChunkGradients) -> None:
    """What the chunk's end takes straight from its opening: β W_0 + (1−β) W_init + γ S_0, and Πη S_0; in place."""
    c = trace.inputs.coefficients
    beta, gamma, decay = c.beta[:, -1, None, None], c.gamma[:, -1, None, None], c.momentum_decay[:, None, None]
    for layer, (dw, ds) in enumerate(zip(grads.weights, grads.momentum, strict=True)):
        grads.beta[:, -1] += _dot(dw, trace.weights[layer])
        grads.gamma[:, -1] += _dot(dw, trace.momentum[layer])
        grads.momentum_decay += _dot(ds, trace.momentum[layer])
        if initial is not None:
            grads.beta[:, -1] -= _dot(dw, initial[layer])
        if grads.initial is not None:
            grads.initial[layer].addcmul_(1 - beta, dw)
        ds.mul_(decay).addcmul_(gamma, dw)
        dw.mul_(beta)


def _close_backward(trace: Trace, end: EndGradients, grads: ChunkGradients) -> _Written:
    """The gradients that the chunk's end has summed: −Σ_i u_i a_i ⊗ δ_i in the weights, −Σ_i w_i a_i ⊗ δ_i in S."""
    c, steps, errors, last = trace.inputs.coefficients, trace.steps, trace.errors, trace.last
    u, w = (c.path[:, -1] * steps).unsqueeze(-1), (c.momentum_row * steps).unsqueeze(-1)
    dw, ds = end.weights[-1], end.momentum[-1]
    in_w, in_s = torch.bmm(last, dw), torch.bmm(last, ds)
    da = torch.bmm(u * errors, dw.mT).baddbmm_(w * errors, ds.mT).neg_()
    written = _Written((u * in_w).addcmul_(w, in_s).neg_(), torch.zeros_like(steps), da, None)
    du, dw_row = _rowdot(errors, in_w), _rowdot(errors, in_s)
    if trace.hidden is not None:
        k, delta, dw, ds = trace.inputs.k, trace.deltas[0], end.weights[0], end.momentum[0]
        written.delta = torch.bmm(u * k, dw).baddbmm_(w * k, ds).neg_()
        to_w, to_s = torch.bmm(delta, dw.mT), torch.bmm(delta, ds.mT)
        grads.k.sub_((u * to_w).addcmul_(w, to_s))
        du += _rowdot(k, to_w)
        dw_row += _rowdot(k, to_s)
    grads.path[:, -1] -= du * steps
    grads.momentum_row -= dw_row * steps
    written.steps -= du * c.path[:, -1] + dw_row * c.momentum_row
    return written


def _read_backward(
    trace: Trace, initial: Weights | None, dy: Tensor, written: _Written, grads: ChunkGradients
) -> None:
    """y_t = f(q_t; M_t)."""
    x, query, steps = trace.inputs, trace.query, trace.steps.unsqueeze(-2)
    assert query is not None
    path = x.coefficients.path * steps
    gram = query.gram if query.feature_gram is None else query.feature_gram
    asked = x.q if query.a is None else query.a
    written.errors.baddbmm_((path * gram).mT, dy, alpha=-1)
    dentry = torch.bmm(dy, trace.errors.mT).neg_()
    dpath, dgram = dentry * gram, dentry * path
    dasked = _layer_backward(trace, initial, -1, asked, dy, grads).baddbmm_(dgram, trace.last)
    written.a.baddbmm_(dgram.mT, asked)
    if query.a is None:
        grads.q = dasked
    else:
        dpath += _read_hidden_backward(trace, initial, query, path, dasked, written, grads)
    grads.path.addcmul_(dpath, steps)
    written.steps += (dpath * x.coefficients.path).sum(-2)


def _read_hidden_backward(
    trace: Trace,
    initial: Weights | None,
    query: Query,
    path: Tensor,
    dasked: Tensor,
    written: _Written,
    grads: ChunkGradients,
) -> Tensor:
    x, delta = trace.inputs, trace.deltas[0]
    assert query.z is not None and written.delta is not None
    dz = torch.ops.aten.silu_backward(dasked, query.z)
    written.delta.baddbmm_((path * query.gram).mT, dz, alpha=-1)
    dentry = torch.bmm(dz, delta.mT).neg_()
    dgram = dentry * path
    grads.q = _layer_backward(trace, initial, 0, x.q, dz, grads).baddbmm_(dgram, x.k)
    grads.k.baddbmm_(dgram.mT, x.q)
    return dentry * query.gram


def _layer_backward(
    trace: Trace, initial: Weights | None, layer: int, asked: Tensor, dz: Tensor, grads: ChunkGradients
) -> Tensor:
    """z = β x W_0 + (1−β) x W_init + γ x S_0: gradient of x; those of the matrices and of β, γ are added."""
    c = trace.inputs.coefficients
    beta, gamma = c.beta.unsqueeze(-1), c.gamma.unsqueeze(-1)
    from_w, from_s = torch.bmm(dz, trace.weights[layer].mT), torch.bmm(dz, trace.momentum[layer].mT)
    grads.gamma += _rowdot(asked, from_s)
    dasked = (gamma * from_s).addcmul_(beta, from_w)
    # Rows are scaled on whichever side is head_dim wide.
    narrow = asked.shape[-1] <= dz.shape[-1]

    def add(total: list[Tensor] | None, scale: Tensor) -> None:
        _add(total, layer, *((scale * asked, dz) if narrow else (asked, scale * dz)))

    if initial is not None:
        from_i = torch.bmm(dz, initial[layer].mT)
        dasked.addcmul_(1 - beta, from_i)
        from_w -= from_i
        add(grads.initial, 1 - beta)
    grads.beta += _rowdot(asked, from_w)
    add(grads.weights, beta)
    add(grads.momentum, gamma)
    return dasked


def _delta_backward(
    trace: Trace, written: _Written, grads: ChunkGradients
) -> tuple[Tensor | None, Tensor | None]:
    """δ_1 = ((ρ e) W_2ᵀ) ∘ silu'(z_1): gradients of the slopes and of ρ."""
    hidden, kernel = trace.hidden, trace.kernel
    if hidden is None:
        return None, None
    assert written.delta is not None and trace.back is not None
    dslopes = written.delta * trace.back
    dback = written.delta * hidden.slopes
    _add(grads.weights, 1, dback, trace.damped_errors)
    ddamped = torch.bmm(dback, trace.weights[1])
    if kernel is None or kernel.damping is None:
        written.errors += ddamped
        return dslopes, None
    written.errors.addcmul_(kernel.damping.factor.unsqueeze(-1), ddamped)
    return dslopes, _rowdot(trace.errors, ddamped)


def _titans_backward(trace: Trace, loss: str, written: _Written, grads: ChunkGradients) -> None:
    grads.v -= written.errors
    grads.base += written.steps
    if loss == "l2":
        written.a.baddbmm_(written.errors, trace.weights[-1].mT)
        _add(grads.weights, -1, trace.last, written.errors)


def _bounded_backward(
    trace: Trace,
    initial: Weights,
    written: _Written,
    dslopes: Tensor | None,
    ddamping: Tensor | None,
    grads: ChunkGradients,
) -> tuple[Tensor | None, Tensor | None]:
    """Through the solve, its kernel and its right-hand side; gradients of slopes and z_1 at depth 2."""
    x, kernel, right = trace.inputs, trace.kernel, trace.right
    assert kernel is not None and right is not None and trace.system is not None
    dright = torch.linalg.solve_triangular(trace.system.mT, written.errors, upper=True, unitriangular=True)
    dsystem = torch.bmm(dright, trace.errors.mT).neg_().tril_(-1)
    by_kernel = dsystem * kernel.whole
    dpath = by_kernel * trace.steps.unsqueeze(-2)
    written.steps += (by_kernel * x.before.path).sum(-2)
    dkernel = dsystem.mul_(x.before.path).mul_(trace.steps.unsqueeze(-2))
    dscale = -written.steps * trace.steps / kernel.scale
    grads.base += written.steps / kernel.scale
    if trace.hidden is not None:
        assert ddamping is not None and dslopes is not None
        dright, dslopes = _kernel_backward(
            trace, trace.hidden, kernel, (dkernel, dscale, ddamping), dright, dslopes, written, grads
        )
    else:
        dkernel.diagonal(dim1=-2, dim2=-1).add_(dscale)
        written.a.baddbmm_(dkernel + dkernel.mT, trace.last)
    grads.v -= dright
    dbeta, dgamma, dslopes, dz = _right_backward(trace, initial, right, dright, dslopes, written, grads)
    grads.before = Before(dpath, dbeta, dgamma)
    return dslopes, dz


def _kernel_backward(
    trace: Trace,
    hidden: Hidden,
    kernel: Kernel,
    given: tuple[Tensor, Tensor, Tensor],
    dright: Tensor,
    dslopes: Tensor,
    written: _Written,
    grads: ChunkGradients,
) -> tuple[Tensor, Tensor]:
    """K = a aᵀ + ρ ∘ κ ∘ k kᵀ and the steps' normaliser; ``given`` are the gradients of K, scale and ρ."""
    dkernel, dscale, ddamping = given
    damping, inner, gram, kappa, norms = kernel.damping, kernel.inner, kernel.gram, kernel.kappa, hidden.row_norms
    assert damping is not None and inner is not None and gram is not None and kappa is not None and norms is not None
    dinner = dkernel * damping.factor.unsqueeze(-2)
    ddamping = ddamping + (dkernel * inner).sum(-2) + dscale * inner.diagonal(dim1=-2, dim2=-1)
    ddiagonal, dnorm = _damping_backward(damping, ddamping)
    dkernel.diagonal(dim1=-2, dim2=-1).add_(dscale + ddiagonal)
    dinner.diagonal(dim1=-2, dim2=-1).add_(damping.factor * dscale + ddiagonal)
    assert trace.right is not None
    dright = torch.addcmul(dright, dnorm.unsqueeze(-1), trace.right.errors)
    written.a.baddbmm_(dkernel + dkernel.mT, hidden.a)
    dkappa, dgram = dinner * gram, dinner * kappa
    grads.k.baddbmm_(dgram + dgram.mT, trace.inputs.k)
    both = torch.bmm(dkappa + dkappa.mT, hidden.slopes)
    dslopes = dslopes.addcmul_(norms.unsqueeze(-2), both)
    # κ is symmetric in its two rows: half of what both sides give; twice that, as norms are squares.
    grads.weights[1].addcmul_((hidden.slopes * both).sum(-2).unsqueeze(-1), trace.weights[1])
    return dright, dslopes


def _damping_backward(damping: Damping, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of K's diagonal, and of each error's norm over that norm."""
    droot = torch.where(damping.ratio < 1, 2 * damping.ratio * grad, 0)
    dlargest = -droot * damping.ratio / damping.largest
    dnorm = torch.zeros_like(grad).scatter_add_(-1, damping.largest_at, dlargest)
    return droot * DAMPING_REACH / damping.largest, dnorm / damping.norms.clamp(min=1e-30)


def _right_backward(
    trace: Trace,
    initial: Weights,
    right: Right,
    dright: Tensor,
    dslopes: Tensor | None,
    written: _Written,
    grads: ChunkGradients,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """R = first W_L + (1−β⁻) a W_init + γ⁻ a S − v: gradients of β⁻, γ⁻, the slopes and z_1."""
    before, last = trace.inputs.before, trace.last
    beta, gamma = before.beta.unsqueeze(-1), before.gamma.unsqueeze(-1)
    by_return, by_momentum = (1 - beta) * dright, gamma * dright
    dfirst = torch.bmm(dright, trace.weights[-1].mT)
    written.a.baddbmm_(by_momentum, trace.momentum[-1].mT).baddbmm_(by_return, initial[-1].mT).addcmul_(beta, dfirst)
    dbeta = _rowdot(last, dfirst) - _rowdot(right.initial, dright)
    dgamma = _rowdot(right.momentum, dright)
    _add(grads.weights, -1, right.first, dright)
    _add(grads.momentum, -1, last, by_momentum)
    _add(grads.initial, -1, last, by_return)
    if trace.hidden is None:
        return dbeta, dgamma, None, None
    assert dslopes is not None and trace.hidden.motion is not None
    dslopes.addcmul_(dfirst, trace.hidden.motion)
    motion_beta, motion_gamma, dz = _motion_backward(trace, initial, dfirst.mul_(trace.hidden.slopes), grads)
    return dbeta + motion_beta, dgamma + motion_gamma, dslopes, dz


def _motion_backward(
    trace: Trace, initial: Weights, dmotion: Tensor, grads: ChunkGradients
) -> tuple[Tensor, Tensor, Tensor]:
    """motion = γ⁻ k S_1 + (1−β⁻) (k W_init,1 − z_1): gradients of β⁻, γ⁻ and z_1."""
    assert trace.hidden is not None
    k, before = trace.inputs.k, trace.inputs.before
    gamma, returned = before.gamma.unsqueeze(-1), 1 - before.beta.unsqueeze(-1)
    from_s, from_i = torch.bmm(dmotion, trace.momentum[0].mT), torch.bmm(dmotion, initial[0].mT)
    grads.k.addcmul_(gamma, from_s).addcmul_(returned, from_i)
    _add(grads.momentum, 0, gamma * k, dmotion)
    _add(grads.initial, 0, returned * k, dmotion)
    dbeta = _rowdot(trace.hidden.z, dmotion) - _rowdot(k, from_i)
    return dbeta, _rowdot(k, from_s), -returned * dmotion


def _features_backward(
    trace: Trace, hidden: Hidden, da: Tensor, dslopes: Tensor, dz: Tensor | None, grads: ChunkGradients
) -> None:
    """a = silu(z), slopes = silu'(z), z = k W_1; silu'' = (1 − σ)(2 silu' − silu)."""
    curvature = torch.sigmoid(-hidden.z).mul_(torch.sub(2 * hidden.slopes, hidden.a))
    dz = da * hidden.slopes if dz is None else dz.addcmul_(da, hidden.slopes)
    dz.addcmul_(dslopes, curvature)
    grads.k.baddbmm_(dz, trace.weights[0].mT)
    _add(grads.weights, 0, trace.inputs.k, dz)
