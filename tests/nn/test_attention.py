"""Attention against a token-by-token loop, and what it never allocates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from titans_seq.nn import Backbone, FullAttention, SlidingWindowAttention
from titans_seq.nn.attention import AttentionProjections
from titans_seq.nn.rotary import rotary_table, rotate


def loop_attention(
    attention: AttentionProjections, x: Tensor, window: int, persistent: Tensor, mask: Tensor, offset: int = 0
) -> Tensor:
    """One query at a time, at absolute positions from ``offset``."""
    q, k, v = attention.queries_keys_values(x)
    table = rotary_table(torch.arange(offset, offset + x.shape[1]), attention.head_dim, x.dtype)
    rq, rk = rotate(q, table), rotate(k, table)
    pk, pv = attention.keys_values(persistent)
    y = torch.zeros_like(q)
    for b in range(x.shape[0]):
        for t in range(x.shape[1]):
            seen = [i for i in range(max(0, t - window + 1), t + 1) if mask[b, i] or i == t]
            for h in range(attention.n_heads):
                scores = torch.cat((pk[:, h] @ q[b, t, h], rk[b, seen, h] @ rq[b, t, h])) * attention.scale
                y[b, t, h] = scores.softmax(0) @ torch.cat((pv[:, h], v[b, seen, h]))
    return attention.join_heads(y)


def inputs(time: int, n_persistent: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    x = torch.randn(2, time, 10, dtype=torch.float64)
    mask = torch.rand(2, time) > 0.3
    mask[0, :3] = False
    return x, torch.randn(n_persistent, 10, dtype=torch.float64), mask


@pytest.mark.parametrize("n_persistent", [0, 3])
@pytest.mark.parametrize("time", [1, 5, 31, 32, 70])
@pytest.mark.parametrize("window", [1, 4, 16, 19, 100])
def test_window_attention_is_a_loop_over_the_window(window: int, time: int, n_persistent: int) -> None:
    x, persistent, mask = inputs(time, n_persistent)
    attention = SlidingWindowAttention(10, 2, window).double()
    y, cache = attention(x, persistent=persistent, mask=mask)
    torch.testing.assert_close(y, loop_attention(attention, x, window, persistent, mask), rtol=0, atol=1e-13)
    assert cache.width == window


@pytest.mark.parametrize("n_persistent", [0, 3])
@pytest.mark.parametrize("time", [1, 33])
def test_full_attention_is_a_loop_over_the_past(time: int, n_persistent: int) -> None:
    x, persistent, mask = inputs(time, n_persistent)
    attention = FullAttention(10, 2).double()
    y, _ = attention(x, persistent=persistent, mask=mask)
    torch.testing.assert_close(y, loop_attention(attention, x, time, persistent, mask), rtol=0, atol=1e-13)


def test_window_attention_does_not_depend_on_the_absolute_position() -> None:
    x, persistent, mask = inputs(40, 2)
    attention = SlidingWindowAttention(10, 2, 6).double()
    far = loop_attention(attention, x, 6, persistent, mask, offset=10_000_000)
    torch.testing.assert_close(attention(x, persistent=persistent, mask=mask)[0], far, rtol=0, atol=1e-8)


@pytest.mark.parametrize("n_persistent", [0, 2])
def test_a_query_that_sees_nothing_else_is_finite(n_persistent: int) -> None:
    x, persistent, _ = inputs(20, n_persistent)
    x.requires_grad_()
    y, _ = SlidingWindowAttention(10, 2, 4).double()(
        x, persistent=persistent, mask=torch.zeros(2, 20, dtype=torch.bool)
    )
    y.sum().backward()
    assert y.isfinite().all() and x.grad is not None and x.grad.isfinite().all()


def test_a_masked_token_is_seen_by_itself_alone() -> None:
    x, persistent, mask = inputs(20, 2)
    attention = SlidingWindowAttention(10, 2, 6).double()
    before, _ = attention(x, persistent=persistent, mask=mask)
    changed = torch.where(mask[..., None], x, x + 1)
    after, _ = attention(changed, persistent=persistent, mask=mask)
    assert torch.equal(after[mask], before[mask])
    assert ((after != before).any(-1) == ~mask).all()


def test_the_full_cache_drops_slots_that_no_row_sees() -> None:
    x, _, _ = inputs(9, 0)
    attention = FullAttention(10, 2).double()
    _, cache = attention(x, lengths=torch.tensor([4, 2]))
    assert cache.width == 4
    assert cache.visible.tolist() == [[True] * 4, [False, False, True, True]]


class LargestTensor(TorchDispatchMode):
    """Records the most elements that any operation returned."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        sizes = [t.untyped_storage().nbytes() // t.element_size() for t in tensors]
        self.numel = max([self.numel, *sizes])
        return out


@pytest.mark.parametrize("variant", ["swa", "mag", "mal", "mac", "lmm"])
def test_no_tensor_grows_with_the_square_of_time(variant: str) -> None:
    backbone = Backbone(8, 1, 2, variant, window_size=16, chunk_size=16)
    largest = []
    for time in (512, 1024):
        with LargestTensor() as record:
            y, _ = backbone(torch.randn(1, time, 8))
            y.sum().backward()
        largest.append(record.numel)
    assert largest[1] <= 2.1 * largest[0]
    assert largest[1] < 1024 * 1024 / 4
