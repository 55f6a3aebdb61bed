"""Weights with which a chunk's opening state and gradients enter M_t and S_t, and their adjoint."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


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


NEGLIGIBLE = 1e-12
"""Products below this are zero in single precision: far below rounding, and products of two are no denormals yet."""


class Decay(NamedTuple):
    """Products of a gate over spans of a chunk.

    Attributes
    ----------
    matrix : Tensor, shape (…, chunk, chunk)
        Lower triangular D[t, j] = Π_{m=j+1..t} gate_m, 1 on the diagonal.
    whole : Tensor, shape (…, chunk)
        Π_{m≤t} gate_m.
    """

    matrix: Tensor
    whole: Tensor


BLOCK = 16


def decay_products(gate: Tensor) -> Decay:
    """Products over all spans of a gate of shape (…, chunk).

    Products are taken directly rather than as differences of cumulative logarithms: a gate of exactly zero
    stays a zero, and its gradient is the product of the other gates instead of 0/0.
    """
    size = gate.shape[-1]
    if size <= BLOCK or size % BLOCK:
        return Decay(_flush(_spans(gate)), _flush(torch.cumprod(gate, -1)))
    return Decay(*(_flush(x) for x in _spans_by_blocks(gate.unflatten(-1, (-1, BLOCK)))))


def _spans(gate: Tensor) -> Tensor:
    size = gate.shape[-1]
    below = torch.ones(size, size, dtype=torch.bool, device=gate.device).tril(-1)
    return torch.cumprod(torch.where(below, gate.unsqueeze(-1), 1), -2).tril()


def _spans_by_blocks(gate: Tensor) -> tuple[Tensor, Tensor]:
    """Spans within blocks, and spans over blocks as suffix × whole blocks between × prefix: half the work.

    ``gate`` has shape (…, blocks, BLOCK); returns the matrix (…, chunk, chunk) and the products (…, chunk).
    """
    inner, prefix = _spans(gate), torch.cumprod(gate, -1)
    suffix, whole = inner[..., -1, :], prefix[..., -1]
    between = F.pad(_spans(whole)[..., :-1, :], (0, 0, 1, 0))
    before = (between.unsqueeze(-1) * suffix.unsqueeze(-3)).flatten(-2)
    matrix = prefix.unsqueeze(-1) * before.unsqueeze(-2)
    blocks = matrix.unflatten(-1, gate.shape[-2:]).diagonal(dim1=-4, dim2=-2)
    blocks.copy_(inner.movedim(-3, -1))
    earlier = F.pad(torch.cumprod(whole, -1)[..., :-1], (1, 0), value=1.0)
    return matrix.flatten(-3, -2), (prefix * earlier.unsqueeze(-1)).flatten(-2)


def _flush(products: Tensor) -> Tensor:
    """Set what is far below rounding to zero: denormal numbers slow every product they enter a hundredfold.

    Gradients pass: the product of the other gates is not small where one gate is zero.
    """
    if products.dtype == torch.float64:
        return products
    if products.requires_grad:
        return products - torch.where(products > NEGLIGIBLE, 0, products).detach()
    return F.threshold(products, NEGLIGIBLE, 0.0)


def decay_backward(decay: Decay, grad: Decay) -> Tensor:
    """Adjoint of `decay_products`: g̃_m = Σ_{j<m} (Dᵀ D̃)[m, j] D[m−1, j], j = −1 standing for the whole.

    No division by a gate, so it is exact at zeros.
    """
    spans = decay.matrix.mT @ torch.cat((grad.whole.unsqueeze(-1), grad.matrix), -1)
    before = F.pad(decay.whole[..., :-1], (1, 0), value=1.0)
    inner = (spans[..., 1:, 1:] * decay.matrix[..., :-1, :]).sum(-1)
    return spans[..., 0] * before + F.pad(inner, (1, 0))


class CoefficientMatrices(NamedTuple):
    """Coefficients, and the products of (1 − α) and η that they were made from."""

    coefficients: Coefficients
    forget: Decay
    momentum: Decay


def coefficient_matrices(eta: Tensor, alpha: Tensor, keep: Tensor) -> CoefficientMatrices:
    """Coefficients from gates of shape (…, chunk); masked tokens have eta 1, alpha 0 and keep False."""
    forget, momentum = decay_products(1 - alpha), decay_products(eta)
    moves = keep.to(eta.dtype)
    coefficients = Coefficients(
        path=_flush(forget.matrix @ (moves.unsqueeze(-1) * momentum.matrix)),
        beta=forget.whole,
        gamma=_flush((forget.matrix @ (moves * momentum.whole).unsqueeze(-1)).squeeze(-1)),
        momentum_row=momentum.matrix[..., -1, :],
        momentum_decay=momentum.whole[..., -1],
    )
    return CoefficientMatrices(coefficients, forget, momentum)


def coefficients_backward(made: CoefficientMatrices, keep: Tensor, grad: Coefficients) -> tuple[Tensor, Tensor]:
    """Adjoint of `coefficient_matrices`: gradients for eta and alpha, each (…, chunk)."""
    moves = keep.to(grad.beta.dtype)
    entered = moves.unsqueeze(-1) * made.momentum.matrix
    forget_matrix = grad.path @ entered.mT + grad.gamma.unsqueeze(-1) * (moves * made.momentum.whole).unsqueeze(-2)
    alpha = -decay_backward(made.forget, Decay(forget_matrix.tril(), grad.beta))
    momentum_matrix = moves.unsqueeze(-1) * (made.forget.matrix.mT @ grad.path)
    momentum_matrix[..., -1, :] += grad.momentum_row
    momentum_whole = moves * (made.forget.matrix.mT @ grad.gamma.unsqueeze(-1)).squeeze(-1)
    momentum_whole[..., -1] += grad.momentum_decay
    return decay_backward(made.momentum, Decay(momentum_matrix.tril(), momentum_whole)), alpha


def chunk_coefficients(eta: Tensor, alpha: Tensor, keep: Tensor) -> Coefficients:
    """Coefficients from gates of shape (…, chunk); masked tokens have eta 1, alpha 0 and keep False."""
    return coefficient_matrices(eta, alpha, keep).coefficients
