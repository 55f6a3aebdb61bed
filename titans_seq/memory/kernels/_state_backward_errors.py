"""Phases of `state_backward_kernel` inside a chunk: from its errors, through solve and steps, to its hidden layer."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import before, silu_curvature
from titans_seq.memory.kernels._blocks_backward import (
    dot,
    load_block,
    load_row,
    silu_of,
    slope_of,
    store_block,
)


@triton.jit
def solve_backward(
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
def system_backward(
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
def damping_backward(
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
def tangent_backward(
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
def right_backward(
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
def hidden_backward(
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
def hidden_backward_titans(
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
