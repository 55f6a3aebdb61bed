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
from titans_seq.memory._scaled import ScaledTokens
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

    ``path`` to ``momentum_decay`` belong to its coefficients and ``before`` to those before each token; ``k`` is
    what does not pass through ``scaled``, ``gram`` or ``query_gram``. ``initial`` is None where not needed.
    """

    k: Tensor
    v: Tensor
    base: Tensor
    path: Tensor
    beta: Tensor
    gamma: Tensor
    momentum_row: Tensor
    momentum_decay: Tensor
    query_gram: Tensor
    weights: list[Tensor]
    momentum: list[Tensor]
    initial: list[Tensor] | None
    gram: Tensor | None = None
    scaled: ScaledTokens | None = None
    before: Before | None = None


@dataclass
class _Written:
    """Gradients of what the write made, while they gather.

    ``a`` are the hidden layer's features, None at depth 1. ``rows`` (groups, rows, out) are those of the first
    layer's products: keys moved by momentum (rule "bounded" only), queries, keys.
    """

    errors: Tensor
    steps: Tensor
    rows: Tensor
    a: Tensor | None = None
    delta: Tensor | None = None

    def moved(self, size: int) -> Tensor:
        """Rows of the keys as momentum and the initial weights move them."""
        return self.rows[:, :size]

    def queries(self, size: int) -> Tensor:
        """Rows of the queries."""
        return self.rows[:, -2 * size : -size]

    def keys(self, size: int) -> Tensor:
        """Rows of the keys at the opening weights."""
        return self.rows[:, -size:]


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
    if trace.hidden is None:
        _errors_backward(trace, options, written, grads)
    else:
        _hidden_errors_backward(trace, trace.hidden, initial, options, written, grads)
    if end.skipped is not None:
        _skipped_backward(trace, end.skipped, written, grads)
    _first_layer_backward(trace, initial[0] if bounded else None, written, grads)
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


def _skipped_backward(trace: Trace, grad: Tensor, written: _Written, grads: ChunkGradients) -> None:
    """‖f(k; W_0) − v‖ of tokens that were not written."""
    x = trace.inputs
    errors = torch.baddbmm(x.v, trace.last, trace.weights[-1], beta=-1)
    norms = torch.linalg.vector_norm(errors, dim=-1)
    derrors = (grad / norms.clamp(min=1e-30)).unsqueeze(-1) * errors
    grads.v -= derrors
    _add(grads.weights, -1, trace.last, derrors)
    dlast = torch.bmm(derrors, trace.weights[-1].mT)
    if trace.hidden is not None:
        dz = dlast * trace.hidden.slopes
        _add(grads.weights, 0, x.k, dz)
        dlast = torch.bmm(dz, trace.weights[0].mT)
    grads.k += dlast


def _empty_gradients(trace: Trace, end: EndGradients, initial_grads: list[Tensor] | None) -> ChunkGradients:
    x, zeros = trace.inputs, torch.zeros_like
    return ChunkGradients(
        zeros(x.k), zeros(x.v), zeros(x.base), zeros(x.path), zeros(x.base), zeros(x.base), zeros(x.base),
        x.base.new_zeros(len(x.base)), zeros(x.path), list(end.weights), list(end.momentum), initial_grads,
    )  # fmt: skip


def _carry_backward(trace: Trace, initial: Weights | None, grads: ChunkGradients) -> None:
    """What the chunk's end takes straight from its opening: β W_0 + (1−β) W_init + γ S_0, and Πη S_0; in place."""
    x = trace.inputs
    for layer, (dw, ds) in enumerate(zip(grads.weights, grads.momentum, strict=True)):
        grads.beta[:, -1] += _dot(dw, trace.weights[layer])
        grads.gamma[:, -1] += _dot(dw, trace.momentum[layer])
        grads.momentum_decay += _dot(ds, trace.momentum[layer])
        if initial is not None:
            grads.beta[:, -1] -= _dot(dw, initial[layer])
        if grads.initial is not None:
            grads.initial[layer].addcmul_(1 - x.end_beta, dw)
        ds.mul_(x.end_decay).addcmul_(x.end_gamma, dw)
        dw.mul_(x.end_beta)


def _close_backward(trace: Trace, end: EndGradients, grads: ChunkGradients) -> _Written:
    """The gradients that the chunk's end has summed: −Σ_i u_i a_i ⊗ δ_i in the weights, −Σ_i w_i a_i ⊗ δ_i in S."""
    x, steps, errors = trace.inputs, trace.steps, trace.errors
    u, w = (x.end_path * -steps).unsqueeze(-1), (x.end_momentum * -steps).unsqueeze(-1)
    dw, ds = end.weights[-1], end.momentum[-1]
    in_w, in_s = torch.bmm(trace.last, dw), torch.bmm(trace.last, ds)
    dlast = torch.bmm(u * errors, dw.mT).baddbmm_(w * errors, ds.mT)
    du, dw_row = _rowdot(errors, in_w), _rowdot(errors, in_s)
    written = _Written((u * in_w).addcmul_(w, in_s), torch.zeros_like(steps), _first_rows(trace))
    if trace.hidden is None:
        grads.k += dlast
    else:
        k, delta, dw, ds = x.k, trace.deltas[0], end.weights[0], end.momentum[0]
        written.a = dlast
        written.delta = torch.bmm(u * k, dw).baddbmm_(w * k, ds)
        to_w, to_s = torch.bmm(delta, dw.mT), torch.bmm(delta, ds.mT)
        grads.k.addcmul_(u, to_w).addcmul_(w, to_s)
        du += _rowdot(k, to_w)
        dw_row += _rowdot(k, to_s)
    grads.path[:, -1] -= du * steps
    grads.momentum_row -= dw_row * steps
    written.steps -= du * x.end_path + dw_row * x.end_momentum
    return written


def _first_rows(trace: Trace) -> Tensor:
    x = trace.inputs
    groups, size, _ = x.q.shape
    return x.q.new_empty(groups, (2 if x.by_initial is None else 3) * size, trace.weights[0].shape[-1])


def _read_backward(trace: Trace, initial: Weights | None, dy: Tensor, written: _Written, grads: ChunkGradients) -> None:
    """y_t = f(q_t; M_t), down to the queries' products with the first layer."""
    x, query, hidden, steps = trace.inputs, trace.query, trace.hidden, trace.steps.unsqueeze(-2)
    path, dqueries = x.path * steps, written.queries(x.q.shape[1])
    if hidden is None:
        dqueries.copy_(dy)
        dpath = _entries_backward(path, x.query_gram, trace.errors, dy, written.errors, grads.query_gram)
    else:
        assert query is not None and written.a is not None and written.delta is not None
        dgram = torch.zeros_like(path)
        dpath = _entries_backward(path, query.feature_gram, trace.errors, dy, written.errors, dgram)
        dasked = _output_backward(trace, initial, query, dy, grads).baddbmm_(dgram, hidden.a)
        written.a.baddbmm_(dgram.mT, query.a)
        torch.ops.aten.silu_backward.grad_input(dasked, query.z, grad_input=dqueries)
        dpath += _entries_backward(path, x.query_gram, trace.deltas[0], dqueries, written.delta, grads.query_gram)
    grads.path.addcmul_(dpath, steps)
    written.steps += (dpath * x.path).sum(-2)


def _entries_backward(path: Tensor, gram: Tensor, delta: Tensor, dout: Tensor, ddelta: Tensor, dgram: Tensor) -> Tensor:
    """Out = −(path ∘ gram) δ: adds to the gradients of δ and gram, returns that of path."""
    ddelta.baddbmm_((path * gram).mT, dout, alpha=-1)
    dentry = torch.bmm(dout, delta.mT).neg_()
    dgram.addcmul_(dentry, path)
    return dentry.mul_(gram)


def _output_backward(trace: Trace, initial: Weights | None, query: Query, dy: Tensor, grads: ChunkGradients) -> Tensor:
    """Y = β a W_0 + (1−β) a W_init + γ a S_0 of the output layer at depth 2: gradient of a, the rest is added."""
    x, a = trace.inputs, query.a
    from_w, from_s = torch.bmm(dy, trace.weights[1].mT), torch.bmm(dy, trace.momentum[1].mT)
    grads.gamma += _rowdot(a, from_s)
    da = (x.gamma * from_s).addcmul_(x.beta, from_w)
    if initial is not None:
        from_i = torch.bmm(dy, initial[1].mT)
        da.addcmul_(x.returned, from_i)
        from_w -= from_i
        _add(grads.initial, 1, a, x.returned * dy)
    grads.beta += _rowdot(a, from_w)
    _add(grads.weights, 1, a, x.beta * dy)
    _add(grads.momentum, 1, a, x.gamma * dy)
    return da


def _errors_backward(trace: Trace, options: MemoryOptions, written: _Written, grads: ChunkGradients) -> None:
    """Depth 1: errors down to the keys' products with the matrix."""
    size = trace.inputs.q.shape[1]
    if options.rule == "titans":
        grads.v -= written.errors
        grads.base += written.steps
        written.keys(size).copy_(written.errors if options.loss == "l2" else torch.zeros_like(written.errors))
        return
    assert trace.kernel is not None
    dright, dkernel, dscale, dpath = _solve_backward(trace, trace.kernel, written, grads)
    dkernel.diagonal(dim1=-2, dim2=-1).add_(dscale)
    grads.gram = dkernel
    grads.v -= dright
    written.moved(size).copy_(dright)
    written.keys(size).copy_(dright)
    grads.before = Before(dpath, torch.zeros_like(dscale), torch.zeros_like(dscale))


def _hidden_errors_backward(
    trace: Trace, hidden: Hidden, initial: Weights, options: MemoryOptions, written: _Written, grads: ChunkGradients
) -> None:
    """Depth 2: errors and δ down to the keys' products with the first layer."""
    size = trace.inputs.q.shape[1]
    dslopes, ddamping = _delta_backward(trace, hidden, written, grads)
    assert written.a is not None
    dz = written.keys(size)
    if options.rule == "titans":
        grads.v -= written.errors
        grads.base += written.steps
        if options.loss == "l2":
            written.a.baddbmm_(written.errors, trace.weights[1].mT)
            _add(grads.weights, 1, hidden.a, written.errors)
        torch.mul(written.a, hidden.slopes, out=dz)
    else:
        assert trace.kernel is not None and trace.right is not None and ddamping is not None
        dright, dkernel, dscale, dpath = _solve_backward(trace, trace.kernel, written, grads)
        given = (dkernel, dscale, ddamping)
        dright = _kernel_backward(trace, hidden, trace.kernel, given, dright, dslopes, written.a, grads)
        grads.v -= dright
        dbeta, dgamma = _right_backward(trace, hidden, initial, trace.right, dright, dslopes, written, grads)
        grads.before = Before(dpath, dbeta, dgamma)
        dz.addcmul_(written.a, hidden.slopes)
    # silu'' = (1 − σ)(2 silu' − silu)
    half = torch.sub(hidden.slopes, hidden.a, alpha=0.5)
    dz.addcmul_(dslopes, half.addcmul_(half, hidden.sigmoid, value=-1), value=2)


def _delta_backward(
    trace: Trace, hidden: Hidden, written: _Written, grads: ChunkGradients
) -> tuple[Tensor, Tensor | None]:
    """δ_1 = ((ρ e) W_2ᵀ) ∘ silu'(z_1): gradients of the slopes and of ρ."""
    assert written.delta is not None and trace.back is not None
    dslopes = written.delta * trace.back
    dback = written.delta.mul_(hidden.slopes)
    _add(grads.weights, 1, dback, trace.damped_errors)
    ddamped = torch.bmm(dback, trace.weights[1])
    if trace.kernel is None or trace.kernel.damping is None:
        written.errors += ddamped
        return dslopes, None
    written.errors.addcmul_(trace.kernel.damping.factor.unsqueeze(-1), ddamped)
    return dslopes, _rowdot(trace.errors, ddamped)


def _solve_backward(
    trace: Trace, kernel: Kernel, written: _Written, grads: ChunkGradients
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(I + path⁻ τ ∘ K) E = R and τ = base / scale: gradients of R, K, scale and path⁻."""
    x, steps = trace.inputs, trace.steps.unsqueeze(-2)
    assert trace.system is not None
    dright = torch.linalg.solve_triangular(trace.system.mT, written.errors, upper=True, unitriangular=True)
    dsystem = torch.bmm(dright, trace.errors.mT).neg_().tril_(-1)
    by_kernel = dsystem * kernel.whole
    written.steps += (by_kernel * x.before_path).sum(-2)
    dkernel = dsystem.mul_(x.before_path).mul_(steps)
    dbase = written.steps / kernel.scale
    grads.base += dbase
    return dright, dkernel, -dbase * trace.steps, by_kernel.mul_(steps)


def _kernel_backward(
    trace: Trace,
    hidden: Hidden,
    kernel: Kernel,
    given: tuple[Tensor, Tensor, Tensor],
    dright: Tensor,
    dslopes: Tensor,
    da: Tensor,
    grads: ChunkGradients,
) -> Tensor:
    """K = a aᵀ + ρ ∘ κ ∘ k kᵀ and the steps' normaliser; ``given`` are the gradients of K, scale and ρ.

    Returns the gradient of R with what comes through the damping; the others are added.
    """
    dkernel, dscale, ddamping = given
    damping, inner, kappa, norms = kernel.damping, kernel.inner, kernel.kappa, hidden.row_norms
    assert damping is not None and inner is not None and kappa is not None and norms is not None
    assert trace.right is not None
    dinner = dkernel * damping.factor.unsqueeze(-2)
    ddamping = ddamping + (dkernel * inner).sum(-2) + dscale * inner.diagonal(dim1=-2, dim2=-1)
    ddiagonal, dnorm = _damping_backward(damping, ddamping)
    dkernel.diagonal(dim1=-2, dim2=-1).add_(dscale + ddiagonal)
    dinner.diagonal(dim1=-2, dim2=-1).add_(damping.factor * dscale + ddiagonal)
    da.baddbmm_(dkernel + dkernel.mT, hidden.a)
    grads.gram = dinner * kappa
    dkappa = dinner.mul_(trace.inputs.gram)
    both = torch.bmm(dkappa + dkappa.mT, hidden.slopes)
    dslopes.addcmul_(norms.unsqueeze(-2), both)
    # κ is symmetric in its two rows: half of what both sides give; twice that, as norms are squares.
    grads.weights[1].addcmul_(both.mul_(hidden.slopes).sum(-2).unsqueeze(-1), trace.weights[1])
    return torch.addcmul(dright, dnorm.unsqueeze(-1), trace.right.errors)


def _damping_backward(damping: Damping, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of K's diagonal, and of each error's norm over that norm."""
    droot = torch.where(damping.ratio < 1, 2 * damping.ratio * grad, 0)
    dlargest = -droot * damping.ratio / damping.largest
    dnorm = torch.zeros_like(grad).scatter_add_(-1, damping.largest_at, dlargest)
    return droot * DAMPING_REACH / damping.largest, dnorm / damping.norms.clamp(min=1e-30)


def _right_backward(
    trace: Trace,
    hidden: Hidden,
    initial: Weights,
    right: Right,
    dright: Tensor,
    dslopes: Tensor,
    written: _Written,
    grads: ChunkGradients,
) -> tuple[Tensor, Tensor]:
    """R = (β⁻ a + motion ∘ slopes) W_2 + (1−β⁻) a W_init + γ⁻ a S − v, motion = moved − (1−β⁻) z: β⁻ and γ⁻."""
    x, a, size = trace.inputs, hidden.a, dright.shape[1]
    assert right.first is not None and right.initial is not None and right.momentum is not None
    assert written.a is not None and hidden.motion is not None
    by_return, by_momentum = x.before_returned * dright, x.before_gamma * dright
    dfirst = torch.bmm(dright, trace.weights[1].mT)
    written.a.baddbmm_(by_momentum, trace.momentum[1].mT).baddbmm_(by_return, initial[1].mT)
    written.a.addcmul_(x.before_beta, dfirst)
    _add(grads.weights, 1, right.first, dright)
    _add(grads.momentum, 1, a, by_momentum)
    _add(grads.initial, 1, a, by_return)
    dslopes.addcmul_(dfirst, hidden.motion)
    dmotion, dz = written.moved(size), written.keys(size)
    dbeta = _rowdot(a, dfirst) - _rowdot(right.initial, dright)
    torch.mul(dfirst, hidden.slopes, out=dmotion)
    torch.mul(dmotion, -x.before_returned, out=dz)
    return dbeta + _rowdot(hidden.z, dmotion), _rowdot(right.momentum, dright)


def _first_layer_backward(trace: Trace, initial: Tensor | None, written: _Written, grads: ChunkGradients) -> None:
    """The first layer's products of keys and queries, each matrix in one product for both."""
    x, size = trace.inputs, trace.inputs.q.shape[1]
    by_weights, by_momentum = written.rows[:, -2 * size :], written.rows[:, :-size]
    dinitial = None
    if initial is not None and x.by_initial is not None:
        dinitial = torch.bmm(by_momentum, initial.mT)
        _add(grads.initial, 0, x.by_initial, by_momentum)
    grads.scaled = ScaledTokens(
        torch.bmm(by_weights, trace.weights[0].mT), torch.bmm(by_momentum, trace.momentum[0].mT), dinitial
    )
    _add(grads.weights, 0, x.by_weights, by_weights)
    _add(grads.momentum, 0, x.by_momentum, by_momentum)
