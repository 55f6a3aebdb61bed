"""Adjoint of the state: the only kernels that walk a segment chunk by chunk, from its end to its start.

They hold no more than the recurrence needs: what a chunk's end state sends to its errors, through the solve and
the steps, to its opening state. Entry n of the state gradients holds on entry what the reads of chunk n ask of
its opening state (entry N: what is asked of the segment's end), and on return the whole gradient of the state
that chunk n opens with, before its confinement.
"""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import before, silu_curvature
from titans_seq.memory.kernels._blocks_backward import (
    dot,
    load_block,
    load_row,
    load_transposed,
    silu_of,
    slope_of,
    store_block,
    store_transposed,
)


@triton.jit
def _release(weights, momentum, init, weights_grad, momentum_grad, init_grad, factor, SIZE: tl.constexpr):
    """Take one hidden layer's gradients back through its confinement, in place; add the initial weights' part.

    W = I + f (W' − I) and S = f S' with f = radius / ‖W' − I‖, radius = ‖I‖ / 2.
    """
    BLOCK: tl.constexpr = 1024
    index = tl.arange(0, BLOCK)
    asked = tl.zeros((BLOCK,), dtype=tl.float32)
    distance = tl.zeros((BLOCK,), dtype=tl.float32)
    for first in range(0, SIZE, BLOCK):
        cell = first + index
        inside = cell < SIZE
        moved = tl.load(weights + cell, mask=inside, other=0.0) - tl.load(init + cell, mask=inside, other=0.0)
        asked += moved * tl.load(weights_grad + cell, mask=inside, other=0.0)
        asked += tl.load(momentum + cell, mask=inside, other=0.0) * tl.load(
            momentum_grad + cell, mask=inside, other=0.0
        )
        distance += moved * moved
    factor_grad = tl.sum(asked, 0)
    distance_squared = tl.sum(distance, 0)
    along = factor * factor_grad / distance_squared
    # radius' = ½ I / ‖I‖ and ‖I‖ = 2 f ‖W' − I‖; an initial layer of zeros has no radius to change.
    live = factor > 0.0
    outward = tl.where(live, 0.25 * factor_grad / (tl.where(live, factor, 1.0) * distance_squared), 0.0)
    tl.debug_barrier()
    for first in range(0, SIZE, BLOCK):
        cell = first + index
        inside = cell < SIZE
        start = tl.load(init + cell, mask=inside, other=0.0)
        grad = tl.load(weights_grad + cell, mask=inside, other=0.0)
        freed = factor * grad - along * (tl.load(weights + cell, mask=inside, other=0.0) - start)
        tl.store(weights_grad + cell, freed, mask=inside)
        calmed = factor * tl.load(momentum_grad + cell, mask=inside, other=0.0)
        tl.store(momentum_grad + cell, calmed, mask=inside)
        so_far = tl.load(init_grad + cell, mask=inside, other=0.0)
        tl.store(init_grad + cell, so_far + grad - freed + outward * start, mask=inside)
    tl.debug_barrier()


@triton.jit
def _close_hidden(
    k,
    path_end,
    momentum_row,
    steps,
    hidden,
    back,
    w2,
    w1_grad,
    s1_grad,
    delta_grad,
    forward,
    close_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """What the hidden layer at the chunk's end asks of its tokens: completes the deltas' gradient.

    ``forward`` gets that gradient sent on to the errors, ``close_grad`` those of the deltas' shares in W and S.
    """
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    step = load_row(steps, rows)
    share, momentum_share = load_row(path_end, rows) * step, load_row(momentum_row, rows) * step
    share_grad = tl.zeros((B,), dtype=tl.float32)
    momentum_share_grad = tl.zeros((B,), dtype=tl.float32)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        delta = load_block(back, rows, columns, B, E) * slope_of(load_block(hidden, rows, columns, B, E))
        key = load_block(k, rows, dims, B, D)
        asked = dot(key, load_block(w1_grad, dims, columns, D, E), PRECISION)
        share_grad -= tl.sum(delta * asked, 1)
        grad = load_block(delta_grad, rows, columns, B, E) - share[:, None] * asked
        asked = dot(key, load_block(s1_grad, dims, columns, D, E), PRECISION)
        momentum_share_grad -= tl.sum(delta * asked, 1)
        grad -= momentum_share[:, None] * asked
        tl.debug_barrier()
        store_block(delta_grad, rows, columns, grad, B, E)
    tl.debug_barrier()
    sent = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        grad = load_block(delta_grad, rows, columns, B, E)
        grad *= slope_of(load_block(hidden, rows, columns, B, E))
        sent += dot(grad, load_block(w2, columns, dims, E, D), PRECISION)
    store_block(forward, rows, dims, sent, B, D)
    tl.store(close_grad + rows, share_grad)
    tl.store(close_grad + B + rows, momentum_share_grad)


@triton.jit
def _close_output(
    errors,
    path_end,
    momentum_row,
    steps,
    hidden,
    w2_grad,
    s2_grad,
    feature_grad,
    errors_grad,
    close_grad,
    steps_grad,
    base_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """What the output layer at the chunk's end asks of its tokens: of their features, errors and shares.

    ``base_grad`` gets the gradient of the steps as far as reads and the chunk's end give it.
    """
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    step = load_row(steps, rows)
    share, momentum_share = load_row(path_end, rows) * step, load_row(momentum_row, rows) * step
    share_grad = load_row(close_grad, rows)
    momentum_share_grad = load_row(close_grad + B, rows)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        feature = silu_of(load_block(hidden, rows, columns, B, E))
        error = load_block(errors, rows, dims, B, D)
        asked = dot(error, tl.trans(load_block(w2_grad, columns, dims, E, D)), PRECISION)
        share_grad -= tl.sum(feature * asked, 1)
        grad = load_block(feature_grad, rows, columns, B, E) - share[:, None] * asked
        asked = dot(error, tl.trans(load_block(s2_grad, columns, dims, E, D)), PRECISION)
        momentum_share_grad -= tl.sum(feature * asked, 1)
        grad -= momentum_share[:, None] * asked
        tl.debug_barrier()
        store_block(feature_grad, rows, columns, grad, B, E)
    to_error = load_block(errors_grad, rows, dims, B, D)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        feature = silu_of(load_block(hidden, rows, columns, B, E))
        closing = load_block(w2_grad, columns, dims, E, D)
        to_error -= share[:, None] * dot(feature, closing, PRECISION)
        closing = load_block(s2_grad, columns, dims, E, D)
        to_error -= momentum_share[:, None] * dot(feature, closing, PRECISION)
    tl.debug_barrier()
    store_block(errors_grad, rows, dims, to_error, B, D)
    tl.store(close_grad + rows, share_grad)
    tl.store(close_grad + B + rows, momentum_share_grad)
    step_grad = load_row(steps_grad, rows) + share_grad * load_row(path_end, rows)
    tl.store(base_grad + rows, step_grad + momentum_share_grad * load_row(momentum_row, rows))


@triton.jit
def _solve_backward(
    errors,
    errors_grad,
    forward,
    inverse,
    damping,
    right_grad,
    damping_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradient of R as far as the solve gives it, (I + L)^-T times that of the errors; begins that of the damping."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    sent = load_block(forward, rows, dims, B, D)
    tl.store(damping_grad + rows, tl.sum(load_block(errors, rows, dims, B, D) * sent, 1))
    grad = load_block(errors_grad, rows, dims, B, D) + load_row(damping, rows)[:, None] * sent
    solver = load_block(inverse, rows, rows, B, B)
    store_block(right_grad, rows, dims, dot(tl.trans(solver), grad, PRECISION), B, D)


@triton.jit
def _system_backward(
    errors,
    path,
    steps,
    tangent,
    hidden_tangent,
    norms,
    right_grad,
    damping_grad,
    base_grad,
    path_before_grad,
    tangent_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """From the solve to its matrix L = P- τ K: gradients of P-, of the base steps, and of K below its diagonal."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    step = load_row(steps, rows)
    damp_grad, step_grad = load_row(damping_grad, rows), load_row(base_grad, rows)
    error = load_block(errors, rows, dims, B, D)
    grad = dot(load_block(right_grad, rows, dims, B, D), tl.trans(error), PRECISION)
    grad = tl.where(rows[:, None] > rows[None, :], -grad, 0.0)
    reach = tl.load(path + (rows[:, None] - 1) * B + rows[None, :], mask=rows[:, None] > 0, other=0.0)
    before_grad = grad * load_block(tangent, rows, rows, B, B)
    step_grad += tl.sum(before_grad * reach, 0)
    store_block(path_before_grad, rows, rows, before_grad * step[None, :], B, B)
    grad *= reach * step[None, :]
    store_block(tangent_grad, rows, rows, grad, B, B)
    damp_grad += tl.sum(grad * load_block(hidden_tangent, rows, rows, B, B), 0)
    step_grad /= load_row(norms, rows) + 1e-6
    tl.debug_barrier()
    tl.store(base_grad + rows, step_grad)
    tl.store(damping_grad + rows, damp_grad - step_grad * step * load_row(norms + B, rows))


@triton.jit
def _damping_backward(
    right,
    damping,
    norms,
    right_grad,
    damping_grad,
    total_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """ρ = (4 n / x)² where that is below 1, with x the largest ‖R_i‖ so far: gradients of n, and the rest of R's."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    damp = load_row(damping, rows)
    size, largest = load_row(norms + 2 * B, rows), load_row(norms + 3 * B, rows)
    grad = tl.where(damp < 1.0, 2.0 * tl.sqrt(damp) * load_row(damping_grad, rows), 0.0)
    grad /= tl.maximum(largest, 1e-30)
    tl.store(total_grad + rows, 4.0 * grad)
    # The largest belongs to the earliest row that reached it.
    record = size > before(norms + 3 * B, rows, -1.0)
    owner = (rows[:, None] >= rows[None, :]) & (largest[:, None] == size[None, :]) & record[None, :]
    size_grad = -tl.sum(tl.where(owner, (grad * tl.sqrt(damp))[:, None], 0.0), 0)
    size_grad = tl.where(size > 0.0, size_grad / tl.where(size > 0.0, size, 1.0), 0.0)
    to_right = load_block(right_grad, rows, dims, B, D)
    to_right += size_grad[:, None] * load_block(right, rows, dims, B, D)
    tl.debug_barrier()
    store_block(right_grad, rows, dims, to_right, B, D)


@triton.jit
def _tangent_backward(
    steps,
    damping,
    base_grad,
    total_grad,
    key_kernel,
    tangent_grad,
    feature_pairs,
    slope_pairs,
    B: tl.constexpr,
):
    """The tangent kernel's gradient with its diagonal, parted into those of its output and its hidden part.

    The first two serve as factors of features and slopes, symmetric; ``tangent_grad`` keeps the hidden part's.
    """
    rows = tl.arange(0, B)
    damp = load_row(damping, rows)
    own_grad = -load_row(base_grad, rows) * load_row(steps, rows)
    total = load_row(total_grad, rows)
    own = rows[:, None] == rows[None, :]
    grad = load_block(tangent_grad, rows, rows, B, B)
    both = grad + tl.where(own, (own_grad + total)[:, None], 0.0)
    store_block(feature_pairs, rows, rows, both + tl.trans(both), B, B)
    grad = grad * damp[None, :] + tl.where(own, (damp * own_grad + total)[:, None], 0.0)
    tl.debug_barrier()
    store_block(tangent_grad, rows, rows, grad, B, B)
    grad *= load_block(key_kernel, rows, rows, B, B)
    store_block(slope_pairs, rows, rows, grad + tl.trans(grad), B, B)


@triton.jit
def _right_backward(
    beta,
    gamma,
    w2,
    s2,
    i2,
    right_grad,
    right_back,
    feature_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """R's gradient through the output layer, at its opening weights (kept in ``right_back``) and to the features."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        grad = load_block(right_grad, rows, dims, B, D)
        sent = dot(grad, tl.trans(load_block(w2, columns, dims, E, D)), PRECISION)
        store_block(right_back, rows, columns, sent, B, E)
        beta_before = before(beta, rows, 1.0)[:, None]
        to_feature = load_block(feature_grad, rows, columns, B, E) + beta_before * sent
        sent = dot(grad, tl.trans(load_block(i2, columns, dims, E, D)), PRECISION)
        to_feature += (1.0 - beta_before) * sent
        sent = dot(grad, tl.trans(load_block(s2, columns, dims, E, D)), PRECISION)
        to_feature += before(gamma, rows, 0.0)[:, None] * sent
        tl.debug_barrier()
        store_block(feature_grad, rows, columns, to_feature, B, E)


@triton.jit
def _hidden_backward(
    beta,
    w2,
    hidden,
    back,
    motion,
    right_back,
    delta_grad,
    feature_grad,
    feature_pairs,
    slope_pairs,
    w2_grad,
    z_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """From features and slopes to the hidden layer's z, and the norms' part of the output layer's gradient."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        z = load_block(hidden, rows, columns, B, E)
        slope = slope_of(z)
        slopes_grad = dot(load_block(slope_pairs, rows, rows, B, B), slope, PRECISION)
        opening = load_block(w2, columns, dims, E, D)
        # r_j = ‖W2[j]‖² takes ½ Σ_t slope ∘ slopes_grad, and W2[j] twice that.
        grad = load_block(w2_grad, columns, dims, E, D)
        grad += tl.sum(slope * slopes_grad, 0)[:, None] * opening
        tl.debug_barrier()
        store_block(w2_grad, columns, dims, grad, E, D)
        to_slope = tl.sum(opening * opening, 1)[None, :] * slopes_grad
        to_slope += load_block(delta_grad, rows, columns, B, E) * load_block(back, rows, columns, B, E)
        to_slope += load_block(right_back, rows, columns, B, E) * load_block(motion, rows, columns, B, E)
        store_block(z_grad, rows, columns, to_slope * silu_curvature(z), B, E)
    tl.debug_barrier()
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        z = load_block(hidden, rows, columns, B, E)
        to_feature = dot(load_block(feature_pairs, rows, rows, B, B), silu_of(z), PRECISION)
        to_feature += load_block(feature_grad, rows, columns, B, E)
        forgotten = (1.0 - before(beta, rows, 1.0))[:, None]
        to_feature -= forgotten * load_block(right_back, rows, columns, B, E)
        grad = load_block(z_grad, rows, columns, B, E) + to_feature * slope_of(z)
        tl.debug_barrier()
        store_block(z_grad, rows, columns, grad, B, E)


@triton.jit
def _hidden_backward_titans(
    w2,
    hidden,
    back,
    errors_grad,
    forward,
    delta_grad,
    feature_grad,
    right_grad,
    z_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Rule titans: errors are those at the opening weights, so their gradient goes straight to the features."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    grad = load_block(errors_grad, rows, dims, B, D) + load_block(forward, rows, dims, B, D)
    store_block(right_grad, rows, dims, grad, B, D)
    tl.debug_barrier()
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        grad = load_block(right_grad, rows, dims, B, D)
        to_feature = dot(grad, tl.trans(load_block(w2, columns, dims, E, D)), PRECISION)
        to_feature += load_block(feature_grad, rows, columns, B, E)
        z = load_block(hidden, rows, columns, B, E)
        to_slope = load_block(delta_grad, rows, columns, B, E) * load_block(back, rows, columns, B, E)
        store_block(z_grad, rows, columns, to_feature * slope_of(z) + to_slope * silu_curvature(z), B, E)


@triton.jit
def _open_output(
    beta,
    gamma,
    momentum_decay,
    errors,
    damping,
    hidden,
    motion,
    delta_grad,
    right_grad,
    w2_grad,
    s2_grad,
    w2_grad_end,
    s2_grad_end,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of the output layer's opening weights and momentum."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        z = load_block(hidden, rows, columns, B, E)
        slope = slope_of(z)
        read = silu_of(z)
        if BOUNDED:
            read = before(beta, rows, 1.0)[:, None] * read + load_block(motion, rows, columns, B, E) * slope
        right = tl.trans(load_block(right_grad, rows, dims, B, D))
        grad = dot(right, read, PRECISION) + load_transposed(w2_grad, columns, dims, E, D)
        tl.debug_barrier()
        store_transposed(w2_grad, columns, dims, grad, E, D)
    tl.debug_barrier()
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        slope = slope_of(load_block(hidden, rows, columns, B, E))
        error = load_block(errors, rows, dims, B, D)
        if BOUNDED:
            error *= load_row(damping, rows)[:, None]
        grad = dot(tl.trans(error), load_block(delta_grad, rows, columns, B, E) * slope, PRECISION)
        grad += load_transposed(w2_grad, columns, dims, E, D)
        grad += tl.load(beta + B - 1) * load_transposed(w2_grad_end, columns, dims, E, D)
        tl.debug_barrier()
        store_transposed(w2_grad, columns, dims, grad, E, D)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        grad = load_transposed(s2_grad, columns, dims, E, D)
        grad += tl.load(gamma + B - 1) * load_transposed(w2_grad_end, columns, dims, E, D)
        grad += tl.load(momentum_decay) * load_transposed(s2_grad_end, columns, dims, E, D)
        if BOUNDED:
            read = silu_of(load_block(hidden, rows, columns, B, E)) * before(gamma, rows, 0.0)[:, None]
            grad += dot(tl.trans(load_block(right_grad, rows, dims, B, D)), read, PRECISION)
        tl.debug_barrier()
        store_transposed(s2_grad, columns, dims, grad, E, D)


@triton.jit
def _open_hidden(
    k,
    beta,
    gamma,
    momentum_decay,
    hidden,
    right_back,
    z_grad,
    w1_grad,
    s1_grad,
    w1_grad_end,
    s1_grad_end,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of the hidden layer's opening weights and momentum."""
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    for first in tl.range(0, E, BLOCK_E, disable_licm=True):
        columns = first + tl.arange(0, BLOCK_E)
        key = tl.trans(load_block(k, rows, dims, B, D))
        grad = dot(key, load_block(z_grad, rows, columns, B, E), PRECISION)
        grad += load_block(w1_grad, dims, columns, D, E)
        closing = load_block(w1_grad_end, dims, columns, D, E)
        tl.debug_barrier()
        store_block(w1_grad, dims, columns, grad + tl.load(beta + B - 1) * closing, D, E)
        grad = load_block(s1_grad, dims, columns, D, E) + tl.load(gamma + B - 1) * closing
        grad += tl.load(momentum_decay) * load_block(s1_grad_end, dims, columns, D, E)
        if BOUNDED:
            sent = load_block(right_back, rows, columns, B, E)
            sent *= slope_of(load_block(hidden, rows, columns, B, E)) * before(gamma, rows, 0.0)[:, None]
            grad += dot(key, sent, PRECISION)
        tl.debug_barrier()
        store_block(s1_grad, dims, columns, grad, D, E)


@triton.jit(do_not_specialize=["G", "H", "N"])
def state_backward_kernel(
    k,
    errors,
    right,
    path,
    inverse,
    beta,
    gamma,
    momentum_row,
    momentum_decay,
    steps,
    damping,
    w1,
    s1,
    i1,
    w2,
    s2,
    i2,
    factors,
    hidden,
    back,
    motion,
    tangent,
    hidden_tangent,
    key_kernel,
    norms,
    errors_grad,
    delta_grad,
    feature_grad,
    steps_grad,
    w1_grad,
    s1_grad,
    w2_grad,
    s2_grad,
    i1_grad,
    right_grad,
    right_back,
    z_grad,
    base_grad,
    close_grad,
    path_before_grad,
    tangent_grad,
    forward,
    damping_grad,
    feature_pairs,
    slope_pairs,
    N,
    G,
    H,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Two layers: one program per group, in sweeps over the hidden width for every chunk.

    Each sweep holds a few blocks and leaves its results in memory to the next: the whole does not fit in
    registers. Besides the state gradients it writes, for the kernels after it: the gradients of R (as such, and
    sent back through the output layer), of z, of the base steps, of the deltas' shares in the chunk's end (2, b),
    of P before each token, and of the hidden part of the tangent kernel. Scratch per group: ``forward`` (b, D),
    ``damping_grad`` (2, b), ``feature_pairs`` and ``slope_pairs`` (b, b).
    """
    group = tl.program_id(0).to(tl.int64)
    i1 += (group % H) * D * E
    i2 += (group % H) * D * E
    forward += group * B * D
    # One phase after the other, as branches of one loop: in a row, the compiler shares their addresses, which then
    # hold registers throughout.
    PHASES: tl.constexpr = 9 if BOUNDED else 4
    for task in tl.range(N * PHASES, disable_licm=True):
        phase = task % PHASES
        cell = (N - 1 - task // PHASES) * G + group
        after = cell + G
        tokens, lane, square = cell * B * D, cell * B, cell * B * B
        wide, state, end = cell * B * E, cell * D * E, after * D * E
        path_end = path + square + (B - 1) * B
        if phase == 0:
            if BOUNDED:
                factor = tl.load(factors + after)
                if factor != 1.0:
                    _release(
                        w1 + end, s1 + end, i1, w1_grad + end, s1_grad + end, i1_grad + group * D * E, factor, D * E
                    )
            _close_hidden(
                k + tokens,
                path_end,
                momentum_row + lane,
                steps + lane,
                hidden + wide,
                back + wide,
                w2 + state,
                w1_grad + end,
                s1_grad + end,
                delta_grad + wide,
                forward,
                close_grad + lane * 2,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        elif phase == 1:
            _close_output(
                errors + tokens,
                path_end,
                momentum_row + lane,
                steps + lane,
                hidden + wide,
                w2_grad + end,
                s2_grad + end,
                feature_grad + wide,
                errors_grad + tokens,
                close_grad + lane * 2,
                steps_grad + lane,
                base_grad + lane,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        elif phase == PHASES - 1:
            _open_output(
                beta + lane,
                gamma + lane,
                momentum_decay + cell,
                errors + tokens,
                damping + lane if BOUNDED else None,
                hidden + wide,
                motion + wide if BOUNDED else None,
                delta_grad + wide,
                right_grad + tokens,
                w2_grad + state,
                s2_grad + state,
                w2_grad + end,
                s2_grad + end,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                BOUNDED,
                PRECISION,
            )
            _open_hidden(
                k + tokens,
                beta + lane,
                gamma + lane,
                momentum_decay + cell,
                hidden + wide,
                right_back + wide if BOUNDED else None,
                z_grad + wide,
                w1_grad + state,
                s1_grad + state,
                w1_grad + end,
                s1_grad + end,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                BOUNDED,
                PRECISION,
            )
        elif not BOUNDED:
            _hidden_backward_titans(
                w2 + state,
                hidden + wide,
                back + wide,
                errors_grad + tokens,
                forward,
                delta_grad + wide,
                feature_grad + wide,
                right_grad + tokens,
                z_grad + wide,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        elif phase == 2:
            _solve_backward(
                errors + tokens,
                errors_grad + tokens,
                forward,
                inverse + square,
                damping + lane,
                right_grad + tokens,
                damping_grad + group * 2 * B,
                B,
                D,
                BLOCK_D,
                PRECISION,
            )
        elif phase == 3:
            _system_backward(
                errors + tokens,
                path + square,
                steps + lane,
                tangent + square,
                hidden_tangent + square,
                norms + lane * 4,
                right_grad + tokens,
                damping_grad + group * 2 * B,
                base_grad + lane,
                path_before_grad + square,
                tangent_grad + square,
                B,
                D,
                BLOCK_D,
                PRECISION,
            )
        elif phase == 4:
            _damping_backward(
                right + tokens,
                damping + lane,
                norms + lane * 4,
                right_grad + tokens,
                damping_grad + group * 2 * B,
                damping_grad + group * 2 * B + B,
                B,
                D,
                BLOCK_D,
            )
        elif phase == 5:
            _tangent_backward(
                steps + lane,
                damping + lane,
                base_grad + lane,
                damping_grad + group * 2 * B + B,
                key_kernel + square,
                tangent_grad + square,
                feature_pairs + group * B * B,
                slope_pairs + group * B * B,
                B,
            )
        elif phase == 6:
            _right_backward(
                beta + lane,
                gamma + lane,
                w2 + state,
                s2 + state,
                i2,
                right_grad + tokens,
                right_back + wide,
                feature_grad + wide,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        else:
            _hidden_backward(
                beta + lane,
                w2 + state,
                hidden + wide,
                back + wide,
                motion + wide,
                right_back + wide,
                delta_grad + wide,
                feature_grad + wide,
                feature_pairs + group * B * B,
                slope_pairs + group * B * B,
                w2_grad + state,
                z_grad + wide,
                B,
                D,
                BLOCK_D,
                E,
                BLOCK_E,
                PRECISION,
            )
        tl.debug_barrier()


@triton.jit(do_not_specialize=["G", "N"])
def state_backward_linear_kernel(
    k,
    path,
    inverse,
    beta,
    gamma,
    momentum_row,
    momentum_decay,
    steps,
    errors_grad,
    weights_grad,
    momentum_grad,
    right_grad,
    N,
    G,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One layer: its columns do not see each other, so a program takes a block of them and keeps its state."""
    group = tl.program_id(0).to(tl.int64)
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    columns = tl.program_id(1) * BLOCK_E + tl.arange(0, BLOCK_E)
    end = (N * G + group) * D * D
    in_state = load_block(weights_grad + end, dims, columns, D, D)
    in_speed = load_block(momentum_grad + end, dims, columns, D, D)
    for back_step in tl.range(N, disable_licm=True):
        cell = (N - 1 - back_step) * G + group
        tokens, lane, square, state = cell * B * D, cell * B, cell * B * B, cell * D * D
        step = load_row(steps + lane, rows)
        in_weights = load_row(path + square + (B - 1) * B, rows) * step
        in_momentum = load_row(momentum_row + lane, rows) * step
        key = load_block(k + tokens, rows, dims, B, D)
        grad = load_block(errors_grad + tokens, rows, columns, B, D)
        grad -= dot(in_weights[:, None] * key, in_state, PRECISION)
        grad -= dot(in_momentum[:, None] * key, in_speed, PRECISION)
        if BOUNDED:
            solver = load_block(inverse + square, rows, rows, B, B)
            grad = dot(tl.trans(solver), grad, PRECISION)
        store_block(right_grad + tokens, rows, columns, grad, B, D)

        last = lane + B - 1
        key = tl.trans(key)
        in_speed = tl.load(momentum_decay + cell) * in_speed + tl.load(gamma + last) * in_state
        in_state = tl.load(beta + last) * in_state
        if BOUNDED:
            beta_before = before(beta + lane, rows, 1.0)[:, None]
            gamma_before = before(gamma + lane, rows, 0.0)[:, None]
            in_state += dot(key, beta_before * grad, PRECISION)
            in_speed += dot(key, gamma_before * grad, PRECISION)
        else:
            in_state += dot(key, grad, PRECISION)
        in_state += load_block(weights_grad + state, dims, columns, D, D)
        in_speed += load_block(momentum_grad + state, dims, columns, D, D)
        tl.debug_barrier()
        store_block(weights_grad + state, dims, columns, in_state, D, D)
        store_block(momentum_grad + state, dims, columns, in_speed, D, D)
