"""Adjoint of the reads, parallel over chunks: y → q, and what the reads ask of a chunk's errors and opening state.

Names: ``*_grad`` is the gradient of the loss with respect to ``*``. The "first" layer is the one whose inputs
are the keys and queries; with two layers its width is that of the hidden layer, with one that of the head.
"""

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
def hidden_features_kernel(
    q,
    k,
    errors,
    path,
    beta,
    gamma,
    steps,
    damping,
    w1,
    s1,
    i1,
    w2,
    factors,
    hidden,
    back,
    motion,
    hidden_q,
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
    """Recompute the hidden layer of a chunk, one block of its width per program.

    Writes z of the keys, the errors sent back through the output layer, the motion of the hidden layer before
    each token (rule bounded), and z of the queries at the weights that each of them reads.
    """
    cell = tl.program_id(0).to(tl.int64)
    group = cell % G
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    columns = tl.program_id(1) * BLOCK_E + tl.arange(0, BLOCK_E)
    tokens, lane, state = cell * B * D, cell * B, cell * D * E
    wide = cell * B * E
    init = i1 + (group % H) * D * E

    error = load_block(errors + tokens, rows, dims, B, D)
    factor = 1.0
    if BOUNDED:
        error *= load_row(damping + lane, rows)[:, None]
        factor = tl.load(factors + cell)
    sent = dot(error, tl.trans(load_block(w2 + state, columns, dims, E, D)), PRECISION)
    store_block(back + wide, rows, columns, sent, B, E)

    key = load_block(k + tokens, rows, dims, B, D)
    if BOUNDED:
        opening = load_hidden_weights(w1 + state, init, factor, dims, columns, D, E)
    else:
        opening = load_block(w1 + state, dims, columns, D, E)
    z = dot(key, opening, PRECISION)
    store_block(hidden + wide, rows, columns, z, B, E)
    if BOUNDED:
        beta_before = before(beta + lane, rows, 1.0)[:, None]
        gamma_before = before(gamma + lane, rows, 0.0)[:, None]
        start = load_block(init, dims, columns, D, E)
        moved = (1.0 - beta_before) * (dot(key, start, PRECISION) - z)
        moved += gamma_before * dot(key, factor * load_block(s1 + state, dims, columns, D, E), PRECISION)
        store_block(motion + wide, rows, columns, moved, B, E)

    query = load_block(q + tokens, rows, dims, B, D)
    in_weights = load_row(beta + lane, rows)[:, None]
    read = dot(in_weights * query, opening, PRECISION)
    in_momentum = load_row(gamma + lane, rows)[:, None]
    read += dot(in_momentum * query, factor * load_block(s1 + state, dims, columns, D, E), PRECISION)
    if BOUNDED:
        read += dot((1.0 - in_weights) * query, load_block(init, dims, columns, D, E), PRECISION)
    seen = load_block(path + cell * B * B, rows, rows, B, B) * load_row(steps + lane, rows)[None, :]
    seen *= dot(query, tl.trans(key), PRECISION)
    read -= dot(seen, sent * slope_of(z), PRECISION)
    store_block(hidden_q + wide, rows, columns, read, B, E)


@triton.jit
def surprise_gradient(errors, norms_grad, keep, rows, dims, columns, B: tl.constexpr, D: tl.constexpr):
    """Gradient that ‖e_t‖ sends to ``columns`` of the errors: none from a zero error or a token not kept."""
    full = load_block(errors, rows, dims, B, D)
    norm = tl.sqrt(tl.sum(full * full, 1))
    live = (norm > 0.0) & (tl.load(keep + rows) != 0)
    scale = tl.where(live, load_row(norms_grad, rows) / tl.where(live, norm, 1.0), 0.0)
    return scale[:, None] * load_block(errors, rows, columns, B, D)


@triton.jit
def output_gram_kernel(
    k,
    errors,
    path,
    steps,
    right,
    damping,
    keep,
    y_grad,
    surprise_grad,
    w2,
    hidden,
    hidden_q,
    errors_grad,
    reads_grad,
    seen_grad,
    tangent,
    hidden_tangent,
    hidden_kernel,
    key_kernel,
    norms,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BOUNDED: tl.constexpr,
    SURPRISE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Products of a chunk's tokens with each other, summed over the hidden width, and their gradients.

    Writes the reads' part of the errors' gradient, of p's gradient (p = P τ), c₂ ∘ p for `output_hidden_kernel`,
    and for the rule bounded its tangent kernel, the hidden part of that before damping, the two factors of the
    latter and (4, b): the diagonals of the first two, ‖R_t‖ and the largest of these so far.
    """
    cell = tl.program_id(0).to(tl.int64)
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    tokens, lane, square = cell * B * D, cell * B, cell * B * B
    wide = cell * B * E

    reads = tl.zeros((B, B), dtype=tl.float32)
    output = tl.zeros((B, B), dtype=tl.float32)
    slopes = tl.zeros((B, B), dtype=tl.float32)
    for first in range(0, E, BLOCK_E):
        columns = first + tl.arange(0, BLOCK_E)
        z = load_block(hidden + wide, rows, columns, B, E)
        feature = silu_of(z)
        reads += dot(silu_of(load_block(hidden_q + wide, rows, columns, B, E)), tl.trans(feature), PRECISION)
        if BOUNDED:
            output += dot(feature, tl.trans(feature), PRECISION)
            fan_out = load_block(w2 + cell * D * E, columns, dims, E, D)
            slope = slope_of(z)
            # Beyond the width weights are zero, so the slope of a zero there does not count.
            slopes += dot(slope * tl.sum(fan_out * fan_out, 1)[None, :], tl.trans(slope), PRECISION)

    y = load_block(y_grad + tokens, rows, dims, B, D)
    error = load_block(errors + tokens, rows, dims, B, D)
    c2 = -dot(y, tl.trans(error), PRECISION)
    p = load_block(path + square, rows, rows, B, B) * load_row(steps + lane, rows)[None, :]
    store_block(seen_grad + square, rows, rows, c2 * reads, B, B)
    store_block(reads_grad + square, rows, rows, c2 * p, B, B)
    grad = -dot(tl.trans(p * reads), y, PRECISION)
    if SURPRISE:
        grad += surprise_gradient(errors + tokens, surprise_grad + lane, keep + lane, rows, dims, dims, B, D)
    store_block(errors_grad + tokens, rows, dims, grad, B, D)

    if BOUNDED:
        key = load_block(k + tokens, rows, dims, B, D)
        keys = dot(key, tl.trans(key), PRECISION)
        store_block(key_kernel + square, rows, rows, keys, B, B)
        store_block(hidden_kernel + square, rows, rows, slopes, B, B)
        slopes *= keys
        store_block(hidden_tangent + square, rows, rows, slopes, B, B)
        hidden_own = main_diagonal(slopes, rows)
        damp = load_row(damping + lane, rows)
        output += damp[None, :] * slopes
        store_block(tangent + square, rows, rows, output, B, B)
        base = norms + cell * 4 * B
        tl.store(base + rows, main_diagonal(output, rows))
        tl.store(base + B + rows, hidden_own)
        r = load_block(right + tokens, rows, dims, B, D)
        size = tl.where(tl.load(keep + lane + rows) != 0, tl.sqrt(tl.sum(r * r, 1)), 0.0)
        tl.store(base + 2 * B + rows, size)
        largest = tl.max(tl.where(rows[:, None] >= rows[None, :], size[None, :], 0.0), 1)
        tl.store(base + 3 * B + rows, largest)


@triton.jit(do_not_specialize=["G", "H"])
def output_hidden_kernel(
    y_grad,
    beta,
    gamma,
    hidden,
    hidden_q,
    reads_grad,
    w2,
    s2,
    i2,
    hidden_q_grad,
    feature_grad,
    w2_grad,
    s2_grad,
    gates_grad,
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
    """Through the output layer, one block of the hidden width per program.

    Writes the gradients of the queries' z, of the keys' features, of the output layer's opening state, and this
    block's part of those of β and γ, (blocks, N·G, 2, b).
    """
    cell = tl.program_id(0).to(tl.int64)
    cells = tl.num_programs(0)
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    columns = tl.program_id(1) * BLOCK_E + tl.arange(0, BLOCK_E)
    lane, state, wide = cell * B, cell * D * E, cell * B * E

    y = load_block(y_grad + cell * B * D, rows, dims, B, D)
    in_weights, in_momentum = load_row(beta + lane, rows)[:, None], load_row(gamma + lane, rows)[:, None]
    z_q = load_block(hidden_q + wide, rows, columns, B, E)
    h = silu_of(z_q)

    by_weights = dot(y, tl.trans(load_block(w2 + state, columns, dims, E, D)), PRECISION)
    h_grad = in_weights * by_weights
    if BOUNDED:
        init = i2 + (cell % G % H) * D * E
        by_initial = dot(y, tl.trans(load_block(init, columns, dims, E, D)), PRECISION)
        h_grad += (1.0 - in_weights) * by_initial
        by_weights -= by_initial
    by_momentum = dot(y, tl.trans(load_block(s2 + state, columns, dims, E, D)), PRECISION)
    h_grad += in_momentum * by_momentum
    part = gates_grad + (tl.program_id(1).to(tl.int64) * cells + cell) * 2 * B
    tl.store(part + rows, tl.sum(h * by_weights, 1))
    tl.store(part + B + rows, tl.sum(h * by_momentum, 1))

    pairs = load_block(reads_grad + cell * B * B, rows, rows, B, B)
    h_grad += dot(pairs, silu_of(load_block(hidden + wide, rows, columns, B, E)), PRECISION)
    store_block(hidden_q_grad + wide, rows, columns, h_grad * slope_of(z_q), B, E)
    store_block(feature_grad + wide, rows, columns, dot(tl.trans(pairs), h, PRECISION), B, E)
    h = tl.trans(h)
    store_block(w2_grad + state, columns, dims, dot(h, in_weights * y, PRECISION), E, D)
    store_block(s2_grad + state, columns, dims, dot(h, in_momentum * y, PRECISION), E, D)


@triton.jit
def output_first_kernel(
    q,
    k,
    path,
    beta,
    gamma,
    steps,
    z_grad,
    errors,
    keep,
    surprise_grad,
    delta_grad,
    weights_grad,
    momentum_grad,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    SURPRISE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Through the first layer, one block of its width per program: gradients of its δ and its opening state.

    ``SURPRISE`` only with a single layer, whose δ is the error itself.
    """
    cell = tl.program_id(0).to(tl.int64)
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    columns = tl.program_id(1) * BLOCK_E + tl.arange(0, BLOCK_E)
    tokens, lane, state = cell * B * D, cell * B, cell * D * E
    wide = cell * B * E

    grad = load_block(z_grad + wide, rows, columns, B, E)
    query = load_block(q + tokens, rows, dims, B, D)
    seen = load_block(path + cell * B * B, rows, rows, B, B) * load_row(steps + lane, rows)[None, :]
    seen *= dot(query, tl.trans(load_block(k + tokens, rows, dims, B, D)), PRECISION)
    to_delta = -dot(tl.trans(seen), grad, PRECISION)
    if SURPRISE:
        to_delta += surprise_gradient(errors + tokens, surprise_grad + lane, keep + lane, rows, dims, columns, B, D)
    store_block(delta_grad + wide, rows, columns, to_delta, B, E)
    query = tl.trans(query)
    in_weights, in_momentum = load_row(beta + lane, rows)[:, None], load_row(gamma + lane, rows)[:, None]
    store_block(weights_grad + state, dims, columns, dot(query, in_weights * grad, PRECISION), D, E)
    store_block(momentum_grad + state, dims, columns, dot(query, in_momentum * grad, PRECISION), D, E)


@triton.jit(do_not_specialize=["G", "H", "parts"])
def output_queries_kernel(
    q,
    k,
    path,
    beta,
    gamma,
    steps,
    z_grad,
    hidden,
    back,
    w1,
    s1,
    i1,
    factors,
    seen_grad,
    gates_parts,
    q_grad,
    reads_k_grad,
    path_grad,
    steps_grad,
    gates_grad,
    G,
    H,
    parts,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    DEPTH: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """What the first layer's reads send to queries, keys, P, τ, β and γ, summed over its width.

    ``back`` holds the errors sent back to the first layer's features (with a single layer, the errors).
    """
    cell = tl.program_id(0).to(tl.int64)
    cells = tl.num_programs(0)
    group = cell % G
    rows, dims = tl.arange(0, B), tl.arange(0, BLOCK_D)
    tokens, lane, square = cell * B * D, cell * B, cell * B * B
    wide, state = cell * B * E, cell * D * E
    init = i1 + (group % H) * D * E
    factor = 1.0
    if BOUNDED:
        factor = tl.load(factors + cell)

    pairs = tl.zeros((B, B), dtype=tl.float32)
    by_weights = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    by_momentum = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    by_initial = tl.zeros((B, BLOCK_D), dtype=tl.float32)
    for first in range(0, E, BLOCK_E):
        columns = first + tl.arange(0, BLOCK_E)
        grad = load_block(z_grad + wide, rows, columns, B, E)
        delta = load_block(back + wide, rows, columns, B, E)
        if DEPTH == 2:
            delta *= slope_of(load_block(hidden + wide, rows, columns, B, E))
        pairs -= dot(grad, tl.trans(delta), PRECISION)
        raw = load_block(w1 + state, dims, columns, D, E)
        if BOUNDED:
            start = load_block(init, dims, columns, D, E)
            by_initial += dot(grad, tl.trans(start), PRECISION)
            raw = tl.where(factor == 1.0, raw, start + factor * (raw - start))
        by_weights += dot(grad, tl.trans(raw), PRECISION)
        by_momentum += dot(grad, tl.trans(load_block(s1 + state, dims, columns, D, E)), PRECISION)
    by_momentum *= factor

    query = load_block(q + tokens, rows, dims, B, D)
    beta_grad = tl.sum(query * (by_weights - by_initial), 1)
    gamma_grad = tl.sum(query * by_momentum, 1)
    if DEPTH == 2:
        for part in range(parts):
            from_output = gates_parts + (part * cells + cell) * 2 * B
            beta_grad += tl.load(from_output + rows)
            gamma_grad += tl.load(from_output + B + rows)
    tl.store(gates_grad + cell * 2 * B + rows, beta_grad)
    tl.store(gates_grad + cell * 2 * B + B + rows, gamma_grad)

    in_weights = load_row(beta + lane, rows)[:, None]
    to_query = in_weights * by_weights + load_row(gamma + lane, rows)[:, None] * by_momentum
    if BOUNDED:
        to_query += (1.0 - in_weights) * by_initial
    key = load_block(k + tokens, rows, dims, B, D)
    step = load_row(steps + lane, rows)[None, :]
    reach = load_block(path + square, rows, rows, B, B)
    p_grad = pairs * dot(query, tl.trans(key), PRECISION)
    if DEPTH == 2:
        p_grad += load_block(seen_grad + square, rows, rows, B, B)
    store_block(path_grad + square, rows, rows, p_grad * step, B, B)
    tl.store(steps_grad + lane + rows, tl.sum(p_grad * reach, 0))
    pairs *= reach * step
    to_query += dot(pairs, key, PRECISION)
    store_block(q_grad + tokens, rows, dims, to_query, B, D)
    store_block(reads_k_grad + tokens, rows, dims, dot(tl.trans(pairs), query, PRECISION), B, D)
