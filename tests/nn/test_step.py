"""Reading one token of every row: what `forward` reads, at the same cost everywhere in a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from step_costs import StepCost
from torch import Tensor

from titans_seq.memory import MemoryState
from titans_seq.nn import VARIANTS, Backbone, BackboneState, LayerState
from titans_seq.nn.ring import WindowRing

POSITIONS = (0, 3, 9, 22)
STEPS = 17
WITH_MEMORY = [name for name, mixer in VARIANTS.items() if "memory" in mixer.state_parts]
IN_PLACE = [name for name, mixer in VARIANTS.items() if mixer.steps_in_place]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def build(variant: str, **options: int | float | str) -> Backbone:
    torch.manual_seed(0)
    sizes = {"d_model": 10, "n_heads": 2, "chunk_size": 5, "window_size": 7, "n_persistent": 3}
    return Backbone(variant=variant, **(sizes | options)).double().eval()


def tokens(batch: int, time: int, d_model: int = 10, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, time, d_model, dtype=torch.float64, generator=generator)


def started(backbone: Backbone, x: Tensor, mask: Tensor | None = None) -> BackboneState:
    """Rows that have read as many tokens of ``x`` as `POSITIONS` says."""
    lengths = torch.tensor(POSITIONS)
    return backbone(x, mask=mask, lengths=lengths)[1]


def difference(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


def row(x: Tensor, places: list[int]) -> Tensor:
    return x[torch.arange(len(places)), places]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_persistent": 0},
        {"window_size": 1, "chunk_size": 1},
        {"window_size": 3, "chunk_size": 16},
        {"window_size": 64, "segment_length": 5},
        {"memory_depth": 1},
        {"memory_depth": 3, "surprise_threshold": 0.3},
        {"rule": "titans", "chunk_size": 4},
        {"n_layers": 1, "n_heads": 1, "d_model": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_of_rows_at_any_phase_are_one_pass(variant: str, options: dict[str, int], masked: bool) -> None:
    backbone = build(variant, **options)
    x = tokens(4, POSITIONS[-1] + STEPS, backbone.config.d_model)
    mask = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(2)) > 0.3 if masked else None
    whole, _ = backbone(x, mask=mask)
    state = started(backbone, x, mask)
    for i in range(STEPS):
        places = [p + i for p in POSITIONS]
        keep = None if mask is None else row(mask, places)
        y, state = backbone.step(row(x, places), state, mask=keep, inplace=bool(i % 2))
        assert difference(y, row(whole, places)) <= 1e-11
    assert state.position.tolist() == [p + STEPS for p in POSITIONS]
    z = tokens(4, 11, backbone.config.d_model, seed=3)
    for i, p in enumerate(POSITIONS):
        own = None if mask is None else mask[i : i + 1, : p + STEPS]
        _, alone = backbone(x[i : i + 1, : p + STEPS], mask=own)
        assert difference(backbone(z, state)[0][i], backbone(z[i : i + 1], alone)[0][0]) <= 1e-11


@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_surprise_and_the_zeroed_memory_are_those_of_forward(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    state = started(backbone, x)
    for zero_memory in (False, True):
        y, after, surprise = backbone.step(x[:, 30], state, return_surprise=True, zero_memory=zero_memory)
        expected, end, norms = backbone(x[:, 30:31], state, return_surprise=True, zero_memory=zero_memory)
        assert difference(y, expected[:, 0]) <= 1e-12
        assert difference(surprise, norms[:, 0]) <= 1e-12
        assert difference(backbone(x[:, :9], after)[0], backbone(x[:, :9], end)[0]) <= 1e-11


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_that_read_nothing_stay_where_they_are(variant: str, inplace: bool) -> None:
    backbone, x = build(variant), tokens(4, 40)
    _, state = backbone.step(x[:, 30], started(backbone, x))
    read = torch.tensor([True, False, True, False])
    poisoned = torch.where(read[:, None], x[:, 31], torch.nan)
    before, expected = state.tensors(), backbone.step(x[:, 31], state)
    y, after = backbone.step(poisoned, state, read=read, inplace=inplace)
    assert difference(y[read], expected[0][read]) <= 1e-12
    assert not y[~read].any()
    assert (after.position - before["position"]).tolist() == [1, 0, 1, 0]
    if variant != "attention":  # its cache grows: the rows that read nothing move to its right
        still = BackboneState.from_tensors(before).select(~read).tensors()
        found = BackboneState.from_tensors(after.tensors()).select(~read).tensors()
        # A convolution or segment of `mac` may round a slot that it does not read; all the rest is to the last bit.
        assert all(torch.equal(x, found[name]) for name, x in still.items() if "segment" not in name)
    z = tokens(4, 9, seed=4)
    assert difference(backbone(z, after)[0][~read], backbone(z, BackboneState.from_tensors(before))[0][~read]) <= 1e-12


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_leaves_the_state_it_is_given_as_it_was(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    state = started(backbone, x)
    for i in range(6):
        before = state.tensors()
        _, new = backbone.step(x[:, 30 + i], state)
        assert all(torch.equal(before[name], found) for name, found in state.tensors().items())
        state = new


@pytest.mark.parametrize("variant", IN_PLACE)
def test_a_step_in_place_writes_where_the_state_stands(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    state = backbone.ready(started(backbone, x))

    def places(state: BackboneState) -> list[int]:
        found = []
        for layer in state.layers:
            if layer.memory is not None:
                found += [w.data_ptr() for w in (*layer.memory.weights, *layer.memory.momentum, layer.memory.pending.k)]
            if isinstance(layer.window, WindowRing):
                found += [layer.window.rows.data_ptr(), layer.window.bias.data_ptr()]
        return found

    expected = places(state)
    for i in range(9):
        _, state = backbone.step(x[:, 30 + i], state, inplace=True)
        assert places(state) == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_made_ready_shares_nothing_and_reads_alike(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    state = started(backbone, x)
    before, ready = state.tensors(), backbone.ready(state)
    for i in range(6):
        y, ready = backbone.step(x[:, 30 + i], ready, inplace=True)
    assert all(torch.equal(before[name], found) for name, found in state.tensors().items())
    assert difference(y, backbone(x[:, 30:36], state)[0][:, -1]) <= 1e-12


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_state_between_steps_is_saved_stacked_selected_moved_and_forgotten(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    _, state = backbone.step(x[:, 30], started(backbone, x))
    expected, _ = backbone.step(x[:, 31], state)
    mixed = BackboneState.stack([state, started(backbone, x).select(torch.tensor([2]))])
    copies = {
        "saved": BackboneState.from_tensors(state.tensors()),
        "detached": state.detach(),
        "cloned": state.clone(),
        "unstacked": BackboneState.stack(state.unstack()),
        "stacked with one of another kind": mixed.select(torch.arange(4)),
        "moved": state.to(dtype=torch.float64),
    }
    for how, copy in copies.items():
        assert difference(backbone.step(x[:, 31], copy)[0], expected) <= 1e-12, how
        assert difference(backbone(x[:, 31:32], copy)[0][:, 0], expected) <= 1e-12, how
    fresh, forgotten = backbone.init_state(4), state.forget()
    assert torch.equal(backbone.step(x[:, 0], forgotten)[0], backbone.step(x[:, 0], fresh)[0])


def test_a_ring_is_a_window_and_back_to_the_last_bit() -> None:
    backbone, x = build("swa"), tokens(4, 40)
    mask = torch.rand(4, 40) > 0.3
    state = started(backbone, x, mask)
    for i in range(9):
        layer = state.layers[0]
        window = layer.window.settled() if isinstance(layer.window, WindowRing) else layer.window
        again = WindowRing.from_cache(window, state.position)
        for name, found in again.settled().tensors().items():
            assert torch.equal(found, window.tensors()[name])
        if isinstance(layer.window, WindowRing):
            seen = (again.bias == 0).expand_as(again.rotated)
            assert torch.equal(again.rotated[seen], layer.window.rotated[seen])
        _, state = backbone.step(x[:, 25 + i], state, mask=mask[:, i])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_whose_gradient_is_asked_for_is_forward(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    _, state = backbone.step(x[:, 30], started(backbone, x))
    with torch.enable_grad():
        one = x[:, 31].clone().requires_grad_()
        y, _ = backbone.step(one, state, inplace=True)
        (grad,) = torch.autograd.grad(y.square().sum(), one)
        again = one.detach().clone().requires_grad_()
        expected, _ = backbone(again[:, None], state)
        (expected_grad,) = torch.autograd.grad(expected.square().sum(), again)
    assert torch.equal(y, expected[:, 0])
    assert torch.equal(grad, expected_grad)


def moved(state: BackboneState, tokens_read: int) -> BackboneState:
    """The same state, as if ``tokens_read`` more tokens (a multiple of chunk, window and segment) were read."""

    def layer(s: LayerState) -> LayerState:
        memory: MemoryState | None = s.memory
        return replace(s, memory=None if memory is None else replace(memory, position=memory.position + tokens_read))

    return BackboneState(tuple(layer(s) for s in state.layers), state.position + tokens_read)


@pytest.mark.parametrize("variant", IN_PLACE)
def test_a_step_does_the_same_at_position_10_and_10_million(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    near, costs = started(backbone, x), []
    for state in (backbone.ready(near), backbone.ready(moved(near, 5 * 7 * 10**6))):
        with StepCost() as cost:
            backbone.step(x[:, 30], state, inplace=True)
        costs.append(cost)
    assert costs[0].operations == costs[1].operations
    assert costs[0].largest == costs[1].largest <= 4 * 4 * 40  # four rows of the convolution's channels and its tail


@pytest.mark.parametrize("variant", IN_PLACE)
def test_a_far_position_does_not_change_what_is_read(variant: str) -> None:
    backbone, x = build(variant), tokens(4, 40)
    state = started(backbone, x)
    near, far = backbone.ready(state), backbone.ready(moved(state, 5 * 7 * 10**6))
    for i in range(9):
        y, near = backbone.step(x[:, 30 + i], near)
        z, far = backbone.step(x[:, 30 + i], far)
        assert difference(z, y) <= 1e-8


def test_bad_input_is_named() -> None:
    backbone = build("swa")
    state = backbone.init_state(2)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, 10\), found \(2, 1, 10\)"):
        backbone.step(torch.zeros(2, 1, 10).double(), state)
    with pytest.raises(ValueError, match="the state has 2 rows, x has 3"):
        backbone.step(torch.zeros(3, 10).double(), state)
    with pytest.raises(ValueError, match=r"read must be bool of shape \(2,\), found torch.int64"):
        backbone.step(torch.zeros(2, 10).double(), state, read=torch.ones(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="no memory, hence no surprise"):
        backbone.step(torch.zeros(2, 10).double(), state, return_surprise=True)
    with pytest.raises(ValueError, match="variant 'mag' needs memory, window"):
        build("mag").step(torch.zeros(2, 10).double(), state)
