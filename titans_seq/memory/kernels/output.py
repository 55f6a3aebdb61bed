"""Kernel `output_kernel`: what the queries read, all chunks at once."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import confined, load_tile, opaque_zero, row_norms, silu_and_slope, store_tile


# Each value's own code would be compiled anew for little gain.
@triton.jit(do_not_specialize=["G", "H"])
def output_kernel(
    q,
    k,
    keep,
    y,
    surprise,
    path,
    beta,
    gamma,
    w1,
    s1,
    i1,
    w2,
    s2,
    i2,
    factors,
    errors,
    steps,
    damping,
    G,
    H,
    B: tl.constexpr,
    D: tl.constexpr,
    BLOCK_D: tl.constexpr,
    E: tl.constexpr,
    BLOCK_E: tl.constexpr,
    DEPTH: tl.constexpr,
    BOUNDED: tl.constexpr,
    SURPRISE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One program per chunk and group: y from the chunk's opening state and errors, streaming over E, and ‖e_t‖.

    Layers are named as in `state_kernel`.
    """
    HIDDEN: tl.constexpr = DEPTH == 2
    MASK_D: tl.constexpr = BLOCK_D != D
    MASK_W: tl.constexpr = MASK_D or E % BLOCK_E != 0
    cell = tl.program_id(0).to(tl.int64)
    head = cell % G % H
    rows = tl.arange(0, B)
    cols = tl.arange(0, B)
    ds = tl.arange(0, BLOCK_D)
    es = tl.arange(0, BLOCK_E)
    q += cell * B * D
    k += cell * B * D
    errors += cell * B * D
    w2 += cell * E * D
    s2 += cell * E * D
    i2 += head * E * D
    if SURPRISE:
        size = row_norms(load_tile(errors, rows, B, ds, D, D, MASK_D))
        size = tl.where(tl.load(keep + cell * B + rows) != 0, size, 0.0)
        tl.store(surprise + cell * B + rows, size)
    beta_t = tl.load(beta + cell * B + rows)[:, None]
    gamma_t = tl.load(gamma + cell * B + rows)[:, None]
    step = tl.load(steps + cell * B + rows)[None, :]
    # Entries above the diagonal are stored as zeros.
    path_at = path + cell * B * B + rows[:, None] * B + cols[None, :]
    query = load_tile(q, rows, B, ds, D, D, MASK_D)
    key = load_tile(k, rows, B, ds, D, D, MASK_D)
    along = tl.dot(query, tl.trans(key), input_precision=PRECISION)
    factor = 1.0
    if HIDDEN:
        w1 += cell * D * E
        s1 += cell * D * E
        i1 += head * D * E
        if BOUNDED:
            factor = tl.load(factors + cell)
        taken = -tl.load(path_at) * step * along
        along = tl.zeros((B, B), tl.float32)
    zero = opaque_zero(tl.program_id(0))
    out = tl.zeros((B, BLOCK_D), tl.float32)
    # As in the state kernel, what is in cache is read again rather than kept in registers through the loop.
    for block in tl.range(0, tl.cdiv(E, BLOCK_E), disable_licm=True):
        start = (block ^ zero) * BLOCK_E
        left = E - start
        if HIDDEN:
            hidden = load_tile(w1 + start, ds, D, es, left, E, MASK_W)
            if BOUNDED:
                toward = load_tile(i1 + start, ds, D, es, left, E, MASK_W)
                hidden = confined(hidden, toward, factor)
            a, slope = silu_and_slope(
                tl.dot(load_tile(k, rows, B, ds, D, D, MASK_D), hidden, input_precision=PRECISION)
            )
            token = load_tile(q, rows, B, ds, D, D, MASK_D)
            z = beta_t * tl.dot(token, hidden, input_precision=PRECISION)
            if BOUNDED:
                z += (1 - beta_t) * tl.dot(token, toward, input_precision=PRECISION)
            speed = factor * load_tile(s1 + start, ds, D, es, left, E, MASK_W)
            z += gamma_t * tl.dot(token, speed, input_precision=PRECISION)
            weights = load_tile(w2 + start * D, es, left, ds, D, D, MASK_W)
            if BOUNDED:
                slope *= tl.load(damping + cell * B + rows)[:, None]
            error = load_tile(errors, rows, B, ds, D, D, MASK_D)
            delta = tl.dot(error, tl.trans(weights), input_precision=PRECISION) * slope
            z = tl.dot(taken, delta, z, input_precision=PRECISION)
            x, _ = silu_and_slope(z)
            along = tl.dot(x, tl.trans(a), along, input_precision=PRECISION)
        else:
            weights = load_tile(w2 + start * D, es, left, ds, D, D, MASK_W)
            x = load_tile(q + start, rows, B, es, left, D, MASK_W)
        out = tl.dot(beta_t * x, weights, out, input_precision=PRECISION)
        if BOUNDED:
            toward2 = load_tile(i2 + start * D, es, left, ds, D, D, MASK_W)
            out = tl.dot((1 - beta_t) * x, toward2, out, input_precision=PRECISION)
        speed2 = load_tile(s2 + start * D, es, left, ds, D, D, MASK_W)
        out = tl.dot(gamma_t * x, speed2, out, input_precision=PRECISION)
    last = load_tile(errors, rows, B, ds, D, D, MASK_D)
    out -= tl.dot(tl.load(path_at) * step * along, last, input_precision=PRECISION)
    store_tile(y + cell * B * D, rows, B, ds, D, D, out, MASK_D)
