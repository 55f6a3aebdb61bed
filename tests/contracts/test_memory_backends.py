"""One contract for every backend and rule: the laws of the memory op."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tokens import Tokens
from torch import Tensor

from titans_seq.memory import MemoryState, init_state, memory_step, neural_memory

BACKENDS = ["torch", "reference"]
RULES = ["bounded", "titans"]
every = [pytest.param(b, r, id=f"{b}-{r}") for b in BACKENDS for r in RULES]


def everything(state: MemoryState) -> list[Tensor]:
    return [*state.weights, *state.momentum, *state.opening_weights, *state.opening_momentum]


def relative(a: Tensor, b: Tensor, floor: float = 1e-3) -> float:
    """Largest difference relative to the largest value; below ``floor`` a tensor counts as rounding of zero."""
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max().clamp(min=floor))


def run(t: Tokens, backend: str, rule: str, state: MemoryState | None = None, **options) -> tuple[Tensor, MemoryState]:
    options = {"chunk_size": 5, **options}
    return neural_memory(*t.inputs, state if state is not None else t.state(), backend=backend, rule=rule, **options)


# --- torch = reference -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "burst"), [("bounded", 1.0), ("bounded", 1e3), ("titans", 1.0)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize(("time", "chunk_size"), [(1, 4), (13, 5), (17, 16), (7, 1), (24, 8)])
@pytest.mark.parametrize("surprise_threshold", [0.0, 1.5])
def test_torch_equals_the_reference_in_outputs_states_and_all_gradients(
    rule: str, depth: int, time: int, chunk_size: int, surprise_threshold: float, burst: float
) -> None:
    t = Tokens(time=time, depth=depth, closed_gates=True)
    t.v[:, time // 3 : time // 3 + 2] *= burst
    leaves = [x.requires_grad_() for x in (*t.inputs, *t.weights)]
    outputs = {}
    for backend in BACKENDS:
        y, state, s = run(
            t,
            backend,
            rule,
            chunk_size=chunk_size,
            mask=t.mask,
            surprise_threshold=surprise_threshold,
            return_surprise=True,
            lengths=torch.tensor([time, time // 2]),
        )
        again, state = run(t, backend, rule, state, chunk_size=chunk_size, surprise_threshold=surprise_threshold)
        pending = [x for x in (state.pending.k, state.pending.v, state.pending.theta) if x.numel()]
        outputs[backend] = [y, s, again, *everything(state), *pending]
    for ours, expected in zip(outputs["torch"], outputs["reference"], strict=True):
        assert relative(ours, expected) <= 1e-10
    grads = {backend: torch.autograd.grad(sum((o * o).sum() for o in outputs[backend]), leaves) for backend in BACKENDS}
    largest = max(float(g.abs().max()) for g in grads["reference"])
    for ours, expected in zip(grads["torch"], grads["reference"], strict=True):
        assert relative(ours, expected, floor=1e-5 * largest) <= 1e-10


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("depth", [1, 2])
def test_gradients_of_a_carried_state_equal_the_references(rule: str, depth: int) -> None:
    t = Tokens(time=7, depth=depth)
    states = {b: run(t, b, rule)[1] for b in BACKENDS}
    grads = {}
    for backend in BACKENDS:
        state = states[backend].detach()
        leaves = [
            *state.opening_weights,
            *state.opening_momentum,
            state.pending.k,
            state.pending.v,
            state.pending.eta,
        ]
        for leaf in leaves:
            leaf.requires_grad_()
        y, end = run(t, backend, rule, state)
        grads[backend] = torch.autograd.grad(y.square().sum() + sum(w.square().sum() for w in end.weights), leaves)
    for ours, expected in zip(grads["torch"], grads["reference"], strict=True):
        assert relative(ours, expected) <= 1e-10


@pytest.mark.parametrize("rule", RULES)
def test_torch_in_float32_is_within_1e_4_of_the_reference(rule: str) -> None:
    t = Tokens(time=33, dim=8, dtype=torch.float32, closed_gates=True)
    if rule == "titans":  # full steps from one point diverge under this rule; keep it where it is meaningful
        t.theta = t.theta * 0.1
    leaves = [x.requires_grad_() for x in (*t.inputs, *t.weights)]
    y, end = run(t, "torch", rule, chunk_size=16)
    grads = torch.autograd.grad(y.square().sum(), leaves)
    expected, exact_end = run(t, "reference", rule, chunk_size=16)
    exact_grads = torch.autograd.grad(expected.square().sum(), leaves)
    assert relative(y, expected) <= 1e-4
    for ours, exact in zip([*end.weights, *grads], [*exact_end.weights, *exact_grads], strict=True):
        assert relative(ours, exact) <= 1e-4


@pytest.mark.parametrize("rule", RULES)
def test_gradients_match_finite_differences(rule: str) -> None:
    t = Tokens(batch=1, time=5, heads=1, dim=3)
    leaves = tuple(x.requires_grad_() for x in (*t.inputs, *t.weights))

    def fn(*xs: Tensor) -> Tensor:
        y, state = neural_memory(*xs[:6], init_state(xs[6:], batch_size=1), rule=rule, chunk_size=3, backend="torch")
        return torch.cat([y.flatten(), *(w.flatten() for w in state.weights)])

    assert torch.autograd.gradcheck(fn, leaves)


@pytest.mark.parametrize("closed", ["theta", "eta", "alpha"])
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_finite_and_right_where_a_gate_is_exactly_closed_or_open(
    rule: str, closed: str, value: float
) -> None:
    t = Tokens(time=9)
    getattr(t, closed).fill_(value)
    leaves = [x.requires_grad_() for x in (*t.inputs, *t.weights)]
    grads = [torch.autograd.grad(run(t, b, rule)[0].square().sum(), leaves) for b in BACKENDS]
    for ours, expected in zip(*grads, strict=True):
        assert torch.isfinite(ours).all()
        assert relative(ours, expected) <= 1e-10


# --- streams -----------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(data=st.data(), rule=st.sampled_from(RULES), threshold=st.sampled_from([0.0, 1.5]))
def test_any_split_of_a_stream_is_one_pass(data: st.DataObject, rule: str, threshold: float) -> None:
    t = Tokens(time=23, closed_gates=True)
    options = {
        "rule": rule,
        "chunk_size": data.draw(st.sampled_from([1, 4, 8, 32])),
        "surprise_threshold": threshold,
    }
    whole, end = neural_memory(*t.inputs, t.state(), mask=t.mask, **options)
    cuts = sorted({0, t.time, *data.draw(st.lists(st.integers(0, t.time), max_size=6))})
    state, parts = t.state(), []
    for start, stop in zip(cuts, cuts[1:], strict=False):
        y, state = neural_memory(*t.piece(start, stop), state, mask=t.mask[:, start:stop], **options)
        parts.append(y)
    assert relative(torch.cat(parts, 1), whole) <= 1e-10
    for ours, expected in zip(everything(state), everything(end), strict=True):
        assert relative(ours, expected) <= 1e-10 or float(expected.abs().max()) == 0.0
    assert torch.equal(state.position, end.position)


@pytest.mark.parametrize(("backend", "rule"), every)
def test_prefill_equals_decoding_token_by_token_in_float32(backend: str, rule: str) -> None:
    t = Tokens(time=19, dtype=torch.float32)
    t.theta = t.theta * 0.3
    whole, _ = run(t, backend, rule, chunk_size=8)
    state, parts = t.state(), []
    for i in range(t.time):
        y, state = neural_memory(*t.piece(i, i + 1), state, backend=backend, rule=rule, chunk_size=8)
        parts.append(y)
    assert relative(torch.cat(parts, 1), whole) <= 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("backend", "rule"), every)
def test_prefill_equals_decoding_by_steps(backend: str, rule: str, dtype: torch.dtype) -> None:
    t = Tokens(time=19, dtype=dtype)
    t.theta = t.theta * 0.3
    whole, end = run(t, backend, rule, chunk_size=8, mask=t.mask)
    y, state = neural_memory(*t.piece(0, 5), t.state(), backend=backend, rule=rule, chunk_size=8, mask=t.mask[:, :5])
    parts = [y]
    for i in range(5, t.time):
        one = (x[:, i] for x in t.inputs)
        y, state = memory_step(*one, state, rule=rule, chunk_size=8, mask=t.mask[:, i], inplace=i % 2 > 0)
        parts.append(y[:, None])
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    assert relative(torch.cat(parts, 1), whole) <= tolerance
    for ours, expected in zip(everything(state), everything(end), strict=True):
        assert relative(ours, expected) <= tolerance


@pytest.mark.parametrize("rule", RULES)
def test_gradients_flow_through_a_state_carried_in_mid_chunk(rule: str) -> None:
    t = Tokens(time=9)
    leaves = [x.requires_grad_() for x in (*t.inputs, *t.weights)]
    whole, _ = run(t, "torch", rule)
    first, state = neural_memory(*t.piece(0, 7), t.state(), rule=rule, chunk_size=5)
    second, _ = neural_memory(*t.piece(7, 9), state, rule=rule, chunk_size=5)
    grads = torch.autograd.grad(torch.cat((first, second), 1).square().sum(), leaves)
    for ours, expected in zip(grads, torch.autograd.grad(whole.square().sum(), leaves), strict=True):
        assert relative(ours, expected) <= 1e-10


@pytest.mark.parametrize(("backend", "rule"), every)
def test_the_past_is_bit_equal_whatever_the_future(backend: str, rule: str) -> None:
    t, changed = Tokens(time=13), Tokens(time=13)
    for ours, theirs in zip(changed.inputs, Tokens(time=13, seed=9).inputs, strict=True):
        ours[:, 7:] = theirs[:, 7:]
    assert torch.equal(run(t, backend, rule)[0][:, :7], run(changed, backend, rule)[0][:, :7])


# --- batches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("backend", "rule"), every)
def test_sessions_at_phases_0_1_and_last_continue_alike_alone_and_stacked(backend: str, rule: str) -> None:
    t = Tokens(batch=1, time=17)
    states = [neural_memory(*t.piece(0, n), t.state(), backend=backend, rule=rule, chunk_size=5)[1] for n in (5, 6, 9)]
    alone = [neural_memory(*t.piece(9, 17), s, backend=backend, rule=rule, chunk_size=5) for s in states]
    inputs = tuple(x.expand(3, *x.shape[1:]) for x in t.piece(9, 17))
    y, end = neural_memory(*inputs, MemoryState.stack(states), backend=backend, rule=rule, chunk_size=5)
    for row, (expected, state) in enumerate(alone):
        assert relative(y[row : row + 1], expected) <= 1e-6
        back = end.unstack()[row]
        assert torch.equal(back.position, state.position)
        for ours, theirs in zip(everything(back), everything(state), strict=True):
            assert relative(ours, theirs) <= 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rule", RULES)
def test_a_session_is_bit_equal_whatever_its_batch_mates(rule: str, dtype: torch.dtype) -> None:
    t = Tokens(batch=3, time=11, dtype=dtype)
    t.theta = t.theta * 0.3
    one = t.rows(0)
    results = []
    for mates, phases in (((1, 2), (4, 1)), ((2, 1), (0, 3))):
        states = [init_state(t.weights, batch_size=1)] + [
            neural_memory(*(x[:, :p] for x in t.rows(m)), init_state(t.weights, batch_size=1), rule=rule, chunk_size=5)[
                1
            ]
            for m, p in zip(mates, phases, strict=True)
        ]
        inputs = tuple(torch.cat((a, b)) for a, b in zip(one, t.rows(*mates), strict=True))
        y, end = neural_memory(*inputs, MemoryState.stack(states), rule=rule, chunk_size=5)
        results.append((y[:1], [w[:1] for w in everything(end)]))
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))


@pytest.mark.parametrize(("backend", "rule"), every)
def test_padding_is_not_read_at_all(backend: str, rule: str) -> None:
    t = Tokens(batch=2, time=11)
    for x in t.inputs:
        x[1, 6:] = torch.nan
    y, state = run(t, backend, rule, lengths=torch.tensor([11, 6]))
    short = tuple(x[1:, :6] for x in t.inputs)
    expected, end = neural_memory(*short, init_state(t.weights, batch_size=1), backend=backend, rule=rule, chunk_size=5)
    assert relative(y[1:, :6], expected) <= 1e-12
    assert torch.equal(y[1, 6:], torch.zeros_like(y[1, 6:]))
    assert state.position.tolist() == [11, 6]
    for ours, theirs in zip(everything(state.unstack()[1]), everything(end), strict=True):
        assert relative(ours, theirs) <= 1e-12


# --- masks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("backend", "rule"), every)
def test_a_masked_token_neither_writes_nor_decays_nor_moves_momentum(backend: str, rule: str) -> None:
    t = Tokens(time=10)
    _, before = run(t, backend, rule)
    _, after = run(t, backend, rule, before, mask=torch.zeros(2, 10, dtype=torch.bool))
    for ours, theirs in zip((*after.weights, *after.momentum), (*before.weights, *before.momentum), strict=True):
        assert torch.equal(ours, theirs)
    assert after.position.tolist() == [20, 20]


@pytest.mark.parametrize(("backend", "rule"), every)
def test_nan_under_a_mask_reaches_nothing_not_even_gradients(backend: str, rule: str) -> None:
    clean, dirty = Tokens(), Tokens()
    for x in (dirty.k, dirty.v, dirty.theta, dirty.eta, dirty.alpha):
        x[~clean.mask] = torch.nan
    y, state = run(clean, backend, rule, mask=clean.mask)
    leaves = [x.requires_grad_() for x in dirty.inputs]
    y2, state2 = run(dirty, backend, rule, mask=clean.mask)
    assert torch.equal(y, y2)
    assert all(torch.equal(a, b) for a, b in zip(everything(state), everything(state2), strict=True))
    for leaf, grad in zip(leaves, torch.autograd.grad(y2.square().sum(), leaves), strict=True):
        assert torch.isfinite(grad).all(), leaf.shape


@pytest.mark.parametrize(("backend", "rule"), every)
def test_a_masked_token_is_still_read(backend: str, rule: str) -> None:
    t = Tokens(time=6)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[:, 5] = False
    y, state = run(t, backend, rule, mask=mask)
    torch.testing.assert_close(y[:, 5], state.read(t.q)[:, 5], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("backend", "rule"), every)
def test_a_token_below_the_surprise_threshold_is_like_a_masked_one(backend: str, rule: str) -> None:
    t = Tokens(time=10)
    _, _, surprise = run(t, "reference", "titans", chunk_size=10, return_surprise=True)
    threshold = float(surprise.median())
    y, state = run(t, backend, rule, chunk_size=10, surprise_threshold=threshold)
    for head in range(2):
        keep = surprise[..., head] > threshold
        one = tuple(x[:, :, head : head + 1] for x in t.inputs)
        weights = tuple(w[head : head + 1] for w in t.weights)
        expected, end = neural_memory(
            *one, init_state(weights, batch_size=2), mask=keep, backend=backend, rule=rule, chunk_size=10
        )
        torch.testing.assert_close(y[:, :, head : head + 1], expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(state.weights[0][:, head : head + 1], end.weights[0], rtol=1e-9, atol=1e-9)


# --- states ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("backend", "rule"), every)
def test_save_and_load_are_bit_exact(backend: str, rule: str, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    t = Tokens(time=8)
    _, state = run(t, backend, rule)
    save_file(state.tensors(), tmp_path / "state.safetensors")
    loaded = MemoryState.from_tensors(load_file(tmp_path / "state.safetensors"))
    for name, x in state.tensors().items():
        assert torch.equal(x, loaded.tensors()[name]), name
    assert torch.equal(run(t, backend, rule, state)[0], run(t, backend, rule, loaded)[0])


@pytest.mark.parametrize(("backend", "rule"), every)
def test_forget_returns_to_the_initial_weights_and_nothing_remains(backend: str, rule: str) -> None:
    t = Tokens(time=8)
    forgotten = run(t, backend, rule)[1].forget()
    for name, x in t.state().tensors().items():
        assert torch.equal(x, forgotten.tensors()[name]), name


def test_a_call_does_not_change_the_state_it_is_given() -> None:
    t = Tokens(time=8)
    _, state = run(t, "torch", "bounded")
    before = {name: x.clone() for name, x in state.tensors().items()}
    run(t, "torch", "bounded", state)
    assert all(torch.equal(x, before[name]) for name, x in state.tensors().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_read_with_a_float32_state(dtype: torch.dtype) -> None:
    t = Tokens(time=12, dtype=dtype)
    weights = tuple(w.float() for w in t.weights)
    y, state = neural_memory(*t.inputs, init_state(weights, batch_size=2), chunk_size=5)
    exact, _ = neural_memory(*(x.float() for x in t.inputs), init_state(weights, batch_size=2), chunk_size=5)
    assert y.dtype == dtype
    assert state.dtype == torch.float32
    torch.testing.assert_close(y, exact.to(dtype))


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "bound"}, "rule must be one of 'titans', 'bounded', found 'bound'"),
        ({"backend": "cuda"}, "backend must be one of"),
        ({"chunk_size": 0}, "chunk_size must be at least 1, found 0"),
        ({"surprise_threshold": -1.0}, "surprise_threshold must be 0"),
        ({"loss": "dot"}, "use rule='titans'"),
        ({"rule": "titans", "decay_before_error": True}, "needs rule='bounded'"),
        ({"lengths": torch.tensor([3, 99])}, r"lengths\[1\] must lie in \[0, 13\], found 99"),
        ({"mask": torch.ones(2, 3, dtype=torch.bool)}, "mask must be bool of shape"),
    ],
)
def test_a_bad_option_is_named(options: dict, message: str) -> None:
    t = Tokens()
    with pytest.raises(ValueError, match=message):
        neural_memory(*t.inputs, t.state(), **options)


def test_shapes_that_do_not_fit_the_state_are_named() -> None:
    t = Tokens()
    with pytest.raises(ValueError, match="theta must have shape"):
        neural_memory(t.q, t.k, t.v, t.theta[:, 1:], t.eta, t.alpha, t.state())
    with pytest.raises(ValueError, match="the state has batch 3"):
        neural_memory(*t.inputs, init_state(t.weights, batch_size=3))


def test_another_chunk_size_inside_an_open_chunk_is_refused() -> None:
    t = Tokens(time=7)
    _, state = run(t, "torch", "bounded", chunk_size=5)
    with pytest.raises(ValueError, match="chunk_size=5, found chunk_size=4"):
        run(t, "torch", "bounded", state, chunk_size=4)


def test_states_of_different_memories_do_not_stack() -> None:
    with pytest.raises(ValueError, match="initial weights of states 0 and 1 differ"):
        MemoryState.stack([Tokens(seed=0).state(), Tokens(seed=1).state()])
