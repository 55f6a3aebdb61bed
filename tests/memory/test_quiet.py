"""Chunks in which nothing is written are only read: sooner, and with the same result."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_tokens import Tokens
from torch import Tensor

from titans_seq.memory import MemoryState, _segment, neural_memory

CHUNK = 4
RULES = ["bounded", "titans"]
DEPTHS = [1, 2]


def sparse(time: int, written: list[list[int]], *, eta: float = 0.5, batch: int = 2, **options: Any) -> Tokens:
    """Tokens whose gates are closed but where a row writes and forgets a little."""
    t = Tokens(batch=batch, time=time, **options)
    open_here = torch.zeros(batch, time, 1, dtype=torch.bool)
    for row, places in enumerate(written):
        open_here[row, [p for p in places if p < time]] = True
    t.theta = torch.where(open_here, 0.3 * t.theta + 0.1, 0)
    t.alpha = torch.where(open_here, 0.1 * t.alpha, 0)
    t.eta = torch.full_like(t.eta, eta)
    return t


def read(
    t: Tokens, cuts: list[int] | None = None, lengths: Tensor | None = None, mask: Tensor | None = None, **options: Any
) -> tuple[Tensor, MemoryState]:
    """Read in pieces; each row up to its length."""
    state, pieces = t.state(), []
    for start, stop in itertools.pairwise([0, *sorted(cuts or []), t.time]):
        y, state, *_ = neural_memory(
            *t.piece(start, stop), state, chunk_size=CHUNK, mask=None if mask is None else mask[:, start:stop],
            lengths=None if lengths is None else (lengths - start).clamp(0, stop - start), **options,
        )  # fmt: skip
        pieces.append(y)
    return torch.cat(pieces, 1), state


def read_in_full(t: Tokens, *args: Any, **options: Any) -> tuple[Tensor, MemoryState]:
    """The same, no chunk of it left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_segment, "quiet_chunks", lambda *_: None)
        return read(t, *args, **options)


def tensors(state: MemoryState) -> dict[str, Tensor]:
    stacks = ("weights", "momentum", "opening_weights", "opening_momentum")
    named = {f"{name}.{i}": w for name in stacks for i, w in enumerate(getattr(state, name))}
    return named | {f"pending.{f.name}": getattr(state.pending, f.name) for f in fields(state.pending)}


def assert_same(found: tuple[Tensor, MemoryState], expected: tuple[Tensor, MemoryState]) -> None:
    """Outputs to rounding, states to the last bit."""
    assert (found[0] - expected[0]).abs().max() <= 1e-6 * expected[0].abs().max()
    assert torch.equal(found[1].position, expected[1].position)
    for (name, ours), theirs in zip(tensors(found[1]).items(), tensors(expected[1]).values(), strict=True):
        assert torch.equal(ours, theirs), name


@dataclass
class Written:
    """Counts the chunks that are read in full."""

    chunks: int = 0


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    count, write_chunk = Written(), _segment.write_chunk

    def counted(*args: Any) -> Any:
        count.chunks += 1
        return write_chunk(*args)

    monkeypatch.setattr(_segment, "write_chunk", counted)
    return count


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_closed_memory_is_the_same_to_the_last_bit_after_100_000_tokens(
    rule: str, depth: int, written: Written
) -> None:
    t = sparse(100_000, [[0, 3, 17], [1]], depth=depth, dim=2, heads=1, dtype=torch.float32)
    options = {"rule": rule, "chunk_size": 64}
    _, state = neural_memory(*t.piece(0, 1000), t.state(), **options)
    assert not any(s.any() for s in state.momentum)
    assert all(not torch.equal(w[0], m) for w, m in zip(state.weights, state.initial, strict=True))
    written.chunks, later = 0, state
    for start in range(1000, 100_000, 33_000):
        _, later = neural_memory(*t.piece(start, min(start + 33_000, 100_000)), later, **options)
    assert written.chunks == 0
    assert later.position.tolist() == [100_000, 100_000]
    for stack in ("weights", "momentum"):
        for now, then in zip(getattr(later, stack), getattr(state, stack), strict=True):
            assert torch.equal(now, then)


events = st.lists(st.integers(0, 79), max_size=4)


@settings(max_examples=25)
@given(
    rule=st.sampled_from(RULES),
    depth=st.sampled_from(DEPTHS),
    eta=st.sampled_from([0.0, 0.3, 0.9, 0.99]),
    rows=st.tuples(events, events),
    lengths=st.none() | st.tuples(st.integers(0, 80), st.integers(0, 80)),
    masked=st.booleans(),
    cuts=st.lists(st.integers(0, 80), max_size=3),
    per_group=st.booleans(),
    loudness=st.sampled_from([1.0, 30.0]),
    seed=st.integers(0, 3),
)
@example(
    rule="bounded",
    depth=2,
    eta=0.3,
    rows=([0, 50], []),
    lengths=None,
    masked=False,
    cuts=[30],
    per_group=False,
    loudness=30.0,
    seed=0,
)
def test_quiet_chunks_read_alike_whoever_writes_wherever_the_stream_is_cut(
    rule: str, depth: int, eta: float, rows: tuple[list[int], list[int]], lengths: tuple[int, int] | None,
    masked: bool, cuts: list[int], per_group: bool, loudness: float, seed: int,
) -> None:  # fmt: skip
    t = sparse(80, list(rows), eta=eta, depth=depth, dim=3, dtype=torch.float32, seed=seed)
    t.v = loudness * t.v  # far enough for hidden layers to be confined
    given_lengths = None if lengths is None else torch.tensor(lengths)
    mask = t.mask if masked else None
    with pytest.MonkeyPatch.context() as patch:
        if per_group:  # groups are read in blocks; here each by itself
            patch.setattr(_segment, "BLOCK_ELEMENTS", 1)
        found = read(t, cuts, given_lengths, mask, rule=rule)
        assert_same(found, read_in_full(t, cuts, given_lengths, mask, rule=rule))
    whole = read(t, [], given_lengths, mask, rule=rule)
    scale = 1e-5 * whole[0].abs().max()
    assert (found[0] - whole[0]).abs().max() <= scale
    for ours, theirs in zip(found[1].weights, whole[1].weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * loudness)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("eta", [0.0, 0.5, 0.99])
def test_quiet_chunks_agree_with_the_specification(rule: str, depth: int, eta: float) -> None:
    t = sparse(56, [[2, 30], [33]], eta=eta, depth=depth, dim=3, heads=1)
    lengths, mask = torch.tensor([56, 49]), t.mask
    expected = read(t, None, lengths, mask, rule=rule, backend="reference")
    for cuts in ([], [27, 41]):
        y, state = read(t, cuts, lengths, mask, rule=rule)
        torch.testing.assert_close(y, expected[0], rtol=0, atol=1e-10)
        for ours, theirs in zip(
            (*state.weights, *state.momentum), (*expected[1].weights, *expected[1].momentum), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("depth", DEPTHS)
def test_momentum_is_waited_for_until_it_is_spent(rule: str, depth: int, written: Written) -> None:
    # 0.99 fades to zero over 2,500 chunks of 4: to the last bit there is something to carry.
    slow = sparse(800, [[0], []], eta=0.99, depth=depth, dim=2, heads=1, dtype=torch.float32)
    found = read(slow, rule=rule)
    assert written.chunks == 200
    assert_same(found, read_in_full(slow, rule=rule))
    written.chunks = 0
    fast = sparse(800, [[0], []], eta=0.1, depth=depth, dim=2, heads=1, dtype=torch.float32)
    found = read(fast, rule=rule)
    assert 1 < written.chunks < 20
    assert_same(found, read_in_full(fast, rule=rule))


def test_only_chunks_with_a_write_and_those_that_still_feel_it_are_read_in_full(written: Written) -> None:
    t = sparse(400, [[43, 201], [202]], eta=0.0, depth=2, dtype=torch.float32)
    y, _ = read(t)
    assert written.chunks == 3  # two with writes, and the one after a write of a chunk's last token
    assert torch.equal(read(t, return_surprise=True)[0].isfinite(), y.isfinite())
    assert written.chunks == 3 + 100  # surprise is asked of every token
    read(t, surprise_threshold=0.1)
    assert written.chunks == 3 + 200


@pytest.mark.parametrize("gate", ["theta", "alpha"])
def test_a_single_open_gate_of_a_single_head_is_heeded(gate: str, written: Written) -> None:
    t = sparse(80, [[1], [1]], eta=0.0, dtype=torch.float32)
    getattr(t, gate)[1, 50, 1] = 0.2
    found = read(t)
    assert written.chunks == 2
    assert_same(found, read_in_full(t))
    # An open gate under the mask is not an open gate.
    written.chunks, mask = 0, torch.ones(2, 80, dtype=torch.bool)
    mask[1, 50] = False
    found = read(t, mask=mask)
    assert written.chunks == 1
    assert_same(found, read_in_full(t, mask=mask))


@pytest.mark.parametrize("cut", [40, 41, 42, 43, 44])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_stream_cut_inside_a_quiet_run_goes_on_as_if_it_were_not(cut: int, depth: int) -> None:
    t = sparse(80, [[3, cut + 1], [cut + 7]], eta=0.2, depth=depth, dtype=torch.float32)
    _, state = neural_memory(*t.piece(0, cut), t.state(), chunk_size=CHUNK)
    assert state.pending.width == cut % CHUNK and not state.pending.theta.any()
    if cut % CHUNK:
        assert torch.equal(state.pending.k[:, : cut % CHUNK], t.k[:, cut - cut % CHUNK : cut])
    assert_same(read(t, [cut]), read_in_full(t, [cut]))
    torch.testing.assert_close(read(t, [cut])[0], read(t)[0], rtol=1e-5, atol=1e-5)


def test_a_quiet_call_changes_neither_the_state_it_was_given_nor_later_ones_in_place() -> None:
    t = sparse(80, [[], []], depth=2, dtype=torch.float32)
    given = t.state()
    before = [w.clone() for w in given.weights]
    _, after = neural_memory(*t.piece(0, 40), given, chunk_size=CHUNK)
    open_wide = Tokens(time=40, dtype=torch.float32)
    _, changed = neural_memory(*open_wide.inputs, after, chunk_size=CHUNK)
    for kept, now, later, was in zip(given.weights, after.weights, changed.weights, before, strict=True):
        assert torch.equal(kept, was) and torch.equal(now, was) and not torch.equal(later, was)


def gradients(t: Tokens, read_with: Any, **options: Any) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in (*t.inputs, *t.weights)]
    t.q, t.k, t.v, t.theta, t.eta, t.alpha = leaves[:6]
    t.weights = tuple(leaves[6:])
    y, state = read_with(t, [18], mask=t.mask, **options)
    g = torch.Generator().manual_seed(1)
    outputs = (y, *state.weights, *state.momentum)
    total = sum((torch.randn(x.shape, generator=g, dtype=x.dtype) * x).sum() for x in outputs)
    return list(torch.autograd.grad(total, leaves))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("rows", [[[1, 25], [2]], [[], []]], ids=["sparse", "closed"])
def test_gradients_of_a_quiet_call_are_those_of_the_specification_and_of_the_full_path(
    rule: str, depth: int, rows: list[list[int]]
) -> None:
    def tokens() -> Tokens:
        return sparse(36, rows, eta=0.0, depth=depth, dim=2, heads=1)

    quiet = gradients(tokens(), read, rule=rule)
    full = gradients(tokens(), read_in_full, rule=rule)
    specified = gradients(tokens(), read, rule=rule, backend="reference")
    assert any(bool(g.any()) for g in quiet[3:6])  # closed gates are told which way to open
    for ours, same, expected in zip(quiet, full, specified, strict=True):
        assert torch.equal(ours, same)
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-10)


def test_the_forward_of_a_call_with_gradients_takes_the_quiet_path_too(written: Written) -> None:
    t = sparse(400, [[1], [1]], eta=0.0, dtype=torch.float32)
    t.v.requires_grad_()
    y, _ = read(t)
    assert written.chunks == 1
    y.sum().backward()
    assert written.chunks == 1 + 100  # the backward pass needs all of them
