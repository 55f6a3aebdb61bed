"""Adjoint of a chunk's coefficients: from P, β, γ and the momentum row back to the gates, parallel over chunks."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import before
from titans_seq.memory.kernels._blocks_backward import dot, load_block, load_row


@triton.jit
def _decay(gate, rows):
    """D[t, j] = product of the gates j + 1 … t, 1 on and 0 above the diagonal; a zero gate stays a zero."""
    factors = tl.where(rows[:, None] > rows[None, :], gate[:, None], 1.0)
    return tl.where(rows[:, None] >= rows[None, :], tl.cumprod(factors, 0), 0.0)


@triton.jit
def _decay_to_before(gate_before, rows):
    """D[t − 1, j] below the diagonal, 0 elsewhere, from the gates shifted down one slot."""
    factors = tl.where(rows[:, None] - 1 > rows[None, :], gate_before[:, None], 1.0)
    return tl.where(rows[:, None] > rows[None, :], tl.cumprod(factors, 0), 0.0)


@triton.jit
def _gate_gradient(decays, decays_grad, products_grad, gate_before, rows, PRECISION: tl.constexpr):
    """Gradient of gates from that of their decay matrix and of their cumulative products.

    Products of the gates to both sides of each gate, so it is exact where gates are zero.
    """
    inner = dot(tl.trans(decays), decays_grad, PRECISION) * _decay_to_before(gate_before, rows)
    through = tl.sum(decays * products_grad[:, None], 0)
    return tl.sum(inner, 1) + through * tl.cumprod(gate_before, 0)


@triton.jit
def coefficients_backward_kernel(
    theta,
    eta,
    alpha,
    keep,
    momentum_row,
    steps,
    path_grad,
    path_before_grad,
    gates_grad,
    before_grad,
    close_grad,
    carry_grad,
    base_grad,
    theta_grad,
    eta_grad,
    alpha_grad,
    B: tl.constexpr,
    BOUNDED: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of the gates of one chunk, zero for tokens that are not kept."""
    cell = tl.program_id(0).to(tl.int64)
    rows = tl.arange(0, B)
    lane, square = cell * B, cell * B * B
    last = rows == B - 1
    kept = tl.load(keep + lane + rows) != 0
    moves = tl.where(kept, 1.0, 0.0)
    step = load_row(steps + lane, rows)

    # P serves the reads, the chunk's end (last row) and, one row later, the errors; β and γ likewise.
    to_path = load_block(path_grad + square, rows, rows, B, B)
    beta_grad = load_row(gates_grad + lane * 2, rows) + tl.where(last, tl.load(carry_grad + cell * 3), 0.0)
    gamma_grad = load_row(gates_grad + lane * 2 + B, rows)
    gamma_grad += tl.where(last, tl.load(carry_grad + cell * 3 + 1), 0.0)
    to_path += tl.where(last[:, None], (load_row(close_grad + lane * 2, rows) * step)[None, :], 0.0)
    if BOUNDED:
        later = path_before_grad + square + (rows[:, None] + 1) * B + rows[None, :]
        to_path += tl.load(later, mask=rows[:, None] + 1 < B, other=0.0)
        shifted = before_grad + lane * 2 + rows + 1
        beta_grad += tl.load(shifted, mask=rows + 1 < B, other=0.0)
        gamma_grad += tl.load(shifted + B, mask=rows + 1 < B, other=0.0)
    row_grad = load_row(close_grad + lane * 2 + B, rows) * step

    gate = load_row(eta + lane, rows)
    carries = _decay(gate, rows)
    carried = tl.cumprod(gate, 0)
    retained = 1.0 - load_row(alpha + lane, rows)
    retains = _decay(retained, rows)
    retains_grad = dot(to_path, tl.trans(moves[:, None] * carries), PRECISION)
    retains_grad += gamma_grad[:, None] * (moves * carried)[None, :]
    retained_before = 1.0 - before(alpha + lane, rows, 0.0)
    grad = -_gate_gradient(retains, retains_grad, beta_grad, retained_before, rows, PRECISION)
    tl.store(alpha_grad + lane + rows, tl.where(kept, grad, 0.0))

    carries_grad = moves[:, None] * dot(tl.trans(retains), to_path, PRECISION)
    carries_grad += tl.where(last[:, None], row_grad[None, :], 0.0)
    carried_grad = moves * tl.sum(retains * gamma_grad[:, None], 0)
    carried_grad += tl.where(last, tl.load(carry_grad + cell * 3 + 2), 0.0)
    gate_before = before(eta + lane, rows, 1.0)
    grad = _gate_gradient(carries, carries_grad, carried_grad, gate_before, rows, PRECISION)
    base = load_row(base_grad + lane, rows)
    if BOUNDED:
        grad -= base * load_row(theta + lane, rows)
        base *= 1.0 - gate
    tl.store(theta_grad + lane + rows, tl.where(kept, base, 0.0))
    tl.store(eta_grad + lane + rows, tl.where(kept, grad, 0.0))
