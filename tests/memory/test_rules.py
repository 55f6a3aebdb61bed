"""Both backends against recurrences written out a third time, with torch.func.grad where a gradient is meant."""

from __future__ import annotations

import pytest
import torch
from memory_tokens import Tokens
from torch import Tensor
from torch.nn.functional import silu

from titans_seq.memory import PRESETS, init_state, neural_memory

BACKENDS = ["reference", "torch"]


def forward(weights: tuple[Tensor, ...], x: Tensor) -> Tensor:
    for w in weights[:-1]:
        x = silu(x @ w)
    return x @ weights[-1]


def loss(weights: tuple[Tensor, ...], k: Tensor, v: Tensor) -> Tensor:
    return 0.5 * (forward(weights, k) - v).square().sum()


def paper_loop(t, row: int, head: int, chunk_size: int) -> Tensor:
    """Titans eq. 9-14, gradients from torch.func.grad at the weights with which the chunk opened."""
    weights = tuple(w[head] for w in t.weights)
    momentum = tuple(torch.zeros_like(w) for w in weights)
    out = []
    for i in range(t.time):
        if i % chunk_size == 0:
            opening = weights
        grads = torch.func.grad(loss)(opening, t.k[row, i, head], t.v[row, i, head])
        theta, eta, alpha = (g[row, i, head] for g in (t.theta, t.eta, t.alpha))
        momentum = tuple(eta * s - theta * g for s, g in zip(momentum, grads, strict=True))
        weights = tuple((1 - alpha) * w + s for w, s in zip(weights, momentum, strict=True))
        out.append(forward(weights, t.q[row, i, head]))
    return torch.stack(out)


def normalised_lms_loop(t, row: int, head: int) -> Tensor:
    """Depth-1 bounded rule, token by token: every error is taken at the latest weights."""
    (initial,) = (w[head] for w in t.weights)
    weights, momentum, out = initial, torch.zeros_like(initial), []
    for i in range(t.time):
        k, v, q = (x[row, i, head] for x in (t.k, t.v, t.q))
        theta, eta, alpha = (g[row, i, head] for g in (t.theta, t.eta, t.alpha))
        step = theta * (1 - eta) / (k @ k + 1e-6)
        momentum = eta * momentum - step * torch.outer(k, k @ weights - v)
        weights = (1 - alpha) * weights + alpha * initial + momentum
        out.append(q @ weights)
    return torch.stack(out)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("chunk_size", [1, 5, 16])
def test_titans_rule_is_the_papers_recurrence(backend: str, depth: int, chunk_size: int) -> None:
    t = Tokens(depth=depth, closed_gates=True)
    y, _ = neural_memory(*t.inputs, t.state(), rule="titans", chunk_size=chunk_size, backend=backend)
    for row in range(t.batch):
        for head in range(2):
            expected = paper_loop(t, row, head, chunk_size)
            torch.testing.assert_close(y[row, :, head], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunk_size", [1, 5, 16])
def test_bounded_rule_of_depth_1_is_token_by_token_normalised_lms(backend: str, chunk_size: int) -> None:
    t = Tokens(depth=1, closed_gates=True)
    y, _ = neural_memory(*t.inputs, t.state(), rule="bounded", chunk_size=chunk_size, backend=backend)
    for row in range(t.batch):
        for head in range(2):
            torch.testing.assert_close(y[row, :, head], normalised_lms_loop(t, row, head), rtol=1e-10, atol=1e-10)


def preset_loop(name: str, t, row: int, head: int, chunk_size: int) -> Tensor:
    """The published recurrence of each preset (M maps keys to values: y = qᵀM)."""
    weights = tuple(w[head] for w in t.weights)
    out = []
    for i in range(t.time):
        k, v, q = (x[row, i, head] for x in (t.k, t.v, t.q))
        beta, keep = t.theta[row, i, head], 1 - t.alpha[row, i, head]
        if i % chunk_size == 0:
            opening = weights
        (m,) = weights if len(weights) == 1 else (None,)
        if name == "linear_attention":
            weights = (m + torch.outer(k, v),)
        elif name == "delta":
            weights = (m - beta * torch.outer(k, k @ m - v),)
        elif name == "gated_delta":
            weights = (keep * (m - beta * torch.outer(k, k @ m)) + beta * torch.outer(k, v),)
        else:
            grads = torch.func.grad(loss)(opening, k, v)
            weights = tuple(w - beta * g for w, g in zip(weights, grads, strict=True))
        out.append(forward(weights, q))
    return torch.stack(out)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["linear_attention", "delta", "gated_delta", "ttt_linear", "ttt_mlp"])
def test_a_preset_is_its_published_recurrence(backend: str, name: str) -> None:
    preset = PRESETS[name]
    t = Tokens(depth=preset.depth)
    if name == "gated_delta":
        t.weights = tuple(torch.zeros_like(w) for w in t.weights)
    y, _ = preset(*t.inputs, t.state(), chunk_size=5, backend=backend)
    tolerance = 1e-4 if "1e-6" in preset.deviations else 1e-10
    for row in range(t.batch):
        for head in range(2):
            expected = preset_loop(name, t, row, head, 5)
            torch.testing.assert_close(y[row, :, head], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_titans_preset_is_the_papers_recurrence(backend: str) -> None:
    t = Tokens(depth=2)
    y, _ = PRESETS["titans"](*t.inputs, t.state(), chunk_size=5, backend=backend)
    torch.testing.assert_close(y[0, :, 0], paper_loop(t, 0, 0, 5), rtol=1e-10, atol=1e-10)


def test_a_preset_refuses_a_memory_of_another_depth() -> None:
    t = Tokens(depth=2)
    with pytest.raises(ValueError, match="preset 'delta' has depth 1, the state has depth 2"):
        PRESETS["delta"](*t.inputs, t.state())


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_solve_survives_one_repeated_key_at_zero_output_weights(size: int) -> None:
    """The product form of the inverse loses everything here from 32 tokens on."""
    k = torch.zeros(1, size, 1, 8)
    k[..., 0] = 1.0
    v = torch.full_like(k, 2.0)
    gate = torch.full((1, size, 1), 0.999)
    weights = (torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 16, 8))
    inputs = (k, k, v, gate, torch.full_like(gate, 0.01), torch.zeros_like(gate))
    single, _ = neural_memory(*inputs, init_state(weights, batch_size=1), chunk_size=size, backend="torch")
    exact, _ = neural_memory(*inputs, init_state(weights, batch_size=1), chunk_size=size, backend="reference")
    assert (single - exact).norm() / exact.norm() < 1e-5
