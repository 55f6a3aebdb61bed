"""Laws of the state: a value that can be stacked, split, saved, detached and forgotten."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from titans_seq.nn import VARIANTS, Backbone, BackboneState

PHASES = (0, 1, 4, 5, 18)  # chunk_size is 5
SEGMENT = 7


def build(variant: str) -> Backbone:
    torch.manual_seed(0)
    return Backbone(12, 2, 2, variant, chunk_size=5, window_size=SEGMENT, n_persistent=3).eval()


def tokens(batch: int, time: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, time, 12, generator=torch.Generator().manual_seed(seed))


def sessions(backbone: Backbone) -> list[BackboneState]:
    return [backbone(tokens(1, n, seed=n))[1] for n in PHASES]


def assert_same(found: BackboneState, expected: BackboneState) -> None:
    a, b = found.tensors(), expected.tensors()
    assert a.keys() == b.keys()
    for name in b:
        assert a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]), name


def difference(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("variant", VARIANTS)
def test_sessions_at_different_phases_stack_and_unstack(variant: str) -> None:
    backbone, x = build(variant), tokens(len(PHASES), 13)
    alone = sessions(backbone)
    y, state = backbone(x, BackboneState.stack(alone))
    z = tokens(len(PHASES), 8, seed=2)
    for row, (own, split) in enumerate(zip(alone, state.unstack(), strict=True)):
        expected, own = backbone(x[row : row + 1], own)
        assert difference(y[row], expected[0]) <= 1e-6
        found, expected = (backbone(z[row : row + 1], s)[0] for s in (split, own))
        assert difference(found, expected) <= 1e-6
    assert state.position.tolist() == [n + 13 for n in PHASES]


@pytest.mark.parametrize("variant", VARIANTS)
def test_select_picks_and_repeats_rows(variant: str) -> None:
    backbone, x = build(variant), tokens(3, 9)
    stacked = BackboneState.stack(sessions(backbone))
    y, _ = backbone(x, stacked.select(torch.tensor([3, 0, 3])))
    alone = sessions(backbone)
    for row, session in enumerate((alone[3], alone[0], alone[3])):
        assert difference(y[row], backbone(x[row : row + 1], session)[0][0]) <= 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_state_comes_back_bit_for_bit(variant: str, tmp_path: Path) -> None:
    backbone = build(variant)
    state = BackboneState.stack(sessions(backbone))
    save_file(state.tensors(), tmp_path / "state.safetensors")
    loaded = BackboneState.from_tensors(load_file(tmp_path / "state.safetensors"))
    assert_same(loaded, state)
    x = tokens(len(PHASES), 11)
    assert torch.equal(backbone(x, loaded)[0], backbone(x, state)[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_that_forgot_is_a_fresh_one(variant: str) -> None:
    backbone = build(variant)
    forgotten = BackboneState.stack(sessions(backbone)).forget()
    assert_same(forgotten, backbone.init_state(len(PHASES)))
    x = tokens(len(PHASES), 11)
    assert torch.equal(backbone(x, forgotten)[0], backbone(x)[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_reading_does_not_change_the_state_passed_in(variant: str) -> None:
    backbone = build(variant)
    state = BackboneState.stack(sessions(backbone))
    before = state.tensors()
    backbone(tokens(len(PHASES), 11), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in state.tensors().items())
    with pytest.raises(FrozenInstanceError):
        state.position = torch.zeros(1)  # type: ignore[misc]


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_module_keeps_anything_of_a_stream(variant: str) -> None:
    backbone, x = build(variant), tokens(2, 17)
    expected, _ = backbone(x)
    before = {name: t.clone() for name, t in backbone.state_dict().items()}
    backbone(tokens(2, 29, seed=2))
    assert torch.equal(backbone(x)[0], expected)
    assert all(torch.equal(before[name], t) for name, t in backbone.state_dict().items())
    assert not list(backbone.buffers())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_detached_state_has_no_graph_behind_what_was_read(variant: str) -> None:
    backbone, x = build(variant), tokens(1, 9).requires_grad_()
    _, state = backbone(x)
    y, _ = backbone(tokens(1, 4), state.detach())
    assert torch.autograd.grad(y.sum(), x, allow_unused=True)[0] is None
    y, _ = backbone(tokens(1, 4), state)
    assert torch.autograd.grad(y.sum(), x)[0].any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_changes_its_precision_but_not_its_flags(variant: str) -> None:
    backbone = build(variant)
    state = BackboneState.stack(sessions(backbone))
    found = state.to(dtype=torch.float64)
    for name, tensor in state.tensors().items():
        expected = torch.float64 if tensor.is_floating_point() else tensor.dtype
        assert found.tensors()[name].dtype == expected, name
    x = tokens(len(PHASES), 6)
    assert difference(backbone.double()(x.double(), found)[0], backbone.float()(x, state)[0].double()) <= 1e-5


def test_states_of_different_models_do_not_stack() -> None:
    states = [build(variant).init_state(1) for variant in ("mag", "swa")]
    with pytest.raises(ValueError, match="different models"):
        BackboneState.stack(states)
    with pytest.raises(ValueError, match="found none"):
        BackboneState.stack([])


def test_the_state_of_a_constant_memory_model_does_not_grow() -> None:
    for variant in ("mag", "mal", "mac", "lmm", "swa"):
        backbone = build(variant)
        sizes = []
        for n in (35, 350):  # the same phase of chunk and segment
            _, state = backbone(tokens(1, n))
            sizes.append(sum(t.numel() for t in state.tensors().values()))
        assert sizes[0] == sizes[1]
