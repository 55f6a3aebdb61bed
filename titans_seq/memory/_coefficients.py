"""Weights with which a chunk's opening state and gradients enter M_t and S_t."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Coefficients(NamedTuple):
    """Coefficients of one or many chunks; leading dimensions are free.

    Attributes
    ----------
    path : Tensor, shape (…, chunk, chunk)
        L_α diag(m) L_η: weight of −τ_i ∇ℓ_i in M_t, zero above the diagonal.
    beta, gamma : Tensor, shape (…, chunk)
        Weights of W_0 and S_0 in M_t.
    momentum_row : Tensor, shape (…, chunk)
        L_η[b, i]: weight of −τ_i ∇ℓ_i in S at the chunk's end.
    momentum_decay : Tensor, shape (…,)
        Πη: weight of S_0 in S at the chunk's end.
    """

    path: Tensor
    beta: Tensor
    gamma: Tensor
    momentum_row: Tensor
    momentum_decay: Tensor


def decay_matrix(gate: Tensor) -> Tensor:
    """Lower triangular D[t, j] = Π_{m=j+1..t} gate_m (1 on the diagonal), for gate of shape (…, chunk).

    Products are taken directly rather than as differences of cumulative logarithms: a gate of exactly zero
    stays a zero, and its gradient is the product of the other gates instead of 0/0.
    """
    size = gate.shape[-1]
    below = torch.ones(size, size, dtype=torch.bool, device=gate.device).tril(-1)
    factors = torch.where(below, gate.unsqueeze(-1), 1)
    return torch.cumprod(factors, -2).tril()


def chunk_coefficients(eta: Tensor, alpha: Tensor, keep: Tensor) -> Coefficients:
    """Coefficients from gates of shape (…, chunk); masked tokens have eta 1, alpha 0 and keep False."""
    moves = keep.to(eta.dtype)
    momentum = decay_matrix(eta)
    forget = decay_matrix(1 - alpha)
    path = forget @ (moves.unsqueeze(-1) * momentum)
    eta_products = torch.cumprod(eta, -1)
    gamma = (forget @ (moves * eta_products).unsqueeze(-1)).squeeze(-1)
    return Coefficients(path, torch.cumprod(1 - alpha, -1), gamma, momentum[..., -1, :], eta_products[..., -1])
