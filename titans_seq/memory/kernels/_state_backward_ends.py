"""Phases of `state_backward_kernel` at a chunk's states: what its end state asks, and the opening state's gradient."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import before
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
def release(weights, momentum, init, weights_grad, momentum_grad, init_grad, factor, SIZE: tl.constexpr):
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
def close_hidden(
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
def close_output(
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
def open_output(
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
def open_hidden(
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
