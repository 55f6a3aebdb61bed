"""Normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = 1e-6


def rms_norm(d_model: int) -> nn.RMSNorm:
    """Return an RMSNorm whose epsilon does not depend on the dtype."""
    return nn.RMSNorm(d_model, eps=NORM_EPS)


def l2_normalize(x: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Scale the last dimension to unit length; zero stays zero, with a finite gradient."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + eps)


class HeadRMSNorm(nn.Module):
    """RMSNorm of each head over its own entries, with a learned scale per head and entry.

    Parameters
    ----------
    n_heads, head_dim : int
    eps : float, default 1e-4
        Larger than usual: a memory that has learned nothing returns little, and little it should stay.
    """

    def __init__(self, n_heads: int, head_dim: int, *, eps: float = 1e-4) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(n_heads, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x of shape (..., heads, head_dim)."""
        return F.rms_norm(x, x.shape[-1:], eps=self.eps) * self.weight
