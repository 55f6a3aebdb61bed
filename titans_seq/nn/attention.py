"""What the kinds of causal attention have in common.

A masked token is seen by no other token; every token sees itself, so that no softmax is ever empty.
Persistent tokens are seen by all. They have no position: their keys are scored with the unrotated query,
hence a result does not depend on how far a stream has run, or where it was cut.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AttentionProjections(nn.Module):
    """Linear maps from tokens to queries, keys, values, and back."""

    def __init__(self, d_model: int, n_heads: int, head_dim: int | None = None) -> None:
        super().__init__()
        self.n_heads, self.head_dim = n_heads, head_dim or d_model // n_heads
        inner = self.n_heads * self.head_dim
        self.project_in = nn.Linear(d_model, 3 * inner, bias=False)
        self.project_out = nn.Linear(inner, d_model, bias=False)

    @property
    def scale(self) -> float:
        """Factor of the scores."""
        return float(self.head_dim**-0.5)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (batch, time, d_model) to three tensors (batch, time, heads, head_dim)."""
        q, k, v = self.project_in(x).unflatten(-1, (3, self.n_heads, self.head_dim)).unbind(-3)
        return q, k, v

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (..., d_model) to keys and values (..., heads, head_dim)."""
        weight = self.project_in.weight[self.n_heads * self.head_dim :]
        k, v = F.linear(x, weight).unflatten(-1, (2, self.n_heads, self.head_dim)).unbind(-3)
        return k, v

    def join_heads(self, x: Tensor) -> Tensor:
        """Map (batch, time, heads, head_dim) to (batch, time, d_model)."""
        return self.project_out(x.flatten(-2))


def attend(
    query: Tensor,
    rotated: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor,
    persistent: tuple[Tensor, Tensor],
) -> Tensor:
    """Softmax attention over persistent tokens and others in one softmax.

    Parameters
    ----------
    query, rotated : Tensor, shape (..., heads, queries, head_dim)
        The scaled query before and after rotation.
    keys : Tensor, shape (..., heads, head_dim, n)
        Rotated keys, transposed.
    values : Tensor, shape (..., heads, n, head_dim)
        Their values.
    bias : Tensor, broadcastable to (..., heads, queries, n)
        0 where a query sees a key, else -inf.
    persistent : tuple of Tensor, each (n_persistent, heads, head_dim)
        Keys and values of the persistent tokens; possibly none.

    Returns
    -------
    Tensor, shape (..., heads, queries, head_dim)
    """
    scores = torch.matmul(rotated, keys).add_(bias)
    n = persistent[0].shape[0]
    if n == 0:
        return torch.matmul(scores.softmax(-1), values)
    fixed = torch.matmul(query, persistent[0].permute(1, 2, 0))
    weights = torch.cat((fixed, scores), -1).softmax(-1)
    return torch.matmul(weights[..., :n], persistent[1].transpose(0, 1)) + torch.matmul(weights[..., n:], values)


def hide(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where ``visible`` and -inf elsewhere."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, float("-inf"))
