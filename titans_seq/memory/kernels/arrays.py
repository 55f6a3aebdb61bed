"""What the forward kernels keep of a segment for the kernels of its adjoint."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SegmentArrays:
    """Contiguous fp32 arrays of N chunks and G groups (batch × heads), chunk size b, head_dim D.

    Attributes
    ----------
    path : Tensor, shape (N, G, b, b)
        P = L_α diag(m) L_η, zero above the diagonal.
    beta, gamma, momentum_row : Tensor, shape (N, G, b)
    momentum_decay : Tensor, shape (N, G)
    weights, momentum : tuples of Tensor, each (N + 1, G, in, out)
        State with which chunk n opens; the last entry is the state at the segment's end. Stored as the update
        left it, before confinement: readers apply `factors`.
    factors : Tensor, shape (N + 1, G)
        f, by which the hidden layer was confined, 1 where it was not:
        W = W_init + f (stored W − W_init) where f ≠ 1, and S = f · stored S. Never for the output layer.
    errors : Tensor, shape (N, G, b, D)
        E: of each token, after the corrections by earlier tokens of its chunk.
    steps : Tensor, shape (N, G, b)
        τ.
    right : Tensor of shape (N, G, b, D), or None
        R, the right-hand side of the solve (rule bounded).
    damping : Tensor of shape (N, G, b), or None
        ρ (rule bounded, two layers).
    inverse : Tensor of shape (N, G, b, b), or None
        X = (I + L)^-1, zero above the diagonal (rule bounded).
    """

    path: Tensor
    beta: Tensor
    gamma: Tensor
    momentum_row: Tensor
    momentum_decay: Tensor
    weights: tuple[Tensor, ...]
    momentum: tuple[Tensor, ...]
    factors: Tensor
    errors: Tensor
    steps: Tensor
    right: Tensor | None = None
    damping: Tensor | None = None
    inverse: Tensor | None = None
