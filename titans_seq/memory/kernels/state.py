"""Kernel `state_kernel`: the only sequential one, errors and states of a segment chunk by chunk."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import (
    before,
    confined,
    larger,
    load_tile,
    opaque_zero,
    row_norms,
    silu_and_slope,
    store_tile,
    unit_lower_inverse,
)

# Registers are what this kernel is short of. Hence loops from which the compiler may not hoist (it would keep
# addresses of every tile alive across the whole chunk), functions that share no variables (a name assigned both
# before and inside a loop is carried through it), and tiles that are read again from memory, where they are in
# cache, rather than kept.


# Each value's own code would be compiled anew for little gain.
@triton.jit(do_not_specialize=["N", "G", "H"])
def state_kernel(
    k,
    v,
    theta,
    eta,
    keep,
    completed,
    radii,
    path,
    beta,
    gamma,
    momentum_row,
    momentum_decay,
    w1,
    s1,
    i1,
    w2,
    s2,
    i2,
    factors,
    errors,
    right,
    steps,
    damping,
    inverse,
    N,
    G,
    H,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    DEPTH: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One program per group walks its chunks; states live in global memory, in the arrays the adjoint reads.

    A chunk takes two sweeps over the width E of the last layer's input, in blocks: the first sums the tangent
    kernel and the right-hand side, the second updates the state. Layers are named 1 (hidden) and 2 (output); at
    depth 1, layer 2 is the only one, E is the head dimension and the first layer's arguments are unused.
    """
    HIDDEN: tl.constexpr = DEPTH == 2
    MASK_D: tl.constexpr = BLOCK_D != D
    group = tl.program_id(0).to(tl.int64)
    head = group % H
    i2 += head * E * D
    if HIDDEN:
        i1 += head * D * E
    factor = 1.0
    cell = group
    for n in tl.range(0, N, disable_licm=True):
        zero = opaque_zero(n)
        rows = tl.arange(0, B)
        ds = tl.arange(0, BLOCK_D)
        output, own, kappa, own_hidden, error = _opening_sweep(
            k, v, beta, gamma, w1, s1, i1, w2, s2, i2, factor,
            cell, zero, B, D, BLOCK_D, E, BLOCK_E, HIDDEN, BOUNDED, PRECISION
        )  # fmt: skip
        step = tl.load(theta + cell * B + rows).to(tl.float32)
        if BOUNDED:
            store_tile(right + cell * B * D, rows, B, ds, D, D, error, MASK_D)
            step *= 1 - tl.load(eta + cell * B + rows).to(tl.float32)
            if HIDDEN:
                output, own = _damped_kernel(
                    output, own, kappa, own_hidden, error, k, keep, damping, cell, B, D, BLOCK_D, PRECISION
                )
            step = step / (own + 1e-6)
            error = _solve(output, step, error, path, inverse, cell, zero, B, PRECISION)
        store_tile(errors + cell * B * D, rows, B, ds, D, D, error, MASK_D)
        tl.store(steps + cell * B + rows, step)
        # What other threads of this program have stored is read from here on; likewise at the end.
        tl.debug_barrier()
        square = _closing_sweep(
            k, path, beta, gamma, momentum_row, momentum_decay, w1, s1, i1, w2, s2, i2, factor, errors, steps, damping,
            cell, zero, G, B, D, BLOCK_D, E, BLOCK_E, HIDDEN, BOUNDED, PRECISION
        )  # fmt: skip
        if HIDDEN and BOUNDED:
            distance = tl.sqrt(square)
            radius = tl.load(radii + head)
            outside = (tl.load(completed + group) != 0) & (distance > 1.001 * radius)
            factor = tl.where(outside, radius / tl.where(outside, distance, 1.0), 1.0)
            tl.store(factors + cell + G, factor)
        tl.debug_barrier()
        cell += G


@triton.jit
def _opening_sweep(
    k,
    v,
    beta,
    gamma,
    w1,
    s1,
    i1,
    w2,
    s2,
    i2,
    factor,
    cell,
    zero,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    HIDDEN: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Sums over E at a chunk's opening state: A Aᵀ, (slope · r) slopeᵀ, and errors before the chunk's corrections."""
    MASK_D: tl.constexpr = BLOCK_D != D
    MASK_W: tl.constexpr = MASK_D or E % BLOCK_E != 0
    k += cell * B * D
    w2 += cell * E * D
    s2 += cell * E * D
    if HIDDEN:
        w1 += cell * D * E
        s1 += cell * D * E
    rows = tl.arange(0, B)
    ds = tl.arange(0, BLOCK_D)
    es = tl.arange(0, BLOCK_E)
    beta_t = before(beta + cell * B, rows, 1.0)[:, None]
    gamma_t = before(gamma + cell * B, rows, 0.0)[:, None]
    output = tl.zeros((B, B), tl.float32)
    own = tl.zeros((B,), tl.float32)
    kappa = tl.zeros((B, B), tl.float32)
    own_hidden = tl.zeros((B,), tl.float32)
    error = -load_tile(v + cell * B * D, rows, B, ds, D, D, MASK_D)
    for block in tl.range(0, tl.cdiv(E, BLOCK_E), disable_licm=True):
        start = (block ^ zero) * BLOCK_E
        left = E - start
        if HIDDEN:
            key = load_tile(k, rows, B, ds, D, D, MASK_D)
            hidden = load_tile(w1 + start, ds, D, es, left, E, MASK_W)
            if BOUNDED:
                toward = load_tile(i1 + start, ds, D, es, left, E, MASK_W)
                hidden = confined(hidden, toward, factor)
            a, slope = silu_and_slope(tl.dot(key, hidden, input_precision=PRECISION))
            read = a
            if BOUNDED:
                moved = (1 - beta_t) * tl.dot(key, toward - hidden, input_precision=PRECISION)
                speed = factor * load_tile(s1 + start, ds, D, es, left, E, MASK_W)
                moved += gamma_t * tl.dot(key, speed, input_precision=PRECISION)
                read = beta_t * a + moved * slope
        else:
            a = load_tile(k + start, rows, B, es, left, D, MASK_W)
            read = a
            if BOUNDED:
                read = beta_t * a
        weights = load_tile(w2 + start * D, es, left, ds, D, D, MASK_W)
        error = tl.dot(read, weights, error, input_precision=PRECISION)
        if BOUNDED:
            toward2 = load_tile(i2 + start * D, es, left, ds, D, D, MASK_W)
            error = tl.dot((1 - beta_t) * a, toward2, error, input_precision=PRECISION)
            speed2 = load_tile(s2 + start * D, es, left, ds, D, D, MASK_W)
            error = tl.dot(gamma_t * a, speed2, error, input_precision=PRECISION)
            output = tl.dot(a, tl.trans(a), output, input_precision=PRECISION)
            own += tl.sum(a * a, 1)
            if HIDDEN:
                norms = tl.sum(weights * weights, 1)
                weighted = slope * norms[None, :]
                kappa = tl.dot(weighted, tl.trans(slope), kappa, input_precision=PRECISION)
                own_hidden += tl.sum(weighted * slope, 1)
    return output, own, kappa, own_hidden, error


@triton.jit
def _damped_kernel(
    output,
    own,
    kappa,
    own_hidden,
    error,
    k,
    keep,
    damping,
    cell,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Tangent kernel and its diagonal with the hidden layer's part damped; store the damping."""
    rows = tl.arange(0, B)
    key = load_tile(k + cell * B * D, rows, B, tl.arange(0, BLOCK_D), D, D, BLOCK_D != D)
    kappa *= tl.dot(key, tl.trans(key), input_precision=PRECISION)
    own_hidden *= tl.sum(key * key, 1)
    size = tl.where(tl.load(keep + cell * B + rows) != 0, row_norms(error), 0.0)
    largest = tl.maximum(tl.associative_scan(size, 0, larger), 1e-30)
    ratio = tl.minimum(4.0 * (own + own_hidden) / largest, 1.0)
    damp = ratio * ratio
    tl.store(damping + cell * B + rows, damp)
    return output + kappa * damp[None, :], own + damp * own_hidden


@triton.jit
def _solve(kernel, step, right, path, inverse, cell, zero, B: tl.constexpr, PRECISION: tl.constexpr):
    """Errors after the corrections by earlier tokens: (I + L)^-1 R with L = P⁻ τ K; store the inverse."""
    rows = tl.arange(0, B)
    cols = tl.arange(0, B)
    # One row up, P is strictly lower triangular.
    path_before = tl.load(
        path + cell * B * B + (rows[:, None] - 1) * B + cols[None, :], mask=rows[:, None] > 0, other=0.0
    )
    # L stands for a while where its inverse will.
    at = inverse + cell * B * B + rows[:, None] * B + cols[None, :]
    tl.store(at, -(path_before * step[None, :] * kernel))
    tl.debug_barrier()
    solve = unit_lower_inverse(at, zero + rows, B, PRECISION)
    error = tl.dot(solve, right, input_precision=PRECISION)
    tl.debug_barrier()
    tl.store(at, solve)
    return error


@triton.jit
def _closing_sweep(
    k,
    path,
    beta,
    gamma,
    momentum_row,
    momentum_decay,
    w1,
    s1,
    i1,
    w2,
    s2,
    i2,
    factor,
    errors,
    steps,
    damping,
    cell,
    zero,
    G,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    HIDDEN: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Store the state after the chunk, not confined; return ‖W_1 − I_1‖² of it."""
    MASK_D: tl.constexpr = BLOCK_D != D
    MASK_W: tl.constexpr = MASK_D or E % BLOCK_E != 0
    k += cell * B * D
    errors += cell * B * D
    following = (cell + G) * E * D
    w2_end = w2 + following
    s2_end = s2 + following
    w2 += cell * E * D
    s2 += cell * E * D
    if HIDDEN:
        w1_end = w1 + following
        s1_end = s1 + following
        w1 += cell * D * E
        s1 += cell * D * E
    rows = tl.arange(0, B)
    ds = tl.arange(0, BLOCK_D)
    es = tl.arange(0, BLOCK_E)
    step = tl.load(steps + cell * B + rows)
    in_weights = (tl.load(path + cell * B * B + (B - 1) * B + rows) * step)[:, None]
    in_momentum = (tl.load(momentum_row + cell * B + rows) * step)[:, None]
    beta_b = tl.load(beta + cell * B + B - 1)
    gamma_b = tl.load(gamma + cell * B + B - 1)
    decay = tl.load(momentum_decay + cell)
    square = 0.0
    for block in tl.range(0, tl.cdiv(E, BLOCK_E), disable_licm=True):
        start = (block ^ zero) * BLOCK_E
        left = E - start
        error = load_tile(errors, rows, B, ds, D, D, MASK_D)
        weights = load_tile(w2 + start * D, es, left, ds, D, D, MASK_W)
        if HIDDEN:
            key = load_tile(k, rows, B, ds, D, D, MASK_D)
            hidden = load_tile(w1 + start, ds, D, es, left, E, MASK_W)
            if BOUNDED:
                hidden = confined(hidden, load_tile(i1 + start, ds, D, es, left, E, MASK_W), factor)
            a, slope = silu_and_slope(tl.dot(key, hidden, input_precision=PRECISION))
            if BOUNDED:
                slope *= tl.load(damping + cell * B + rows)[:, None]
            delta = tl.dot(error, tl.trans(weights), input_precision=PRECISION) * slope
        else:
            a = load_tile(k + start, rows, B, es, left, D, MASK_W)
        speed2 = load_tile(s2 + start * D, es, left, ds, D, D, MASK_W)
        new = beta_b * weights + gamma_b * speed2
        if BOUNDED:
            new += (1 - beta_b) * load_tile(i2 + start * D, es, left, ds, D, D, MASK_W)
        new -= tl.dot(tl.trans(in_weights * a), error, input_precision=PRECISION)
        store_tile(w2_end + start * D, es, left, ds, D, D, new, MASK_W)
        new = decay * speed2 - tl.dot(tl.trans(in_momentum * a), error, input_precision=PRECISION)
        store_tile(s2_end + start * D, es, left, ds, D, D, new, MASK_W)
        if HIDDEN:
            tokens = tl.trans(load_tile(k, rows, B, ds, D, D, MASK_D))
            hidden = load_tile(w1 + start, ds, D, es, left, E, MASK_W)
            speed = load_tile(s1 + start, ds, D, es, left, E, MASK_W)
            if BOUNDED:
                toward = load_tile(i1 + start, ds, D, es, left, E, MASK_W)
                hidden = confined(hidden, toward, factor)
                speed *= factor
            new1 = beta_b * hidden + gamma_b * speed
            if BOUNDED:
                new1 += (1 - beta_b) * toward
            new1 -= tl.dot(tokens, in_weights * delta, input_precision=PRECISION)
            store_tile(w1_end + start, ds, D, es, left, E, new1, MASK_W)
            if BOUNDED:
                moved = new1 - toward
                square += tl.sum(tl.sum(moved * moved, 1), 0)
            new1 = decay * speed - tl.dot(tokens, in_momentum * delta, input_precision=PRECISION)
            store_tile(s1_end + start, ds, D, es, left, E, new1, MASK_W)
    return square
