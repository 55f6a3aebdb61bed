"""`neural_memory(backend="triton")` under Triton's interpreter: the whole op, carried states and all gradients.

Run by `test_kernels_interpreted.py`, which sets TRITON_INTERPRET before anything is imported.
"""

from __future__ import annotations

import os
import warnings

import pytest
import torch
from memory_tokens import Tokens
from torch import Tensor

from titans_seq.memory import _dispatch, _segment, chunked, init_state, neural_memory

interpreted = os.environ.get("TRITON_INTERPRET", "0") not in ("", "0")
pytestmark = pytest.mark.skipif(not interpreted, reason="needs TRITON_INTERPRET=1 before import")


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is allocated without being written holds NaN, and PyTorch's own path refuses to run."""
    empty, empty_like, new_empty = torch.empty, torch.empty_like, Tensor.new_empty

    def poison(x: Tensor) -> Tensor:
        return x.fill_(float("nan")) if x.is_floating_point() else x

    monkeypatch.setattr(torch, "empty", lambda *a, **k: poison(empty(*a, **k)))
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: poison(empty_like(*a, **k)))
    monkeypatch.setattr(Tensor, "new_empty", lambda self, *a, **k: poison(new_empty(self, *a, **k)))


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("the torch path was called for backend='triton'")


def read(backend: str, rule: str, depth: int, dtype: torch.dtype, **options) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs and gradients of two calls; the second from states at phases 11 and 7 of a chunk of 16."""
    t = Tokens(time=41, heads=2, dim=20, depth=depth, dtype=torch.float32, closed_gates=True, seed=2)
    t.v = 6 * t.v
    if rule == "titans":
        t.theta = 0.05 * t.theta
    leaves = [x.requires_grad_() for x in (*t.inputs, *t.weights)]
    q, k, v, *gates = leaves[:6]
    tokens = [*(x.to(dtype) for x in (q, k, v)), *gates]
    options = {"chunk_size": 16, "rule": rule, "backend": backend, "return_surprise": True, **options}
    first = neural_memory(*(x[:, :11] for x in tokens), t.state(), lengths=torch.tensor([11, 7]), **options)
    y, state, surprise = neural_memory(
        *(x[:, 11:] for x in tokens), first[1], mask=t.mask[:, 11:], lengths=torch.tensor([30, 21]), **options
    )
    states = (*state.weights, *state.momentum, *state.opening_weights, *state.opening_momentum, state.pending.k)
    outputs = [first[0], first[2], y, surprise, *states]
    g = torch.Generator().manual_seed(0)
    total = sum((o.float() * torch.randn(o.shape, generator=g)).sum() for o in outputs)
    return [o.detach().float() for o in outputs], list(torch.autograd.grad(total, leaves))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("rule", ["bounded", "titans"])
def test_the_op_equals_torch_in_outputs_states_and_all_gradients(
    monkeypatch: pytest.MonkeyPatch, rule: str, depth: int
) -> None:
    expected = read("torch", rule, depth, torch.float32)
    monkeypatch.setattr(_segment.TorchEngine, "forward", refuse)
    monkeypatch.setattr(_segment.TorchEngine, "backward", refuse)
    monkeypatch.setattr(chunked, "read_segment_by_autograd", refuse)
    ours = read("triton", rule, depth, torch.float32, checkpoint_every=1)
    for got, want in zip(ours[0] + ours[1], expected[0] + expected[1], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=2e-5 * float(want.abs().max()))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
def test_half_precision_tokens_keep_a_single_precision_state(dtype: torch.dtype, tolerance: float) -> None:
    # The interpreter rounds to bfloat16 by truncation, hence twice the tolerance a GPU needs.
    expected, ours = read("torch", "bounded", 2, dtype), read("triton", "bounded", 2, dtype)
    for got, want in zip(ours[0] + ours[1], expected[0] + expected[1], strict=True):
        torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance * float(want.abs().max()))
    state = neural_memory(*(x.to(dtype) for x in Tokens(dim=20).inputs), Tokens(dim=20, dtype=torch.float32).state(),
                          chunk_size=16, backend="triton")[1]  # fmt: skip
    assert state.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"chunk_size": 5}, "the kernels have chunk sizes 16, 32 and 64, not 5"),
        ({"surprise_threshold": 1.0}, "the kernels have no surprise threshold"),
        ({"rule": "titans", "loss": "dot"}, "the kernels have no loss 'dot'"),
    ],
)
def test_what_does_not_fit_goes_to_torch_and_is_said_once(options: dict, reason: str) -> None:
    t = Tokens(dim=20, dtype=torch.float32)
    options = {"chunk_size": 16, **options}
    _dispatch._say_once.cache_clear()
    with pytest.warns(UserWarning, match=reason):
        y, _ = neural_memory(*t.inputs, t.state(), backend="triton", **options)
    assert torch.equal(y, neural_memory(*t.inputs, t.state(), backend="torch", **options)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neural_memory(*t.inputs, t.state(), backend="triton", **options)


def test_three_layers_and_wide_heads_go_to_torch() -> None:
    _dispatch._say_once.cache_clear()
    t = Tokens(dim=20, depth=3, dtype=torch.float32)
    with pytest.warns(UserWarning, match="one or two layers, not 3"):
        neural_memory(*t.inputs, t.state(), backend="triton", chunk_size=16)
    weights = [torch.randn(1, 130, 130)]
    tokens = [torch.randn(1, 3, 1, 130) for _ in range(3)] + [torch.rand(1, 3, 1) for _ in range(3)]
    with pytest.warns(UserWarning, match="head dimensions up to 128, not 130"):
        neural_memory(*tokens, init_state(weights, batch_size=1), backend="triton", chunk_size=16)
