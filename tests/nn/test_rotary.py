"""Rotary embedding."""

from __future__ import annotations

import pytest
import torch

from titans_seq.nn.rotary import rotary_table, rotate


@pytest.mark.parametrize("head_dim", [1, 2, 7, 16])
def test_scores_depend_on_the_distance_alone(head_dim: int) -> None:
    q, k = torch.randn(2, 1, head_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def score(i: int, j: int) -> torch.Tensor:
        tables = (rotary_table(torch.tensor([p]), head_dim, torch.float64) for p in (i, j))
        return (rotate(q[None], next(tables)) * rotate(k[None], next(tables))).sum()

    torch.testing.assert_close(score(9, 4), score(1_000_009, 1_000_004), rtol=0, atol=1e-9)
    if head_dim > 1:
        assert (score(9, 4) - score(9, 5)).abs() > 1e-6


def test_rotation_keeps_length_and_leaves_position_zero_alone() -> None:
    x = torch.randn(5, 2, 7, dtype=torch.float64)
    y = rotate(x, rotary_table(torch.arange(5), 7, torch.float64))
    torch.testing.assert_close(y.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(y[0], x[0])


def test_angles_are_exact_at_ten_million() -> None:
    cos, _ = rotary_table(torch.tensor([10_000_000]), 2, torch.float32)
    assert abs(cos.item() - torch.tensor(1e7, dtype=torch.float64).cos().item()) < 1e-7
