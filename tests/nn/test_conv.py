"""The causal convolution."""

from __future__ import annotations

import pytest
import torch

from titans_seq.nn.conv import CausalConv


@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_convolution_is_a_sum_over_the_last_tokens(width: int) -> None:
    conv, x = CausalConv(3, width=width).double(), torch.randn(2, 9, 3, dtype=torch.float64)
    y, _ = conv(x, conv.empty_tail(2))
    for t in range(9):
        past = [x[:, t - i] * conv.weight[:, width - 1 - i] for i in range(min(width, t + 1))]
        torch.testing.assert_close(y[:, t], sum(past) + conv.bias)


def test_the_tail_continues_each_row_after_its_own_length() -> None:
    conv, x, more = CausalConv(3), torch.randn(4, 9, 3), torch.randn(4, 5, 3)
    lengths = torch.tensor([9, 4, 0, 1])
    _, tail = conv(x, conv.empty_tail(4), lengths)
    y, _ = conv(more, tail)
    for row, n in enumerate(lengths.tolist()):
        whole, _ = conv(torch.cat((x[row : row + 1, :n], more[row : row + 1]), 1), conv.empty_tail(1))
        torch.testing.assert_close(y[row], whole[0, n:])


def test_a_tail_does_not_keep_the_tokens_of_a_long_call_alive() -> None:
    conv = CausalConv(3)
    _, tail = conv(torch.randn(1, 1000, 3), conv.empty_tail(1))
    assert tail.untyped_storage().nbytes() == tail.numel() * 4
