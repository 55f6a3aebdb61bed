"""What of a chunk's adjoint no other chunk waits for, parallel over chunks: keys, values, gates, initial weights."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import before
from titans_seq.memory.kernels._blocks_backward import (
    dot,
    load_block,
    load_hidden_weights,
    load_row,
    main_diagonal,
    silu_of,
    slope_of,
    store_block,
)


@triton.jit(do_not_specialize=["G", "H"])
def rest_keys_kernel(
    k,
    path,
    beta,
    gamma,
    momentum_row,
    steps,
    w1,
    s1,
    i1,
    s2,
    i2,
    factors,
    hidden,
    back,
    right_grad,
    right_back,
    z_grad,
    tangent_grad,
    hidden_kernel,
    reads_k_grad,
    w1_grad,
    s1_grad,
    k_grad,
    v_grad,
    before_grad,
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
    """Two layers: gradients of keys and values, and of β and γ before each token (2, b; rule bounded)."""
    cell = tl.program_id(0).to(tl.int64)
    group = cell % G
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    tokens, lane, square = cell * B * D, cell * B, cell * B * B
    wide, state, end = cell * B * E, cell * D * E, (cell + G) * D * E
    init_1 = i1 + (group % H) * D * E
    init_2 = i2 + (group % H) * D * E
    factor = 1.0
    if BOUNDED:
        factor = tl.load(factors + cell)

    step = load_row(steps + lane, rows)
    in_weights = (load_row(path + square + (B - 1) * B, rows) * step)[:, None]
    in_momentum = (load_row(momentum_row + lane, rows) * step)[:, None]
    beta_grad = tl.zeros((B,), dtype=tl.float32)
    gamma_grad = tl.zeros((B,), dtype=tl.float32)
    to_key = load_block(reads_k_grad + tokens, rows, dims, B, D)
    for first in range(0, E, BLOCK_E):
        columns = first + tl.arange(0, BLOCK_E)
        z = load_block(hidden + wide, rows, columns, B, E)
        slope = slope_of(z)
        delta = load_block(back + wide, rows, columns, B, E) * slope
        asked = load_block(w1_grad + end, dims, columns, D, E)
        to_key -= dot(in_weights * delta, tl.trans(asked), PRECISION)
        asked = load_block(s1_grad + end, dims, columns, D, E)
        to_key -= dot(in_momentum * delta, tl.trans(asked), PRECISION)
        to_z = load_block(z_grad + wide, rows, columns, B, E)
        if BOUNDED:
            opening = load_hidden_weights(w1 + state, init_1, factor, dims, columns, D, E)
        else:
            opening = load_block(w1 + state, dims, columns, D, E)
        to_key += dot(to_z, tl.trans(opening), PRECISION)
    if BOUNDED:
        by_initial = tl.zeros((B, BLOCK_D), dtype=tl.float32)
        by_momentum = tl.zeros((B, BLOCK_D), dtype=tl.float32)
        for first in range(0, E, BLOCK_E):
            columns = first + tl.arange(0, BLOCK_E)
            z = load_block(hidden + wide, rows, columns, B, E)
            feature = silu_of(z)
            sent = load_block(right_back + wide, rows, columns, B, E)
            grad = load_block(right_grad + tokens, rows, dims, B, D)
            start = load_block(init_2, columns, dims, E, D)
            beta_grad += tl.sum(feature * (sent - dot(grad, tl.trans(start), PRECISION)), 1)
            speed = load_block(s2 + state, columns, dims, E, D)
            gamma_grad += tl.sum(feature * dot(grad, tl.trans(speed), PRECISION), 1)
            sent *= slope_of(z)
            beta_grad += tl.sum(z * sent, 1)
            by_initial += dot(sent, tl.trans(load_block(init_1, dims, columns, D, E)), PRECISION)
            speed = load_block(s1 + state, dims, columns, D, E)
            by_momentum += dot(sent, tl.trans(speed), PRECISION)
        key = load_block(k + tokens, rows, dims, B, D)
        by_momentum *= factor
        beta_grad -= tl.sum(key * by_initial, 1)
        gamma_grad += tl.sum(key * by_momentum, 1)
        tl.store(before_grad + cell * 2 * B + rows, beta_grad)
        tl.store(before_grad + cell * 2 * B + B + rows, gamma_grad)
        to_key += (1.0 - before(beta + lane, rows, 1.0))[:, None] * by_initial
        to_key += before(gamma + lane, rows, 0.0)[:, None] * by_momentum
        pairs = load_block(tangent_grad + square, rows, rows, B, B)
        pairs *= load_block(hidden_kernel + square, rows, rows, B, B)
        to_key += dot(pairs + tl.trans(pairs), key, PRECISION)
    store_block(k_grad + tokens, rows, dims, to_key, B, D)
    grad = load_block(right_grad + tokens, rows, dims, B, D)
    store_block(v_grad + tokens, rows, dims, -grad, B, D)


@triton.jit(do_not_specialize=["G", "H"])
def rest_linear_kernel(
    k,
    errors,
    path,
    beta,
    gamma,
    momentum_row,
    steps,
    weights,
    momentum,
    initial,
    right_grad,
    reads_k_grad,
    steps_grad,
    weights_grad,
    momentum_grad,
    k_grad,
    v_grad,
    base_grad,
    close_grad,
    path_before_grad,
    before_grad,
    G,
    H,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One layer: gradients of keys, values and base steps, and of what the coefficients give the chunk."""
    cell = tl.program_id(0).to(tl.int64)
    group = cell % G
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    tokens, lane, square = cell * B * D, cell * B, cell * B * B
    state, end = cell * D * D, (cell + G) * D * D
    init = initial + (group % H) * D * D

    by_weights = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    by_momentum = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    for first in range(0, D, BLOCK_E):
        columns = first + tl.arange(0, BLOCK_E)
        error = load_block(errors + tokens, rows, columns, B, D)
        by_weights += dot(error, tl.trans(load_block(weights_grad + end, dims, columns, D, D)), PRECISION)
        by_momentum += dot(error, tl.trans(load_block(momentum_grad + end, dims, columns, D, D)), PRECISION)
    key = load_block(k + tokens, rows, dims, B, D)
    step = load_row(steps + lane, rows)
    last_row = load_row(path + square + (B - 1) * B, rows)
    momentum_last = load_row(momentum_row + lane, rows)
    in_weights_grad, in_momentum_grad = -tl.sum(key * by_weights, 1), -tl.sum(key * by_momentum, 1)
    tl.store(close_grad + cell * 2 * B + rows, in_weights_grad)
    tl.store(close_grad + cell * 2 * B + B + rows, in_momentum_grad)
    to_key = load_block(reads_k_grad + tokens, rows, dims, B, D)
    to_key -= (last_row * step)[:, None] * by_weights + (momentum_last * step)[:, None] * by_momentum
    step_grad = load_row(steps_grad + lane, rows) + in_weights_grad * last_row + in_momentum_grad * momentum_last

    by_weights = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    by_momentum = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    by_initial = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    for first in range(0, D, BLOCK_E):
        columns = first + tl.arange(0, BLOCK_E)
        grad = load_block(right_grad + tokens, rows, columns, B, D)
        by_weights += dot(grad, tl.trans(load_block(weights + state, dims, columns, D, D)), PRECISION)
        if BOUNDED:
            by_momentum += dot(grad, tl.trans(load_block(momentum + state, dims, columns, D, D)), PRECISION)
            by_initial += dot(grad, tl.trans(load_block(init, dims, columns, D, D)), PRECISION)

    grad = load_block(right_grad + tokens, rows, dims, B, D)
    store_block(v_grad + tokens, rows, dims, -grad, B, D)
    if BOUNDED:
        tl.store(before_grad + cell * 2 * B + rows, tl.sum(key * (by_weights - by_initial), 1))
        tl.store(before_grad + cell * 2 * B + B + rows, tl.sum(key * by_momentum, 1))
        beta_before = before(beta + lane, rows, 1.0)[:, None]
        to_key += beta_before * by_weights + (1.0 - beta_before) * by_initial
        to_key += before(gamma + lane, rows, 0.0)[:, None] * by_momentum

        system_grad = dot(grad, tl.trans(load_block(errors + tokens, rows, dims, B, D)), PRECISION)
        system_grad = tl.where(rows[:, None] > rows[None, :], -system_grad, 0.0)
        kernel = dot(key, tl.trans(key), PRECISION)
        reach = tl.load(path + square + (rows[:, None] - 1) * B + rows[None, :], mask=rows[:, None] > 0, other=0.0)
        path_grad = system_grad * kernel
        store_block(path_before_grad + square, rows, rows, path_grad * step[None, :], B, B)
        step_grad += tl.sum(path_grad * reach, 0)
        step_grad /= main_diagonal(kernel, rows) + 1e-6
        kernel_grad = system_grad * reach * step[None, :]
        kernel_grad -= tl.where(rows[:, None] == rows[None, :], (step_grad * step)[:, None], 0.0)
        to_key += dot(kernel_grad + tl.trans(kernel_grad), key, PRECISION)
    else:
        to_key += by_weights
    tl.store(base_grad + lane + rows, step_grad)
    store_block(k_grad + tokens, rows, dims, to_key, B, D)


@triton.jit(do_not_specialize=["G", "H"])
def rest_carry_kernel(
    w1,
    s1,
    i1,
    w1_grad,
    s1_grad,
    w2,
    s2,
    i2,
    w2_grad,
    s2_grad,
    factors,
    carry_grad,
    G,
    H,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    DEPTH: tl.constexpr,
    BOUNDED: tl.constexpr,
):
    """Gradients of a chunk's last β, last γ and momentum decay from the state carried over it, (3,)."""
    cell = tl.program_id(0).to(tl.int64)
    state, end = cell * SIZE, (cell + G) * SIZE
    init = (cell % G % H) * SIZE
    beta_grad = tl.zeros((BLOCK,), dtype=tl.float32)
    gamma_grad = tl.zeros((BLOCK,), dtype=tl.float32)
    decay_grad = tl.zeros((BLOCK,), dtype=tl.float32)
    for first in range(0, SIZE, BLOCK):
        index = first + tl.arange(0, BLOCK)
        inside = index < SIZE
        asked = tl.load(w1_grad + end + index, mask=inside, other=0.0)
        carried = tl.load(w1 + state + index, mask=inside, other=0.0)
        speed = tl.load(s1 + state + index, mask=inside, other=0.0)
        if BOUNDED:
            factor = tl.load(factors + cell)
            # I + f (W − I) less I; with f = 1 to the last bit.
            carried = factor * (carried - tl.load(i1 + init + index, mask=inside, other=0.0))
            speed *= factor
        beta_grad += asked * carried
        gamma_grad += asked * speed
        decay_grad += tl.load(s1_grad + end + index, mask=inside, other=0.0) * speed
        if DEPTH == 2:
            asked = tl.load(w2_grad + end + index, mask=inside, other=0.0)
            carried = tl.load(w2 + state + index, mask=inside, other=0.0)
            speed = tl.load(s2 + state + index, mask=inside, other=0.0)
            if BOUNDED:
                carried -= tl.load(i2 + init + index, mask=inside, other=0.0)
            beta_grad += asked * carried
            gamma_grad += asked * speed
            decay_grad += tl.load(s2_grad + end + index, mask=inside, other=0.0) * speed
    tl.store(carry_grad + cell * 3, tl.sum(beta_grad, 0))
    tl.store(carry_grad + cell * 3 + 1, tl.sum(gamma_grad, 0))
    tl.store(carry_grad + cell * 3 + 2, tl.sum(decay_grad, 0))


@triton.jit(do_not_specialize=["G", "N", "span"])
def rest_initial_kernel(
    inputs_q,
    inputs_k,
    outputs_q_grad,
    outputs_k_grad,
    hidden,
    beta,
    weights_grad,
    initial_grad,
    N,
    G,
    span,
    B: tl.constexpr,
    INNER: tl.constexpr,
    OUTER: tl.constexpr,
    INNER_BLOCK: tl.constexpr,
    OUTER_BLOCK: tl.constexpr,
    LAYER: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One layer's initial weights (rule bounded): a tile of one group's part, over ``span`` chunks.

    ``LAYER`` 0: the only layer. 1: the first of two, whose keys' output gradient is that of R sent back, times
    the slope at ``hidden``. 2: the second, whose inputs are given before their silu.
    """
    COLUMN_BLOCKS: tl.constexpr = (OUTER + OUTER_BLOCK - 1) // OUTER_BLOCK
    group, part = tl.program_id(0).to(tl.int64), tl.program_id(2)
    slots = tl.arange(0, B)
    rows = (tl.program_id(1) // COLUMN_BLOCKS) * INNER_BLOCK + tl.arange(0, INNER_BLOCK)
    columns = (tl.program_id(1) % COLUMN_BLOCKS) * OUTER_BLOCK + tl.arange(0, OUTER_BLOCK)
    grad = tl.zeros((INNER_BLOCK, OUTER_BLOCK), dtype=tl.float32)
    for n in range(part * span, tl.minimum(part * span + span, N)):
        cell = n * G + group
        within, out, lane = cell * B * INNER, cell * B * OUTER, cell * B
        x = load_block(inputs_q + within, slots, rows, B, INNER)
        if LAYER == 2:
            x = silu_of(x)
        forgotten = (1.0 - load_row(beta + lane, slots))[:, None]
        to_output = forgotten * load_block(outputs_q_grad + out, slots, columns, B, OUTER)
        grad += dot(tl.trans(x), to_output, PRECISION)
        x = load_block(inputs_k + within, slots, rows, B, INNER)
        if LAYER == 2:
            x = silu_of(x)
        forgotten = (1.0 - before(beta + lane, slots, 1.0))[:, None]
        to_output = forgotten * load_block(outputs_k_grad + out, slots, columns, B, OUTER)
        if LAYER == 1:
            to_output *= slope_of(load_block(hidden + out, slots, columns, B, OUTER))
        grad += dot(tl.trans(x), to_output, PRECISION)
        end = (cell + G) * INNER * OUTER
        closing = 1.0 - tl.load(beta + lane + B - 1)
        grad += closing * load_block(weights_grad + end, rows, columns, INNER, OUTER)
    base = initial_grad + (part * G + group) * INNER * OUTER
    store_block(base, rows, columns, grad, INNER, OUTER)
