"""The neural memory as a layer."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from titans_seq.memory import init_state, neural_memory
from titans_seq.nn import NeuralMemory
from titans_seq.nn.memory_layer import initial_weights


def build(**options: int | float | str) -> NeuralMemory:
    torch.manual_seed(0)
    return NeuralMemory(12, 2, **({"chunk_size": 5} | options)).double()


def tokens(time: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, time, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_layer_is_projections_around_the_op() -> None:
    layer, x = build(backend="reference"), tokens(13)
    inner = F.silu(layer.project_in(x))
    taps = layer.conv.weight
    mixed = sum(F.pad(inner, (0, 0, i, 0))[:, :13] * taps[:, 3 - i] for i in range(4)) + layer.conv.bias
    q, k, v = mixed.reshape(2, 13, 3, 2, 6).unbind(2)
    gates = layer.gates(x)
    theta, eta, alpha = gates[..., :6].sigmoid().reshape(2, 13, 3, 2).unbind(2)
    state = init_state(tuple(layer.initial), batch_size=2)
    unit = [a / (a.square().sum(-1, keepdim=True) + 1e-6).sqrt() for a in (q, k)]
    read, _ = neural_memory(*unit, v, theta, eta, alpha, state, chunk_size=5, backend="reference")
    scaled = read / (read.square().mean(-1, keepdim=True) + 1e-4).sqrt() * layer.norm.weight
    expected = layer.project_out((scaled * gates[..., 6:].sigmoid().reshape(2, 13, 2, 6)).flatten(-2))
    torch.testing.assert_close(layer(x)[0], expected, rtol=0, atol=1e-10)


def test_gates_start_where_they_were_asked_to() -> None:
    layer = build(initial_theta=0.8, initial_eta=0.7, initial_alpha=0.01)
    theta, eta, alpha, output = layer._gates(torch.zeros(1, 1, 12, dtype=torch.float64))
    for found, level in ((theta, 0.8), (eta, 0.7), (alpha, 0.01), (output, 0.5)):
        torch.testing.assert_close(found, torch.full_like(found, level))


@pytest.mark.parametrize("rule", ["bounded", "titans"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_an_untrained_layer_stays_finite_on_one_repeated_token(rule: str, depth: int) -> None:
    layer = build(rule=rule, memory_depth=depth, chunk_size=16)
    y, state = layer(tokens(1).expand(2, 512, 12))
    assert y.isfinite().all()
    assert state.memory is not None and max(w.abs().max() for w in state.memory.weights) < 100


def test_a_prefix_is_read_before_position_zero() -> None:
    layer, x, prefix = build(), tokens(13), torch.randn(3, 12, dtype=torch.float64)
    state = layer.init_state(2, prefix)
    assert state.memory is not None and state.memory.position.tolist() == [0, 0]
    _, alone = layer(prefix.expand(2, 3, 12))
    assert alone.memory is not None
    for found, expected in zip(state.memory.weights, alone.memory.weights, strict=True):
        torch.testing.assert_close(found, expected)
    assert alone.tail is not None and state.tail is not None
    torch.testing.assert_close(state.tail, alone.tail)
    assert (layer(x, state)[0] - layer(x)[0]).abs().max() > 1e-6


def test_initial_weights_chain_and_the_last_layer_is_small_but_not_dead() -> None:
    for depth in (1, 2, 3, 4):
        weights = initial_weights(2, 8, 24, depth)
        shapes = [tuple(w.shape) for w in weights]
        assert shapes[0][:2] == (2, 8) and shapes[-1][2] == 8
        assert all(a[2] == b[1] for a, b in zip(shapes, shapes[1:], strict=False))
        assert 0 < weights[-1].std() < 0.1


def test_surprise_is_large_for_news_and_small_for_what_was_learned() -> None:
    layer = build(initial_theta=0.9, initial_eta=0.01)
    x = tokens(3, batch=1).repeat(1, 30, 1)
    _, _, surprise = layer(x, return_surprise=True)
    assert surprise.shape == (1, 90, 2)
    assert surprise[:, -6:].mean() < 0.2 * surprise[:, 3:6].mean()


def test_half_precision_tokens_keep_a_float32_memory() -> None:
    layer = build().bfloat16()
    y, state = layer(tokens(13).bfloat16())
    assert y.dtype == torch.bfloat16 and y.isfinite().all()
    assert state.memory is not None and state.memory.dtype == torch.float32
