"""Which implementation reads a call."""

from __future__ import annotations

import os

import pytest
import torch
from memory_tokens import Tokens

from titans_seq.memory import neural_memory
from titans_seq.memory.kernels.limits import why_not


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"), reason="the interpreter runs anywhere")
def test_triton_without_a_gpu_is_refused_with_what_to_do() -> None:
    t = Tokens(dtype=torch.float32)
    with pytest.raises(ValueError, match=r"needs tensors on a CUDA device, found 'cpu'; use backend='auto' or 'torch'"):
        neural_memory(*t.inputs, t.state(), backend="triton", chunk_size=16)


def test_auto_on_a_cpu_is_torch_without_a_word() -> None:
    t = Tokens(dtype=torch.float32)
    y, _ = neural_memory(*t.inputs, t.state(), chunk_size=16)
    assert torch.equal(y, neural_memory(*t.inputs, t.state(), backend="torch", chunk_size=16)[0])


def test_an_unknown_backend_lists_those_there_are() -> None:
    t = Tokens()
    with pytest.raises(ValueError, match="backend must be one of 'auto', 'reference', 'torch', 'triton', found 'cuda'"):
        neural_memory(*t.inputs, t.state(), backend="cuda")


@pytest.mark.parametrize(
    ("head_dim", "hidden", "dtype", "reason"),
    [
        (64, 128, torch.bfloat16, None),
        (16, 16, torch.float32, None),
        (129, 129, torch.float32, "head dimensions up to 128, not 129"),
        (128, 1024, torch.float32, "hidden widths up to 512, not 1024"),
        (64, 64, torch.float64, "read float32, bfloat16 and float16, not float64"),
    ],
)
def test_what_the_kernels_take(head_dim: int, hidden: int, dtype: torch.dtype, reason: str | None) -> None:
    weights = [torch.randn(1, head_dim, hidden), torch.randn(1, hidden, head_dim)]
    said = why_not(torch.randn(1, 1, 1, head_dim).to(dtype), weights, chunk_size=64)
    assert said is None if reason is None else (said is not None and reason in said)
