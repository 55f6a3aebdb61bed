"""Normalisation at and near zero."""

from __future__ import annotations

import torch

from titans_seq.nn.norm import HeadRMSNorm, l2_normalize


def test_unit_length_has_a_finite_gradient_at_zero() -> None:
    x = torch.zeros(2, 5, requires_grad=True)
    y = l2_normalize(x)
    y.sum().backward()
    assert not y.any() and x.grad is not None and x.grad.isfinite().all()
    torch.testing.assert_close(l2_normalize(torch.randn(3, 5)).norm(dim=-1), torch.ones(3), rtol=0, atol=1e-4)


def test_heads_are_normalised_apart() -> None:
    norm, x = HeadRMSNorm(2, 6), torch.randn(4, 2, 6)
    scaled = x * torch.tensor([1.0, 50.0])[:, None]
    torch.testing.assert_close(norm(scaled)[:, 0], norm(x)[:, 0], rtol=0, atol=0)
    torch.testing.assert_close(norm(scaled).square().mean(-1), torch.ones(4, 2), rtol=0, atol=1e-2)


def test_a_memory_that_returns_little_is_not_blown_up() -> None:
    assert HeadRMSNorm(1, 4)(torch.full((1, 1, 4), 1e-5)).abs().max() < 2e-3
