"""Reading token by token: what whole calls read, at the same cost everywhere in a stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tokens import Tokens
from step_costs import StepCost
from torch import Tensor

from titans_seq.memory import MemoryState, init_state, memory_step, neural_memory, ready_for_steps

RULES = [("bounded", "l2", False), ("bounded", "l2", True), ("titans", "l2", False), ("titans", "dot", False)]
PHASES = (0, 3, 7)


def stacks(state: MemoryState) -> list[Tensor]:
    return [*state.weights, *state.momentum, *state.opening_weights, *state.opening_momentum]


def pending(state: MemoryState) -> list[Tensor]:
    """Rows of the open chunk, as they are saved."""
    return [x.double() for name, x in state.tensors().items() if name.startswith("pending.") and x.numel()]


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-3))


def tokens(rule: str = "bounded", time: int = 23, **sizes: int) -> Tokens:
    t = Tokens(batch=3, time=time, closed_gates=True, **sizes)
    t.theta = t.theta * (0.1 if rule == "titans" else 1.0)
    t.v[:, 5:7] *= 100.0
    return t


def at(t: Tokens, positions: list[int]) -> tuple[Tensor, ...]:
    """Token of each row at its own position."""
    rows = torch.arange(len(positions))
    return tuple(x[rows, positions] for x in t.inputs)


@torch.no_grad()
def prefilled(t: Tokens, mask: Tensor | None, **options) -> MemoryState:
    """Rows at different phases, the first of which has read nothing."""
    return neural_memory(*t.inputs, t.state(), mask=mask, lengths=torch.tensor(PHASES), **options)[1]


@torch.no_grad()
def decoded(t: Tokens, state: MemoryState, steps: int, mask: Tensor | None, **options) -> tuple[Tensor, ...]:
    found: list[tuple[Tensor, Tensor]] = []
    for i in range(steps):
        places = [p + i for p in PHASES]
        keep = None if mask is None else mask[torch.arange(3), places]
        y, state, surprise = memory_step(
            *at(t, places), state, mask=keep, inplace=bool(i % 2), return_surprise=True, **options
        )
        found.append((y, surprise))
    ys, surprises = zip(*found, strict=True)
    return torch.stack(ys, 1), torch.stack(surprises, 1), state


# --- a step is the op on one token ---------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("surprise_threshold", [0.0, 1.5])
@pytest.mark.parametrize("chunk_size", [1, 4, 5, 16])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(("rule", "loss", "decay_before_error"), RULES)
def test_steps_at_mixed_phases_equal_the_reference(
    rule: str, loss: str, decay_before_error: bool, depth: int, chunk_size: int, surprise_threshold: float, masked: bool
) -> None:
    t, steps = tokens(rule, depth=depth), 16
    mask = t.mask if masked else None
    options = {
        "rule": rule, "loss": loss, "decay_before_error": decay_before_error, "chunk_size": chunk_size,
        "surprise_threshold": surprise_threshold,
    }  # fmt: skip
    y, surprise, state = decoded(t, prefilled(t, mask, backend="reference", **options), steps, mask, **options)
    lengths = torch.tensor([p + steps for p in PHASES])
    expected, end, norms = neural_memory(
        *t.inputs, t.state(), mask=mask, lengths=lengths, backend="reference", return_surprise=True, **options
    )
    for row, p in enumerate(PHASES):
        assert relative(y[row], expected[row, p : p + steps]) <= 1e-10
        assert relative(surprise[row], norms[row, p : p + steps]) <= 1e-10
    for ours, theirs in zip([*stacks(state), *pending(state)], [*stacks(end), *pending(end)], strict=True):
        assert relative(ours, theirs) <= 1e-10
    assert torch.equal(state.position, end.position)


@pytest.mark.parametrize("rule", ["bounded", "titans"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_float32_steps_stay_within_1e_5_of_exact_ones(rule: str, depth: int) -> None:
    t = Tokens(batch=1, time=400, dim=8, depth=depth)
    t.alpha, t.theta = t.alpha * 0.02, t.theta * (1.0 if rule == "bounded" else 0.002)
    exact, _ = neural_memory(*t.inputs, t.state(), rule=rule, chunk_size=16)
    state = init_state(tuple(w.float() for w in t.weights), batch_size=1)
    found = []
    for i in range(t.time):
        y, state = memory_step(*(x[:, i].float() for x in t.inputs), state, rule=rule, chunk_size=16, inplace=True)
        found.append(y)
    assert relative(torch.stack(found, 1).double(), exact) <= 1e-5


@settings(max_examples=40)
@given(
    data=st.data(),
    rule=st.sampled_from(RULES),
    depth=st.integers(1, 3),
    chunk_size=st.sampled_from([1, 4, 8, 32]),
    threshold=st.sampled_from([0.0, 1.5]),
)
def test_steps_and_calls_in_any_order_are_one_pass(
    data: st.DataObject, rule: tuple[str, str, bool], depth: int, chunk_size: int, threshold: float
) -> None:
    t = tokens(rule[0], depth=depth)
    options = dict(zip(("rule", "loss", "decay_before_error"), rule, strict=True))
    options |= {"chunk_size": chunk_size, "surprise_threshold": threshold}
    whole, end = neural_memory(*t.inputs, t.state(), mask=t.mask, **options)
    state, parts, now = t.state(), [], 0
    with torch.no_grad():
        while now < t.time:
            how = data.draw(st.sampled_from(["step", "step in place", "op", "save", "stack", "detach"]))
            size = data.draw(st.integers(2, 9)) if how == "op" else 1
            inputs, mask = t.piece(now, now + size), t.mask[:, now : now + size]
            if how == "op":
                y, state = neural_memory(*inputs, state, mask=mask, **options)
            else:
                state = {
                    "save": lambda s: MemoryState.from_tensors(s.tensors()),
                    "stack": lambda s: MemoryState.stack([s.select(torch.tensor([i])) for i in range(3)]),
                    "detach": lambda s: s.detach(),
                }.get(how, lambda s: s)(state)
                y, state = memory_step(
                    *(x[:, 0] for x in inputs), state, mask=mask[:, 0], inplace=how == "step in place", **options
                )
                y = y[:, None]
            parts.append(y)
            now += size
    assert relative(torch.cat(parts, 1), whole) <= 1e-10
    for ours, theirs in zip(stacks(state), stacks(end), strict=True):
        assert relative(ours, theirs) <= 1e-10


@pytest.mark.parametrize("rule", ["bounded", "titans"])
def test_the_op_reads_one_token_by_a_step_unless_a_gradient_is_asked_for(rule: str) -> None:
    t = tokens(rule)
    state = prefilled(t, None, rule=rule, chunk_size=5)
    lengths = torch.tensor([1, 0, 1])
    for asked in (False, True):
        with torch.set_grad_enabled(asked):
            one = [x.clone().requires_grad_(asked) for x in t.piece(7, 8)]
            y, new = neural_memory(*one, state, rule=rule, chunk_size=5, lengths=lengths)
        assert (new.cache is None) == asked
        assert new.position.tolist() == [1, 3, 8]
        assert not y[1].any()
        expected, end = neural_memory(
            *t.piece(7, 8), state, rule=rule, chunk_size=5, lengths=lengths, backend="reference"
        )
        assert relative(y.detach(), expected) <= 1e-10
        assert all(relative(a.detach(), b) <= 1e-10 for a, b in zip(stacks(new), stacks(end), strict=True))


@pytest.mark.parametrize("rule", ["bounded", "titans"])
def test_a_step_whose_gradient_is_asked_for_is_the_op(rule: str) -> None:
    t = tokens(rule)
    state = prefilled(t, None, rule=rule, chunk_size=5)
    grads = []
    for read in (memory_step, neural_memory):
        leaves = [x.clone().requires_grad_() for x in t.piece(7, 8)]
        inputs = [x[:, 0] for x in leaves] if read is memory_step else leaves
        y, end, surprise = read(*inputs, state, rule=rule, chunk_size=5, return_surprise=True)
        total = y.square().sum() + surprise.sum() + sum(w.square().sum() for w in end.weights)
        grads.append(torch.autograd.grad(total, leaves))
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_half_precision_tokens_are_read_with_a_float32_state() -> None:
    t = tokens()
    state = init_state(tuple(w.float() for w in t.weights), batch_size=3)
    y, state = memory_step(*(x[:, 0].bfloat16() for x in t.inputs), state)
    assert y.dtype == torch.bfloat16
    assert state.dtype == torch.float32


# --- states are values ---------------------------------------------------------------------------------------


def test_a_step_leaves_the_state_it_is_given_as_it_was() -> None:
    t = tokens()
    state = prefilled(t, None, chunk_size=5)
    for i in range(7, 14):
        before = {name: x.clone() for name, x in state.tensors().items()}
        _, new = memory_step(*at(t, [i] * 3), state, chunk_size=5)
        assert all(torch.equal(x, before[name]) for name, x in state.tensors().items())
        storages = {x.untyped_storage().data_ptr() for x in (*stacks(state), state.pending.k, state.position)}
        assert not storages & {x.untyped_storage().data_ptr() for x in (*stacks(new), new.pending.k, new.position)}
        state = new


def test_a_step_in_place_copies_a_state_of_other_origin_once_and_then_writes_where_it_stands() -> None:
    t = tokens()
    fresh = t.state()
    _, state = memory_step(*at(t, [0] * 3), fresh, chunk_size=5, inplace=True)
    assert not fresh.position.any() and not fresh.momentum[0].any()
    places = [x.data_ptr() for x in (*stacks(state), state.pending.k)]
    for i in range(1, 12):
        _, state = memory_step(*at(t, [i] * 3), state, chunk_size=5, inplace=True)
        assert [x.data_ptr() for x in (*stacks(state), state.pending.k)] == places


@pytest.mark.parametrize("depth", [1, 3])
def test_rows_that_read_nothing_stay_as_they_are_to_the_last_bit(depth: int) -> None:
    t = tokens(depth=depth)
    _, state = memory_step(*at(t, [7, 8, 9]), prefilled(t, None, chunk_size=5), chunk_size=5)
    nan = [x.clone() for x in at(t, [8, 9, 10])]
    for x in nan:
        x[1] = torch.nan
    y, new = memory_step(*nan, state, chunk_size=5, read=torch.tensor([True, False, True]))
    assert torch.equal(y[1], torch.zeros_like(y[1]))
    one = torch.tensor([1])
    before, after = state.select(one).tensors(), new.select(one).tensors()
    assert all(torch.equal(x, after[name]) for name, x in before.items())
    others = torch.tensor([0, 2])
    expected, end = memory_step(*(x[others] for x in nan), state.select(others), chunk_size=5)
    assert relative(y[others], expected) <= 1e-12
    assert new.position.tolist() == [2, 4, 9]
    assert all(relative(a[others], b) <= 1e-12 for a, b in zip(stacks(new), stacks(end), strict=True))


@pytest.mark.parametrize("rule", ["bounded", "titans"])
def test_a_masked_token_changes_no_weight_whatever_it_holds(rule: str) -> None:
    t = tokens(rule)
    state = prefilled(t, None, rule=rule, chunk_size=16)
    _, state = memory_step(*at(t, [7] * 3), state, rule=rule, chunk_size=16)
    nan = [x if i == 0 else torch.full_like(x, torch.nan) for i, x in enumerate(at(t, [8] * 3))]
    y, new = memory_step(*nan, state, rule=rule, chunk_size=16, mask=torch.zeros(3, dtype=torch.bool))
    assert all(torch.equal(a, b) for a, b in zip(stacks(new), stacks(state), strict=True))
    assert relative(y, state.read(nan[0][:, None])[:, 0]) <= 1e-12
    again, _ = memory_step(*at(t, [9] * 3), new, rule=rule, chunk_size=16)
    assert again.isfinite().all()


def test_a_row_does_not_depend_on_its_batch_mates() -> None:
    t = tokens()
    state = prefilled(t, None, chunk_size=5)
    for i in range(8):
        inputs = at(t, [p + i for p in PHASES])
        alone = [
            memory_step(*(x[[r]] for x in inputs), state.select(torch.tensor([r])), chunk_size=5) for r in range(3)
        ]
        y, state = memory_step(*inputs, state, chunk_size=5)
        for row, (expected, own) in enumerate(alone):
            assert relative(y[row], expected[0]) <= 1e-12
            assert all(relative(a[row], b[0]) <= 1e-12 for a, b in zip(stacks(state), stacks(own), strict=True))


def test_a_cache_travels_with_copies_and_is_left_behind_by_views_and_saves() -> None:
    t = tokens()
    _, state = memory_step(*at(t, [7] * 3), prefilled(t, None, chunk_size=5), chunk_size=5)
    assert state.select(torch.tensor([2, 0])).cache is not None
    assert MemoryState.stack([state, state]).cache is not None
    assert state.detach().cache is not None and state.to(dtype=state.dtype).cache is not None
    single = state.select(torch.tensor([1]))
    for other in (single.expand(4), state.unstack()[0], state.rebase(), state.forget(), state.to(dtype=torch.float32)):
        assert other.cache is None
    saved = state.tensors()
    assert not any("cache" in name for name in saved)
    assert saved["pending.k"].shape[1] == int((state.position % 5).max())
    assert MemoryState.stack([state, prefilled(t, None, chunk_size=5)]).cache is None


def test_stacking_states_with_and_without_a_cache_changes_nothing_of_what_is_read() -> None:
    t = tokens()
    plain = prefilled(t, None, chunk_size=5)
    stepped = ready_for_steps(plain, chunk_size=5)
    inputs = at(t, [9] * 3)
    expected, _ = memory_step(*inputs, plain, chunk_size=5)
    both, _ = memory_step(*(torch.cat((x, x)) for x in inputs), MemoryState.stack([plain, stepped]), chunk_size=5)
    assert relative(both, torch.cat((expected, expected))) <= 1e-12


def test_put_writes_rows_where_they_stand() -> None:
    t = tokens()
    state = ready_for_steps(prefilled(t, None, chunk_size=5), chunk_size=5)
    _, moved = memory_step(*at(t, [7] * 3), state, chunk_size=5)
    rows = torch.tensor([2, 0])
    expected = MemoryState.stack([moved.select(torch.tensor([i])) for i in (1, 1, 0)]).tensors()
    written = state.clone().put(rows, moved.select(torch.tensor([0, 1])))
    written = written.put(torch.tensor([1]), moved.select(torch.tensor([1])))
    assert all(torch.equal(x, expected[name]) for name, x in written.tensors().items())
    with pytest.raises(ValueError, match="without a cache"):
        state.put(rows, prefilled(t, None, chunk_size=5))
    other = ready_for_steps(Tokens(seed=1, batch=3).state(), chunk_size=5)
    with pytest.raises(ValueError, match="different memories"):
        state.put(torch.arange(3), other)


# --- cost ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["bounded", "titans"])
def test_a_step_does_the_same_at_position_10_and_10_million(rule: str) -> None:
    t = tokens(rule)
    near = ready_for_steps(prefilled(t, None, rule=rule, chunk_size=16), rule=rule, chunk_size=16)
    far = replace(near, position=near.position + 16 * 10**6)
    costs = []
    for state in (near, far):
        with StepCost() as cost, torch.no_grad():
            memory_step(*at(t, [7] * 3), state, rule=rule, chunk_size=16, inplace=True)
        costs.append(cost)
    assert costs[0].operations == costs[1].operations
    assert costs[0].largest <= 3 * 2 * 16 * 8  # the rows of one chunk: no history, no chunk of activations


def test_every_phase_but_the_last_costs_the_same() -> None:
    t = tokens()
    state, costs = ready_for_steps(t.state(), chunk_size=16), []
    for i in range(16):
        with StepCost() as cost, torch.no_grad():
            _, state = memory_step(*at(t, [i] * 3), state, chunk_size=16, inplace=True)
        costs.append(cost)
    assert all(c.operations == costs[0].operations for c in costs[:15])
    assert len(costs[15].operations) > len(costs[0].operations)


# --- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "bound"}, "rule must be one of"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
        ({"mask": torch.ones(2, dtype=torch.bool)}, r"mask must be bool of shape \(3,\), found torch.bool of \(2,\)"),
        ({"read": torch.ones(3)}, r"read must be bool of shape \(3,\), found torch.float32"),
    ],
)
def test_a_bad_option_is_named(options: dict, message: str) -> None:
    t = tokens()
    with pytest.raises(ValueError, match=message):
        memory_step(*at(t, [0] * 3), t.state(), **options)


def test_shapes_that_do_not_fit_the_state_and_another_chunk_size_are_named() -> None:
    t = tokens()
    with pytest.raises(ValueError, match=r"q must have shape \(3, 2, 4\) to go with the state"):
        memory_step(*(x[:2, 0] for x in t.inputs), t.state())
    with pytest.raises(ValueError, match="theta must have shape"):
        memory_step(*(x[:, 0] for x in t.inputs[:3]), *(x[:, 0, :1] for x in t.inputs[3:]), t.state())
    with pytest.raises(ValueError, match="chunk_size=5, found chunk_size=4"):
        memory_step(*at(t, [7] * 3), prefilled(t, None, chunk_size=5), chunk_size=4)
    state = ready_for_steps(prefilled(t, None, chunk_size=1), chunk_size=1)
    with pytest.raises(ValueError, match="chunk_size=1, found chunk_size=3"):
        memory_step(*at(t, [7] * 3), state, chunk_size=3)
