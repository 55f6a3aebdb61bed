"""The neural memory as a layer."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.memory import init_state, neural_memory
from titans_seq.nn import VARIANTS, Backbone, NeuralMemory
from titans_seq.nn.conv import CausalConv
from titans_seq.nn.memory_layer import initial_weights
from titans_seq.nn.watch import watch_memories

WITH_MEMORY = [name for name, mixer in VARIANTS.items() if "memory" in mixer.state_parts]


def build(**options: Any) -> NeuralMemory:
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


ACTING: list[dict[str, Any]] = [
    {"gate": "hard"},
    {"association": False},
    {"hold_theta": 0.3},
    {"hold_eta": 0.0},
    {"hold_eta": 1.0},
    {"hold_alpha": 0.0},
    {"hold_alpha": 0.2},
    {"hold_theta": 1.0, "hold_eta": 0.9, "hold_alpha": 1.0},
    {"conv_width": 1},
    {"conv_width": 2},
    {"decay_before_error": True, "initial_alpha": 0.3},
]


def read_by_steps(layer: NeuralMemory, x: Tensor) -> Tensor:
    with torch.no_grad():
        state, found = layer.init_state(x.shape[0]), []
        for token in x.unbind(1):
            y, state, _ = layer.step(token, state)
            found.append(y)
    return torch.stack(found, 1)


@pytest.mark.parametrize("options", ACTING, ids=str)
def test_every_argument_acts_and_steps_agree_with_it(options: dict[str, Any]) -> None:
    layer, x = build(**options), tokens(13)
    y, _ = layer(x)
    plain = build(**{name: options[name] for name in options if name == "initial_alpha"})
    assert (y - plain(x)[0]).abs().max() > 1e-4
    torch.testing.assert_close(read_by_steps(layer, x), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gate", ["sigmoid", "hard"])
@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("held", ["theta", "eta", "alpha"])
def test_a_held_gate_is_at_its_level_for_every_token_and_the_others_are_made(
    held: str, level: float, gate: str
) -> None:
    layer, free, x = build(gate=gate, **{f"hold_{held}": level}), build(gate=gate), 5 * tokens(40)
    for name, found, made in zip(("theta", "eta", "alpha"), layer._gates(x)[:3], free._gates(x)[:3], strict=True):
        if name == held:
            assert torch.equal(found, torch.full_like(found, level))
        else:
            assert torch.equal(found, made) and found.std() > 0


def test_without_association_projections_are_random() -> None:
    layer = build(association=False)
    query, key, _ = layer.project_in.weight.split(12)
    assert not torch.equal(query, key)
    assert layer.conv.weight.abs().max() <= 0.5
    associated = build().project_in.weight.split(12)
    assert torch.equal(associated[0], associated[1])


def test_with_a_convolution_of_one_token_each_token_stands_by_itself() -> None:
    layer, x = build(conv_width=1, hold_theta=0.0, hold_alpha=0.0), tokens(11)
    assert layer.init_state(2).tail.shape == (2, 0, 36)
    # Nothing is ever written: what a token reads depends on nothing but itself.
    shuffled = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x[:, shuffled])[0], layer(x)[0][:, shuffled], rtol=0, atol=1e-12)
    wide = build(hold_theta=0.0, hold_alpha=0.0)
    assert (wide(x[:, shuffled])[0] - wide(x)[0][:, shuffled]).abs().max() > 1e-4


def test_hard_gates_start_at_their_level_and_can_close_and_open_entirely() -> None:
    layer = build(gate="hard", initial_theta=0.8, initial_eta=0.7, initial_alpha=0.01)
    nothing = layer._gates(torch.zeros(1, 1, 12, dtype=torch.float64))
    for found, level in zip(nothing, (0.8, 0.7, 0.01), strict=False):
        torch.testing.assert_close(found, torch.full_like(found, level))
    theta, eta, alpha, _ = layer._gates(30 * tokens(100))
    for gate in (theta, alpha):
        assert {0.0, 1.0} <= set(gate.flatten().tolist()) and gate.min() == 0 and gate.max() == 1
    assert 0 < eta.min() and eta.max() < 1


@pytest.mark.parametrize("rule", ["bounded", "titans"])
def test_a_memory_whose_gates_close_keeps_what_it_learned_to_the_last_bit(rule: str) -> None:
    layer, x = build(rule=rule, gate="hard", chunk_size=16).float(), tokens(17).float()
    with torch.no_grad():
        _, state = layer(x)
        layer.gates.bias[:2], layer.gates.bias[4:6] = -9.0, -9.0
        _, settled = layer(10 * tokens(2000).float(), state)  # momentum is spent
        _, later = layer(10 * tokens(3000).float(), settled)
    assert settled.memory is not None and later.memory is not None and state.memory is not None
    for w, after, before in zip(later.memory.weights, settled.memory.weights, state.memory.initial, strict=True):
        assert torch.equal(w, after) and not torch.equal(w[0], before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "soft"}, "gate must be one of 'sigmoid', 'hard', found 'soft'"),
        ({"hold_theta": 1.5}, r"hold_theta must lie in \[0, 1\], found 1.5"),
        ({"hold_eta": -0.1}, r"hold_eta must lie in \[0, 1\], found -0.1"),
        ({"hold_alpha": math.nan}, r"hold_alpha must lie in \[0, 1\], found nan"),
        ({"conv_width": 0}, "conv_width must be at least 1, found 0"),
        (
            {"decay_before_error": True, "rule": "titans"},
            "decay_before_error needs rule='bounded', found rule='titans'",
        ),
    ],
)
def test_bad_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)
    with pytest.raises(ValueError, match=message):
        Backbone(d_model=12, **options)
    if "decay_before_error" not in options:  # what a variant without a memory does not use is checked all the same
        with pytest.raises(ValueError, match=message):
            Backbone(d_model=12, variant="swa", **options)


@pytest.mark.parametrize("cuts", [[1, 13, 14], [5, 10, 15], [0, 2, 20]])
@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_with_hard_gates_a_stream_cut_anywhere_or_decoded_is_read_as_one(variant: str, cuts: list[int]) -> None:
    torch.manual_seed(0)
    backbone = Backbone(
        d_model=12, n_layers=1, variant=variant, chunk_size=5, window_size=7, gate="hard", initial_theta=0.05,
        conv_width=2,
    ).double().eval()  # fmt: skip
    x = 4 * tokens(23)
    with torch.no_grad(), watch_memories(backbone) as watch:
        whole, _ = backbone(x)
        assert any(bool((call.theta == 0).any()) for call in watch.calls[0])
        state, pieces = backbone.init_state(2), []
        for start, stop in itertools.pairwise([0, *cuts]):
            y, state = backbone(x[:, start:stop], state)
            pieces.append(y)
        for token in x[:, cuts[-1] :].unbind(1):
            y, state = backbone.step(token, state)
            pieces.append(y[:, None])
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-11)


def test_a_state_made_ready_is_written_in_place_from_the_first_step_on() -> None:
    layer, x = build(decay_before_error=True), tokens(8)
    with torch.no_grad():
        _, state = layer(x[:, :7])
        assert state.memory is not None
        ready = layer.ready(state.memory)
        _, after, _ = layer.step(x[:, 7], replace(state, memory=ready), inplace=True)
    assert after.memory is not None
    assert after.memory.weights[0].data_ptr() == ready.weights[0].data_ptr()


def test_memory_as_context_retrieves_with_the_same_convolution() -> None:
    backbone = Backbone(d_model=12, n_layers=1, variant="mac", conv_width=2)
    widths = {name: m.width for name, m in backbone.named_modules() if isinstance(m, CausalConv)}
    assert len(widths) == 2 and set(widths.values()) == {2}
