"""Adjoint of the state with one layer; its state gradients are laid out as in `state_backward`."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import before
from titans_seq.memory.kernels._blocks_backward import (
    dot,
    load_block,
    load_row,
    store_block,
)


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
