"""Laws of isolation: nothing reaches a token from its future, from other rows, or from under a mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from titans_seq.nn import VARIANTS, Backbone, BackboneState

TIME = 37
WITH_MEMORY = [name for name, mixer in VARIANTS.items() if "memory" in mixer.state_parts]


def build(variant: str, **options: int) -> Backbone:
    torch.manual_seed(0)
    sizes = {"d_model": 12, "n_heads": 2, "chunk_size": 5, "window_size": 7, "n_persistent": 3}
    return Backbone(variant=variant, **(sizes | options)).eval()


def tokens(batch: int, time: int = TIME, seed: int = 1) -> Tensor:
    return torch.randn(batch, time, 12, generator=torch.Generator().manual_seed(seed))


def difference(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("n_persistent", [0, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_past_does_not_depend_on_the_future(variant: str, n_persistent: int) -> None:
    backbone, x = build(variant, n_persistent=n_persistent), tokens(2)
    expected, _ = backbone(x)
    for now in (1, 5, 6, 7, 14, 23, TIME - 1):
        changed = x.clone()
        changed[:, now:] = 100 * torch.randn_like(changed[:, now:])
        found, _ = backbone(changed)
        assert torch.equal(found[:, :now], expected[:, :now])
        assert not torch.equal(found[:, now:], expected[:, now:])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_past_does_not_depend_on_the_future_in_a_carried_state(variant: str) -> None:
    backbone, x = build(variant), tokens(2)
    _, state = backbone(tokens(2, time=9, seed=2))
    expected, _ = backbone(x, state)
    changed = x.clone()
    changed[:, 11:] += 1
    assert torch.equal(backbone(changed, state)[0][:, :11], expected[:, :11])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_row_does_not_depend_on_its_batch_mates(variant: str) -> None:
    backbone, x = build(variant), tokens(5)
    batched, _ = backbone(x)
    for row in range(5):
        assert difference(batched[row], backbone(x[row : row + 1])[0][0]) <= 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_row_is_bit_equal_whatever_its_batch_mates_hold(variant: str) -> None:
    backbone, x = build(variant), tokens(3)
    others = torch.cat((1e3 * tokens(1, seed=2), x[1:2], torch.zeros(1, TIME, 12)))
    assert torch.equal(backbone(others)[0][1], backbone(x)[0][1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_row_is_bit_equal_at_whatever_phase_its_batch_mates_stand(variant: str) -> None:
    backbone, x = build(variant), tokens(3)

    def beside(phases: tuple[int, int]) -> Tensor:
        read = [int(n) for n in (phases[0], 4, phases[1])]
        states = [backbone(tokens(1, time=n, seed=n))[1] for n in read]
        return backbone(x, BackboneState.stack(states))[0][1]

    if variant == "attention":  # Its cache is as wide as the longest row: the shape changes with the mates.
        assert difference(beside((0, 1)), beside((11, 3))) <= 1e-6
    else:
        assert torch.equal(beside((0, 1)), beside((11, 3)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_under_a_mask_reaches_anything(variant: str) -> None:
    backbone, x = build(variant), tokens(3)
    mask = torch.rand(3, TIME, generator=torch.Generator().manual_seed(3)) > 0.3
    mask[0], mask[1, :8] = False, False
    expected, state = backbone(x, mask=mask)
    poisoned = torch.where(mask[..., None], x, torch.tensor([float("nan"), float("inf"), 1e30]).repeat(4))
    found, poisoned_state = backbone(poisoned, mask=mask)
    assert expected.isfinite().all()
    assert torch.equal(found, expected)
    for name, tensor in state.tensors().items():
        assert torch.equal(poisoned_state.tensors()[name], tensor), name


@pytest.mark.parametrize("n_persistent", [0, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_gradient_reaches_a_masked_value_or_becomes_nan(variant: str, n_persistent: int) -> None:
    backbone = build(variant, n_persistent=n_persistent)
    x = tokens(2).requires_grad_()
    mask = torch.ones(2, TIME, dtype=torch.bool)
    mask[0], mask[1, 9:20] = False, False
    (backbone(x, mask=mask)[0] * torch.randn_like(x)).sum().backward()
    assert x.grad is not None and not x.grad[~mask].any()
    assert (x.grad[mask].abs().sum(-1) > 0).all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in backbone.parameters())


@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_a_masked_token_neither_writes_nor_decays_nor_moves_momentum(variant: str) -> None:
    backbone = build(variant)
    _, before = backbone(tokens(2, time=13))
    _, after = backbone(tokens(2, time=29, seed=2), before, mask=torch.zeros(2, 29, dtype=torch.bool))
    for old, new in zip(before.layers, after.layers, strict=True):
        assert old.memory is not None and new.memory is not None
        for name in ("weights", "momentum"):
            for a, b in zip(getattr(old.memory, name), getattr(new.memory, name), strict=True):
                assert difference(b, a) <= 1e-6
    assert after.position.tolist() == [42, 42]


@pytest.mark.parametrize("run", [1, 6])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_masked_token_still_reads(variant: str, run: int) -> None:
    backbone = build(variant)
    x, mask = tokens(1, time=16), torch.ones(1, 16, dtype=torch.bool)
    mask[:, 16 - run :] = False
    other = x.clone()
    other[:, 2 : 12 - run] += 1
    found, expected = backbone(other, mask=mask)[0][:, -1], backbone(x, mask=mask)[0][:, -1]
    assert difference(found, expected) > 1e-4


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "lmm"])
def test_attention_carries_on_which_tokens_were_masked(variant: str) -> None:
    mask = torch.rand(2, 13, generator=torch.Generator().manual_seed(4)) > 0.4
    _, state = build(variant)(tokens(2, time=13), mask=mask)
    for layer in state.layers:
        if layer.segment is not None:  # 13 tokens: the second segment of 7 holds 6
            assert torch.equal(layer.segment.visible[:, :6], mask[:, 7:])
        elif layer.window is not None:
            assert torch.equal(layer.window.visible, mask[:, 6:])
        else:
            assert layer.history is not None and torch.equal(layer.history.visible, mask[:, -layer.history.width :])
