"""Streams read piece by piece: every row once, in order, resumable anywhere; and the state that goes along."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from titans_seq.nn import VARIANTS, Backbone, BackboneState
from titans_seq.training.streams import Pieces, StreamLoader, carry, restart


@st.composite
def loaders(draw: st.DrawFn) -> dict:
    return {
        "lengths": draw(st.lists(st.integers(1, 30), min_size=1, max_size=6)),
        "batch_size": draw(st.integers(1, 5)),
        "piece_length": draw(st.integers(1, 12)),
        "seed": draw(st.integers(0, 2**32)),
        "n_pieces": draw(st.none() | st.integers(1, 9)),
        "stagger": draw(st.booleans()),
    }


def read(loader: StreamLoader, n: int) -> list[Pieces]:
    """The next ``n`` pieces, across epochs."""
    pieces: list[Pieces] = []
    while len(pieces) < n:
        for piece in loader:
            pieces.append(piece)
            if len(pieces) == n:
                break
    return pieces


def same(a: Pieces, b: Pieces) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Pieces))


def reads_of(pieces: list[Pieces]) -> list[list[tuple[int, int, int]]]:
    """Per stream taken, in the order of taking: the (stream, start, stop) of its pieces."""
    taken: list[list[tuple[int, int, int]]] = []
    current: dict[int, list[tuple[int, int, int]]] = {}
    for piece in pieces:
        for row in range(len(piece.stream)):
            if piece.fresh[row]:
                current[row] = []
                taken.append(current[row])
            current[row].append((int(piece.stream[row]), int(piece.start[row]), int(piece.stop[row])))
    return taken


# --- which rows are read -----------------------------------------------------------------------------------


@given(loaders())
def test_a_stream_once_begun_is_read_to_its_end_in_order_and_each_row_once(options: dict) -> None:
    lengths, length = options["lengths"], options["piece_length"]
    pieces = read(StreamLoader(**options), 60)
    unfinished = {(int(s), int(e)) for s, e in zip(pieces[-1].stream, pieces[-1].stop, strict=True)}
    for reads in reads_of(pieces):
        assert len({stream for stream, _, _ in reads}) == 1
        assert all(a[2] == b[1] for a, b in zip(reads, reads[1:], strict=False))
        assert all(stop - start == length for _, start, stop in reads[:-1])
        stream, start, stop = reads[-1]
        assert 0 < stop - start <= length
        assert stop == lengths[stream] or (stream, stop) in unfinished


@given(loaders())
def test_every_pass_takes_every_stream_once(options: dict) -> None:
    order = [reads[0][0] for reads in reads_of(read(StreamLoader(**options), 60))]
    n = len(options["lengths"])
    for at in range(0, len(order) - n + 1, n):
        assert sorted(order[at : at + n]) == list(range(n))


@given(loaders())
def test_streams_begin_within_their_first_piece_and_first_half(options: dict) -> None:
    taken = reads_of(read(StreamLoader(**options), 60))
    anywhere = options["batch_size"] if options["stagger"] else 0
    for reads in taken[anywhere:]:
        stream, begin, _ = reads[0]
        assert 0 <= begin < options["piece_length"]
        assert 2 * begin <= options["lengths"][stream]


@given(loaders())
def test_fresh_says_that_the_row_does_not_go_on_where_it_was(options: dict) -> None:
    pieces = read(StreamLoader(**options), 40)
    assert pieces[0].fresh.all()
    for before, now in zip(pieces, pieces[1:], strict=False):
        goes_on = (now.stream == before.stream) & (now.start == before.stop)
        assert (now.fresh | goes_on).all()
        ended = before.stop == np.array(options["lengths"])[before.stream]
        np.testing.assert_array_equal(now.fresh, ended)


def test_the_order_and_the_places_differ_from_pass_to_pass() -> None:
    loader = StreamLoader([50] * 20, batch_size=1, piece_length=10, seed=0)
    taken = [reads[0] for reads in reads_of(read(loader, 300))]
    assert [t[0] for t in taken[:20]] != [t[0] for t in taken[20:40]]
    assert {t[1] for t in taken} == set(range(10))


def test_staggered_rows_of_one_long_stream_begin_far_apart() -> None:
    first = next(iter(StreamLoader([10_000], batch_size=16, piece_length=10, seed=0, stagger=True)))
    assert np.ptp(first.start) > 5_000
    together = next(iter(StreamLoader([10_000], batch_size=16, piece_length=10, seed=0)))
    assert np.ptp(together.start) < 10


def test_an_epoch_is_as_many_pieces_as_asked_for_and_about_one_pass_by_default() -> None:
    loader = StreamLoader([100, 50], batch_size=2, piece_length=10, seed=0, n_pieces=7)
    assert len(loader) == 7 == len(list(loader))
    assert len(StreamLoader([100, 50, 1], batch_size=2, piece_length=10, seed=0)) == 8


# --- the same again ----------------------------------------------------------------------------------------


@given(loaders())
def test_a_loader_resumed_at_any_piece_goes_on_bit_for_bit(options: dict) -> None:
    whole = read(StreamLoader(**options), 25)
    loader, states = StreamLoader(**options), []
    while len(states) < 20:
        for _ in loader:
            states.append(json.dumps(loader.state_dict()))
    for at in range(20):
        resumed = StreamLoader(**options)
        resumed.load_state_dict(json.loads(states[at]))
        rest = read(resumed, 24 - at)
        assert all(map(same, rest, whole[at + 1 :]))


def test_a_loader_resumed_in_the_middle_of_an_epoch_reads_what_is_left_of_it() -> None:
    options = {"lengths": [40, 30], "batch_size": 2, "piece_length": 5, "seed": 3, "n_pieces": 6}
    loader = StreamLoader(**options)
    for at, _ in enumerate(loader):
        if at == 1:
            break
    resumed = StreamLoader(**options)
    resumed.load_state_dict(loader.state_dict())
    assert [len(list(resumed)), len(list(resumed))] == [4, 6]


@given(loaders())
def test_the_seed_alone_decides_and_global_generators_are_left_alone(options: dict) -> None:
    np.random.seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = read(StreamLoader(**options), 10)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    np.random.seed(2)
    assert all(map(same, first, read(StreamLoader(**options), 10)))


def test_another_seed_reads_in_another_order() -> None:
    a, b = (read(StreamLoader([90] * 9, batch_size=4, piece_length=10, seed=s), 5) for s in (0, 1))
    assert not all(map(same, a, b))


def test_what_a_loader_handed_out_does_not_change_when_it_goes_on() -> None:
    loader = StreamLoader([30, 20], batch_size=2, piece_length=4, seed=0)
    first = next(iter(loader))
    kept = replace(first, **{f.name: getattr(first, f.name).copy() for f in fields(Pieces)})
    read(loader, 5)
    assert same(first, kept)


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lengths": []}, ValueError, "at least one stream"),
        ({"lengths": [[3]]}, ValueError, r"one dimension, found shape \(1, 1\)"),
        ({"lengths": [3, 0]}, ValueError, "stream 1 has length 0; leave out streams"),
        ({"lengths": [3.5]}, TypeError, "lengths must be integers, found float64"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, found 0"),
        ({"piece_length": 2.0}, TypeError, "piece_length must be an integer, found 2.0"),
        ({"n_pieces": 0}, ValueError, "n_pieces must be at least 1, found 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, found -1"),
        ({"seed": None}, TypeError, "seed must be an integer, found None"),
    ],
)
def test_a_bad_argument_of_the_loader_is_named(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        StreamLoader(**{"lengths": [9], "batch_size": 1, "piece_length": 2, "seed": 0} | options)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"batch_size": 3}, "batch_size was 2 in the saved state and is 3 here"),
        ({"lengths": [20, 31]}, "lengths differ"),
        ({"seed": 5}, "seed was 0 in the saved state and is 5 here"),
    ],
)
def test_the_state_of_a_loader_made_otherwise_is_refused(other: dict, message: str) -> None:
    options = {"lengths": [30, 20], "batch_size": 2, "piece_length": 4, "seed": 0}
    state = StreamLoader(**options).state_dict()
    with pytest.raises(ValueError, match=message):
        StreamLoader(**options | other).load_state_dict(state)


def test_a_damaged_state_is_refused_and_changes_nothing() -> None:
    loader = StreamLoader([30, 20], batch_size=2, piece_length=4, seed=0)
    state = loader.state_dict()
    with pytest.raises(ValueError, match="'position' is missing"):
        loader.load_state_dict({k: v for k, v in state.items() if k != "position"})
    with pytest.raises(ValueError, match="row 1 stands at 99 of stream 1, which has length 20"):
        loader.load_state_dict(state | {"stream": [0, 1], "position": [3, 99]})
    with pytest.raises(ValueError, match="row 0 reads stream 7"):
        loader.load_state_dict(state | {"stream": [7, 1]})
    with pytest.raises(ValueError, match="taken is 3, which no loader of these streams counts to"):
        loader.load_state_dict(state | {"taken": 3})
    assert loader.state_dict() == state


# --- the state that goes along -----------------------------------------------------------------------------


def build(variant: str, **options: int) -> Backbone:
    torch.manual_seed(0)
    sizes = {"d_model": 8, "n_layers": 2, "n_heads": 2, "chunk_size": 4, "window_size": 5, "n_persistent": 2}
    return Backbone(variant=variant, **sizes | options).double()


def tokens(batch: int, time: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, time, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def everything(state: BackboneState) -> list[Tensor]:
    return list(state.tensors().values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_pieces_with_a_carried_state_are_one_pass(variant: str) -> None:
    backbone, x = build(variant), tokens(3, 23)
    whole, _ = backbone(x)
    first, state = backbone(x[:, :11])
    second, _ = backbone(x[:, 11:], carry(state))
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_gradient_flows_into_an_earlier_piece(variant: str) -> None:
    backbone, x = build(variant), tokens(2, 20).requires_grad_()
    _, state = backbone(x[:, :9])
    again = restart(carry(state), torch.tensor([False, True]), backbone.init_state(1))
    backbone(x[:, 9:], again)[0].square().sum().backward()
    assert (x.grad[:, :9] == 0).all()
    assert (x.grad[:, 9:] != 0).any(-1).all()


@pytest.mark.parametrize("start_rows", [1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_row_that_begins_anew_reads_as_if_nothing_had_been_before_it(variant: str, start_rows: int) -> None:
    backbone, x, new = build(variant), tokens(3, 9), tokens(3, 13, seed=2)
    fresh = torch.tensor([False, True, False])
    futures = []
    for past in (x, x + 5.0 * fresh[:, None, None]):
        state = restart(carry(backbone(past)[1]), fresh, backbone.init_state(start_rows))
        futures.append(backbone(new, state)[0])
    assert torch.equal(futures[0], futures[1])
    torch.testing.assert_close(futures[0][1:2], backbone(new[1:2])[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(futures[0][::2], backbone(torch.cat([x, new], 1))[0][::2, 9:], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm"])
def test_rows_that_begin_anew_learn_from_the_persistent_tokens_that_memory_read(variant: str) -> None:
    backbone = build(variant)
    state = carry(backbone(tokens(2, 9))[1])
    state = restart(state, torch.tensor([True, False]), backbone.init_state(1))
    memory = state.layers[0].memory.weights[-1]
    (slope,) = torch.autograd.grad(memory[0].sum(), backbone.blocks[0].mixer.persistent, retain_graph=True)
    assert (slope != 0).any()
    assert torch.autograd.grad(memory[1].sum(), backbone.blocks[0].mixer.persistent)[0].eq(0).all()


@pytest.mark.parametrize("time", [0, 3])
@pytest.mark.parametrize("n_persistent", [0, 2])
def test_a_carried_state_stays_as_it_is_when_the_weights_take_a_step(n_persistent: int, time: int) -> None:
    backbone = build("mag", n_persistent=n_persistent)
    state = carry(backbone(tokens(2, time))[1])

    def of_rows() -> dict[str, Tensor]:
        return {n: x for n, x in state.tensors().items() if ".initial." not in n and ".start." not in n}

    kept = of_rows()
    backbone(tokens(2, 9))[0].sum().backward()
    torch.optim.SGD(backbone.parameters(), lr=1.0).step()
    after = of_rows()
    assert all(torch.equal(x, after[name]) for name, x in kept.items())


@pytest.mark.parametrize("variant", VARIANTS)
def test_steps_on_carried_states_go_on_as_the_weights_change(variant: str) -> None:
    backbone = build(variant)
    optimizer = torch.optim.SGD(backbone.parameters(), lr=1e-3)
    state = backbone.init_state(2)
    for i in range(4):
        state = restart(state, torch.tensor([False, i == 2]), backbone.init_state(1))
        y, state = backbone(tokens(2, 6, seed=i), state, lengths=torch.tensor([6, 3 + i % 2]))
        state = carry(state)
        optimizer.zero_grad()
        y.square().sum().backward()
        optimizer.step()
    assert state.position.tolist() == [24, 7]


def test_restart_names_what_does_not_fit() -> None:
    backbone = build("lmm")
    state = carry(backbone(tokens(3, 4))[1])
    with pytest.raises(ValueError, match=r"fresh must be bool of shape \(3,\), found torch.int64 of \(3,\)"):
        restart(state, torch.zeros(3, dtype=torch.int64), backbone.init_state(1))
    with pytest.raises(ValueError, match="start must have 1 or 3 rows, found 2"):
        restart(state, torch.zeros(3, dtype=torch.bool), backbone.init_state(2))


def recall_of_what_began_the_stream(carried: bool, steps: int = 100) -> float:
    """Error late in training on a sign that only the first token of a stream shows, over all pieces but the first."""
    torch.manual_seed(0)
    backbone = Backbone(16, 1, 1, "lmm", chunk_size=8, n_persistent=1)
    head = torch.nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=1e-2)
    random, sign, state, errors = torch.Generator().manual_seed(1), torch.zeros(16), backbone.init_state(16), []
    for pieces in StreamLoader([32] * 16, batch_size=16, piece_length=8, seed=0, n_pieces=steps):
        fresh, lengths = torch.from_numpy(pieces.fresh), torch.from_numpy(pieces.lengths)
        sign = torch.where(fresh, torch.randint(0, 2, (16,), generator=random) * 2.0 - 1.0, sign)
        x = torch.randn(16, 8, 16, generator=random) * 0.5
        x[..., 0] = 0.0
        x[fresh, 0] = 3.0 * sign[fresh, None] * torch.eye(16)[0]
        state = restart(state, fresh if carried else torch.ones_like(fresh), backbone.init_state(1))
        y, state = backbone(x, state, lengths=lengths)
        state = carry(state)
        read = torch.arange(8) < lengths[:, None]
        error = (head(y)[..., 0] - sign[:, None]).square()
        errors += error[read & ~fresh[:, None]].tolist()
        optimizer.zero_grad()
        error[read].mean().backward()
        optimizer.step()
    return float(np.mean(errors[-1000:]))


def test_what_began_a_stream_is_known_many_pieces_later_only_if_the_state_is_carried() -> None:
    assert recall_of_what_began_the_stream(carried=True) < 0.1
    assert recall_of_what_began_the_stream(carried=False) > 0.7
