"""The hand-derived backward pass: exact, and keeping no more than a few states."""

from __future__ import annotations

import itertools

import pytest
import torch
from memory_tokens import Tokens
from torch import Tensor

from titans_seq.memory import chunked, init_state, neural_memory
from titans_seq.memory._coefficients import Coefficients, coefficient_matrices, coefficients_backward

SETTINGS = [
    pytest.param({"rule": "bounded"}, id="bounded"),
    pytest.param({"rule": "bounded", "decay_before_error": True}, id="bounded-decay-before-error"),
    pytest.param({"rule": "titans"}, id="titans"),
    pytest.param({"rule": "titans", "loss": "dot"}, id="titans-dot"),
]


def outputs(t: Tokens, **options) -> list[Tensor]:
    """Everything that two calls give, the second one from a carried state with rows at different phases."""
    options = {"chunk_size": 4, "return_surprise": True, **options}
    first = neural_memory(*t.piece(0, 6), t.state(), lengths=torch.tensor([6, 3]), **options)
    y, state, surprise = neural_memory(*t.piece(6, t.time), first[1], mask=t.mask[:, 6:], **options)
    stacks = (state.weights, state.momentum, state.opening_weights, state.opening_momentum)
    return [first[0], first[2], y, surprise, *itertools.chain(*stacks), state.pending.v, state.pending.eta]


def gradients(t: Tokens, **options) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in (*t.inputs, *t.weights)]
    t.q, t.k, t.v, t.theta, t.eta, t.alpha = leaves[:6]
    t.weights = tuple(leaves[6:])
    g = torch.Generator().manual_seed(1)
    given = outputs(t, **options)
    total = sum((torch.randn(o.shape, generator=g, dtype=torch.float64) * o).sum() for o in given)
    grads = torch.autograd.grad(total, leaves)
    return [*(o.detach() for o in given), *grads]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("surprise_threshold", [0.0, 1.2])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_hand_derived_adjoint_equals_plain_autograd(
    monkeypatch: pytest.MonkeyPatch, settings: dict, depth: int, surprise_threshold: float, scale: float
) -> None:
    options = {**settings, "surprise_threshold": surprise_threshold}

    def tokens() -> Tokens:
        t = Tokens(time=27, dim=3, depth=depth, closed_gates=True, seed=3)
        # The unbounded rule leaves double precision's range on large values.
        t.v = t.v * (scale if settings["rule"] == "bounded" else 1.0)
        t.theta = t.theta * (1.0 if settings["rule"] == "bounded" else 0.2)
        return t

    by_hand = gradients(tokens(), **options)
    monkeypatch.setattr(chunked, "HAND_DERIVED_DEPTHS", ())
    by_autograd = gradients(tokens(), **options)
    for ours, expected in zip(by_hand, by_autograd, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("rule", ["bounded", "titans"])
@pytest.mark.parametrize("depth", [1, 2])
def test_gradcheck_in_double_precision(rule: str, depth: int) -> None:
    t = Tokens(batch=1, time=7, heads=1, dim=2, depth=depth, seed=5)
    t.v = 6 * t.v  # far enough for the damping to act
    leaves = [x.detach().requires_grad_() for x in (*t.inputs, *t.weights)]

    def read(*x: Tensor) -> tuple[Tensor, ...]:
        y, state, surprise = neural_memory(
            *x[:6], init_state(x[6:], batch_size=1), chunk_size=3, rule=rule, return_surprise=True
        )
        return y, surprise, *state.weights, *state.momentum

    assert torch.autograd.gradcheck(read, leaves, atol=1e-6)


def test_depth_two_never_goes_through_autograd_of_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the chunk was differentiated by autograd")

    monkeypatch.setattr(chunked, "read_segment_by_autograd", refuse)
    assert len(gradients(Tokens(time=20, depth=2))) > 6
    with pytest.raises(AssertionError, match="by autograd"):
        outputs(Tokens(time=20, depth=3))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2, 5, 100])
def test_where_the_states_are_kept_changes_nothing(depth: int, every: int) -> None:
    kept, usual = (gradients(Tokens(time=40, depth=depth), checkpoint_every=n) for n in (every, None))
    for ours, expected in zip(kept, usual, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-11)


def test_checkpoint_every_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1 chunk, found 0"):
        outputs(Tokens(), checkpoint_every=0)


class SavedElements:
    """Counts what the autograd graph keeps for the backward pass, every storage once."""

    def __init__(self) -> None:
        self.storages: dict[int, Tensor] = {}

    def pack(self, x: Tensor) -> Tensor:
        self.storages[x.untyped_storage().data_ptr()] = x
        return x

    def total(self) -> int:
        return sum(x.untyped_storage().nbytes() // x.element_size() for x in self.storages.values())


def saved(time: int, **options) -> int:
    t, count = Tokens(batch=1, time=time, heads=1, dim=8, expansion=4, dtype=torch.float32), SavedElements()
    t.weights = tuple(w.requires_grad_() for w in t.weights)
    t.q.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(count.pack, lambda x: x):
        neural_memory(*t.inputs, t.state(), chunk_size=4, **options)
    return count.total()


def test_the_graph_keeps_about_the_square_root_of_the_chunks_as_states() -> None:
    tokens, state = 8 * 3 + 4, 2 * 2 * 8 * 32  # q, k, v and gates of a token; weights and momentum of two layers
    for time in (256, 1024):
        n_chunks = time // 4
        assert saved(time) <= 1.5 * tokens * time + 1.5 * state * n_chunks**0.5 + 4 * state
    assert saved(1024, checkpoint_every=1) >= state * 256


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_read_in_single_precision(dtype: torch.dtype) -> None:
    exact = Tokens(time=70, dim=5, depth=2)
    exact.theta, exact.alpha = 0.9 * exact.theta, 0.1 * exact.alpha
    rounded = Tokens(time=70, dim=5, depth=2)
    for name in ("q", "k", "v", "theta", "eta", "alpha"):
        x = getattr(exact, name).to(dtype)
        setattr(exact, name, x.double())
        setattr(rounded, name, x.clone().requires_grad_())
    rounded.weights = tuple(w.float() for w in rounded.weights)
    y, state = neural_memory(*rounded.inputs, rounded.state(), chunk_size=16)
    expected, after = neural_memory(*exact.inputs, exact.state(), chunk_size=16)
    assert y.dtype == dtype
    assert state.dtype == torch.float32
    tolerance = {torch.float32: 2e-5, torch.bfloat16: 5e-3, torch.float16: 1e-3}[dtype]
    torch.testing.assert_close(y.double(), expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))
    for ours, theirs in zip(state.weights, after.weights, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))
    y.float().square().sum().backward()
    assert all(x.grad is not None and bool(x.grad.isfinite().all()) for x in rounded.inputs)


@pytest.mark.parametrize("chunk_size", [1, 5, 16, 32, 48])
def test_coefficients_and_their_adjoint_are_exact_at_closed_and_open_gates(chunk_size: int) -> None:
    g = torch.Generator().manual_seed(0)
    eta, alpha = torch.rand(2, 3, chunk_size, generator=g, dtype=torch.float64)
    for gate in (eta, alpha):
        gate[torch.rand(gate.shape, generator=g) < 0.3] = 0.0
        gate[torch.rand(gate.shape, generator=g) < 0.3] = 1.0
    eta.requires_grad_()
    alpha.requires_grad_()
    keep = torch.rand(3, chunk_size, generator=g) > 0.2
    made = coefficient_matrices(eta, alpha, keep)
    expected = torch.zeros_like(made.coefficients.path)
    for t in range(chunk_size):
        for i in range(t + 1):
            for j in range(i, t + 1):
                if bool(keep[0, j]):
                    span = (1 - alpha[0, j + 1 : t + 1]).prod() * eta[0, i + 1 : j + 1].prod()
                    expected[0, t, i] = expected[0, t, i] + span.detach()
    torch.testing.assert_close(made.coefficients.path[0], expected[0], rtol=1e-12, atol=1e-20)
    given = Coefficients(*(torch.randn(c.shape, generator=g, dtype=torch.float64) for c in made.coefficients))
    given = given._replace(path=given.path.tril())
    total = sum((c * d).sum() for c, d in zip(made.coefficients, given, strict=True))
    by_autograd = torch.autograd.grad(total, (eta, alpha))
    with torch.no_grad():
        by_hand = coefficients_backward(made, keep, given)
    for ours, theirs in zip(by_hand, by_autograd, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("power", [1, 2])
def test_a_second_derivative_is_refused_rather_than_wrong(depth: int, power: int) -> None:
    t = Tokens(time=20, depth=depth)
    t.k.requires_grad_()
    y, _ = neural_memory(*t.inputs, t.state(), chunk_size=8)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(y.pow(power).sum(), t.k, create_graph=True)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("time", [1, 20])
def test_autocast_leaves_the_memory_its_precision(depth: int, time: int) -> None:
    t = Tokens(time=time, depth=depth, dtype=torch.float32)
    t.k.requires_grad_()
    expected, state = neural_memory(*t.inputs, t.state(), chunk_size=8)
    wanted = torch.autograd.grad(expected.square().sum(), t.k)[0]
    with torch.autocast("cpu", torch.bfloat16):
        y, after = neural_memory(*t.inputs, t.state(), chunk_size=8)
    got = torch.autograd.grad(y.square().sum(), t.k)[0]
    assert after.dtype == torch.float32
    assert torch.equal(y, expected)
    assert torch.equal(got, wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_size": 16.0}, "chunk_size must be an integer, found 16.0"),
        ({"chunk_size": True}, "chunk_size must be an integer, found True"),
        ({"checkpoint_every": 1.5}, "checkpoint_every must be an integer, found 1.5"),
    ],
)
def test_sizes_that_are_no_integers_are_named(options: dict, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        outputs(Tokens(), **options)


@pytest.mark.parametrize("lengths", [[3, 4], torch.tensor([1.5, 3.0])])
def test_lengths_that_are_no_tensor_of_integers_are_refused(lengths: object) -> None:
    t = Tokens()
    with pytest.raises(ValueError, match=r"lengths must be a tensor of integers of shape \(2,\), found"):
        neural_memory(*t.inputs, t.state(), chunk_size=4, lengths=lengths)
