"""Watching the memories: what is recorded is what happened."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from titans_seq.nn import VARIANTS, Backbone, NeuralMemory
from titans_seq.nn.memory_layer import GateValues
from titans_seq.nn.watch import Watch, openness, watch_memories

WITH_MEMORY = [name for name, mixer in VARIANTS.items() if "memory" in mixer.state_parts]
TIME = 21


def build(variant: str = "mag", **options: int | float | str) -> Backbone:
    torch.manual_seed(0)
    sizes = {"d_model": 8, "n_heads": 2, "n_layers": 2, "chunk_size": 5, "window_size": 7, "n_persistent": 3}
    return Backbone(variant=variant, **(sizes | options)).eval()


def tokens(time: int = TIME, batch: int = 2) -> Tensor:
    return torch.randn(batch, time, 8, generator=torch.Generator().manual_seed(1))


def memories(backbone: Backbone) -> list[NeuralMemory]:
    return [layer for layer in backbone.modules() if isinstance(layer, NeuralMemory)]


def joined(seen: list[Tensor]) -> Tensor:
    """Calls after the one that read the persistent tokens."""
    return torch.cat(seen[1:], 1)


@pytest.mark.parametrize("gate", ["sigmoid", "hard"])
@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_what_is_watched_are_the_gates_recomputed_by_hand(variant: str, gate: str) -> None:
    backbone = build(variant, gate=gate)
    given: list[list[Tensor]] = [[], []]
    for place, layer in enumerate(memories(backbone)):
        layer.register_forward_pre_hook(lambda _, args, place=place: given[place].append(args[0]))
    with watch_memories(backbone) as watch:
        backbone(tokens())
    assert watch.calls.keys() == {0, 1} and not any(watch.surprise.values())
    for layer, read, seen in zip(memories(backbone), given, watch.calls.values(), strict=True):
        assert len(seen) == len(read) >= 2
        for x, call in zip(read, seen, strict=True):
            writing, momentum, forgetting = layer.gates(x)[..., :6].unflatten(-1, (3, 2)).unbind(-2)
            close = (lambda z: z.clamp(0, 1)) if gate == "hard" else torch.sigmoid
            expected = (close(writing), momentum.sigmoid(), close(forgetting), writing, forgetting)
            for found, wanted in zip(
                (call.theta, call.eta, call.alpha, call.writing, call.forgetting), expected, strict=True
            ):
                assert found is not None
                torch.testing.assert_close(found, wanted)
            assert call.hard == (gate == "hard")


@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_persistent_tokens_come_first_and_then_the_stream_in_order(variant: str) -> None:
    backbone, x = build(variant), tokens()
    with watch_memories(backbone) as watch:
        _, state = backbone(x[:, :14])
        first = [len(seen) for seen in watch.calls.values()]
        backbone(x[:, 14:], state)
    calls = 2 if variant == "mac" else 1  # a call for every segment of 7 tokens
    assert first == [1 + calls] * 2
    for seen in watch.calls.values():
        assert seen[0].theta.shape == (1, 3, 2)
        assert [call.theta.shape[1] for call in seen[1:]] == ([7, 7, 7] if variant == "mac" else [14, 7])
    assert torch.equal(backbone(x)[0][:, :14], backbone(x[:, :14])[0])


def test_without_persistent_tokens_only_the_stream_is_seen() -> None:
    with watch_memories(backbone := build(n_persistent=0)) as watch:
        backbone(tokens())
    assert [[call.theta.shape for call in seen] for seen in watch.calls.values()] == [[(2, TIME, 2)]] * 2


@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_watching_changes_nothing(variant: str) -> None:
    backbone, x = build(variant), tokens()
    expected, state = backbone(x)
    with watch_memories(backbone, surprise=True):
        found, watched = backbone(x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for name, tensor in state.tensors().items():
        torch.testing.assert_close(watched.tensors()[name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gate", ["sigmoid", "hard"])
@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_a_loss_made_of_what_was_seen_reaches_the_gates(variant: str, gate: str) -> None:
    backbone = build(variant, gate=gate)
    with watch_memories(backbone, surprise=True) as watch:
        backbone(tokens())
    for loss, part in (
        (openness(watch), "gates"),
        (sum(s.square().mean() for seen in watch.surprise.values() for s in seen), "project_in"),
    ):
        backbone.zero_grad()
        loss.backward(retain_graph=True)
        for layer in memories(backbone):
            grad = getattr(layer, part).weight.grad
            assert grad is not None and bool(grad.any())


@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_watched_surprise_is_the_one_returned(variant: str) -> None:
    backbone, x = build(variant), tokens()
    with watch_memories(backbone, surprise=True) as watch:
        returned = backbone(x, return_surprise=True)[2]
    for place, seen in watch.surprise.items():
        assert torch.equal(joined(seen), returned[:, :, place])
    with watch_memories(backbone, surprise=True) as unasked:
        assert len(backbone(x)) == 2
    for place, seen in unasked.surprise.items():
        assert torch.equal(joined(seen), returned[:, :, place])


@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_single_steps_are_seen_as_calls_of_one_token(variant: str) -> None:
    backbone, x = build(variant), tokens(7)  # a whole segment: `mac` pads others
    with torch.no_grad():
        with watch_memories(backbone, surprise=True) as whole:
            backbone(x)
        with watch_memories(backbone, surprise=True) as stepped:
            state = backbone.init_state(2)
            for i in range(7):
                y, state, *rest = backbone.step(x[:, i], state)
                assert rest == []
    for place in (0, 1):
        for name in ("theta", "eta", "alpha", "writing"):
            parts = [[getattr(call, name) for call in w.calls[place]] for w in (stepped, whole)]
            assert all(part.shape == (2, 1, 2) for part in parts[0][1:])
            torch.testing.assert_close(joined(parts[0]), joined(parts[1]), rtol=1e-5, atol=1e-5)
        found, wanted = (joined(w.surprise[place]) for w in (stepped, whole))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_nothing_is_watched_before_after_or_beyond_an_exception() -> None:
    backbone, x = build(), tokens()
    backbone(x)
    with pytest.raises(KeyError, match="stop"), watch_memories(backbone, surprise=True) as watch:
        backbone(x)
        raise KeyError("stop")
    seen = [len(calls) for calls in (*watch.calls.values(), *watch.surprise.values())]
    backbone(x)
    assert [len(calls) for calls in (*watch.calls.values(), *watch.surprise.values())] == seen == [2] * 4
    assert all(layer.on_gates is None and layer.on_surprise is None for layer in memories(backbone))


@pytest.mark.parametrize("asked", [(True, False), (False, True), (True, True)])
def test_nested_watches_each_see_everything_while_they_are_open(asked: tuple[bool, bool]) -> None:
    backbone, x = build(n_persistent=0), tokens()
    with watch_memories(backbone, surprise=asked[0]) as outer:
        backbone(x)
        with watch_memories(backbone, surprise=asked[1]) as inner:
            backbone(x)
        backbone(x)
    for watch, calls, surprise in ((outer, 3, asked[0]), (inner, 1, asked[1])):
        assert [len(seen) for seen in watch.calls.values()] == [calls] * 2
        assert [len(seen) for seen in watch.surprise.values()] == [calls * surprise] * 2


def test_a_watch_can_be_cleared_and_goes_on() -> None:
    backbone = build(n_persistent=0)
    with watch_memories(backbone, surprise=True) as watch:
        backbone(tokens())
        watch.clear()
        assert not any(watch.calls.values()) and not any(watch.surprise.values())
        backbone(tokens(4))
    assert watch.calls[1][0].theta.shape == (2, 4, 2) and watch.surprise[1][0].shape == (2, 4, 2)


def gates(writing: list[float], forgetting: list[float], *, hard: bool) -> GateValues:
    w, f = (torch.tensor(z).view(1, -1, 1) for z in (writing, forgetting))
    close = (lambda z: z.clamp(0, 1)) if hard else torch.sigmoid
    return GateValues(close(w), torch.full_like(w, 0.5), close(f), w, f, hard)


@pytest.mark.parametrize(
    ("margin", "expected"), [(0.0, 0.8), (0.1, 0.9 + 0.1 + 0.1), (0.5, 1.3 + 0.5 + 0.1 + 0.5 + 0.4)]
)
def test_a_hard_gate_counts_from_a_margin_below_closed(margin: float, expected: float) -> None:
    call = gates([0.8, 0.0, -0.4, -1.0], [0.0, -0.1, -0.5, -3.0], hard=True)
    assert float(call.openness(margin)) == pytest.approx(expected / 4)


@pytest.mark.parametrize("margin", [0.0, 0.1, 5.0])
def test_a_sigmoid_counts_as_it_is(margin: float) -> None:
    call = gates([0.0, 0.0], [-100.0, 0.0], hard=False)
    assert float(call.openness(margin)) == pytest.approx(0.5 + 0.25)


@pytest.mark.parametrize("gate", ["sigmoid", "hard"])
def test_a_held_gate_counts_as_it_is_and_is_made_of_nothing(gate: str) -> None:
    backbone = build(gate=gate, n_persistent=0, hold_theta=0.25, hold_alpha=0.0)
    with watch_memories(backbone) as watch:
        backbone(tokens())
    assert all(call.writing is None and call.forgetting is None for seen in watch.calls.values() for call in seen)
    assert float(openness(watch, margin=0.1)) == pytest.approx(0.25)


def test_openness_is_the_mean_over_layers_and_calls() -> None:
    closed, half = gates([-9.0], [-9.0], hard=True), gates([0.5, 0.5, 0.5], [-9.0] * 3, hard=True)
    watch = Watch({0: [closed, half], 1: [half, half]}, {0: [], 1: []})
    assert float(openness(watch, margin=0.0)) == pytest.approx(3 * 0.5 / 4)


@pytest.mark.parametrize("variant", ["swa", "attention"])
def test_what_has_no_memory_has_no_openness(variant: str) -> None:
    with watch_memories(backbone := build(variant)) as watch:
        backbone(tokens())
    assert watch.calls == {}
    with pytest.raises(ValueError, match="no memory layer was watched"):
        openness(watch)
