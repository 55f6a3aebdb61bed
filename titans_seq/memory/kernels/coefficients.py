"""Kernel `coefficients_kernel`: how each chunk's gradients and opening state enter its weights."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def coefficients_kernel(
    eta,
    alpha,
    keep,
    path,
    beta,
    gamma,
    momentum_row,
    momentum_decay,
    B: tl.constexpr,
):
    """One program per chunk and group: rows of P by their recurrence, one token after the other.

    P_t = (1 − α_t) P_{t−1} + m_t M_t and M_t = η_t M_{t−1} + unit_t: sums of products of the gates themselves,
    so exact for gates of 0 and 1, where logarithms are not.
    """
    cell = tl.program_id(0).to(tl.int64)
    eta += cell * B
    alpha += cell * B
    keep += cell * B
    path += cell * B * B
    beta += cell * B
    gamma += cell * B
    cols = tl.arange(0, B)
    path_t = tl.zeros((B,), tl.float32)
    momentum_t = tl.zeros((B,), tl.float32)
    beta_t = 1.0
    gamma_t = 0.0
    decay_t = 1.0
    for t in range(B):
        eta_t = tl.load(eta + t).to(tl.float32)
        stay = 1.0 - tl.load(alpha + t).to(tl.float32)
        moves = tl.load(keep + t).to(tl.float32)
        momentum_t = tl.where(cols == t, 1.0, eta_t * momentum_t)
        decay_t *= eta_t
        path_t = stay * path_t + moves * momentum_t
        beta_t *= stay
        gamma_t = stay * gamma_t + moves * decay_t
        tl.store(path + t * B + cols, path_t)
        tl.store(beta + t, beta_t)
        tl.store(gamma + t, gamma_t)
    tl.store(momentum_row + cell * B + cols, momentum_t)
    tl.store(momentum_decay + cell, decay_t)
