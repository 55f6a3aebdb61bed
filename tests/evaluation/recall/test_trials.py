"""What trials are made of: places, haystacks, and batches of them."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from titans_seq.evaluation.recall import Needles, Shapes, StateTracking, Task, Trials
from titans_seq.evaluation.recall.haystacks import BLOCK, Bases, RandomTokens, RepeatedPhrase
from titans_seq.evaluation.recall.trials import draw_batches, scatter


@given(n_events=st.integers(0, 9), width=st.integers(1, 5), spare=st.integers(0, 30), seed=st.integers(0, 999))
def test_events_neither_overlap_nor_leave_the_room(n_events: int, width: int, spare: int, seed: int) -> None:
    room = n_events * width + spare
    places = scatter(n_events, width, room, 5, np.random.default_rng(seed))
    assert places.shape == (5, n_events)
    assert (np.diff(places, axis=1) >= width).all()
    assert n_events == 0 or (places.min() >= 0 and places.max() <= room - width)


@pytest.mark.parametrize(("n_events", "width", "room"), [(1, 3, 9), (2, 2, 7), (3, 2, 8), (3, 1, 6), (4, 1, 5)])
def test_every_way_to_place_events_is_as_likely(n_events: int, width: int, room: int) -> None:
    ways = [
        way
        for way in itertools.combinations(range(room - width + 1), n_events)
        if all(b - a >= width for a, b in itertools.pairwise(way))
    ]
    drawn = scatter(n_events, width, room, 400 * len(ways), np.random.default_rng(3))
    counts = [int((drawn == way).all(1).sum()) for way in ways]
    assert sum(counts) == len(drawn)
    assert stats.chisquare(counts).pvalue > 0.001


def test_events_that_do_not_fit_ask_for_a_longer_stream() -> None:
    with pytest.raises(ValueError, match="3 events of 4 tokens do not fit into 11 tokens: use a longer stream"):
        scatter(3, 4, 11, 2, np.random.default_rng(0))


def test_random_tokens_are_drawn_evenly_and_each_row_has_its_own() -> None:
    hay = RandomTokens(np.array([1, 2, 1], np.uint64), 64)
    tokens = hay.read(0, 20_000)
    assert tokens.dtype == np.uint8
    assert np.array_equal(tokens[0], tokens[2]) and (tokens[0] == tokens[1]).mean() < 0.05
    blocks = tokens[0, : 19 * BLOCK].reshape(19, BLOCK)
    assert all((a == b).mean() < 0.1 for a, b in itertools.combinations(blocks, 2))
    assert stats.chisquare(np.bincount(tokens[0], minlength=64)).pvalue > 0.001


@pytest.mark.parametrize("at", [0, 5, BLOCK, BLOCK + 1])
def test_nothing_is_read_of_an_empty_piece(at: int) -> None:
    keys = np.array([1, 2], np.uint64)
    for hay in (
        RandomTokens(keys, 64),
        RepeatedPhrase(np.ones((2, 3), np.uint8)),
        Bases(np.ones(9999, np.uint8), np.arange(2)),
    ):
        assert hay.read(at, at).shape == (2, 0)
    assert Shapes(1).draw(2, 3000, np.random.default_rng(0)).read(at, at).shape == (2, 0, 8)


def test_a_stream_of_two_million_tokens_is_never_held() -> None:
    length = 2 << 20
    trials = Needles(8).draw(2, length, np.random.default_rng(0))
    tracemalloc.start()
    found = sum(int((trials.read(a, a + 4096) >= 64).sum()) for a in range(0, length, 4 * 4096))
    at_end = trials.read(length - 4096, length)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert found <= 2 * 16 and int((at_end >= 64).sum()) >= 2 * 8


def rows(trials: Trials) -> list[tuple[bytes, bytes, bytes]]:
    tokens = trials.read(0, trials.length).numpy()
    return [
        (tokens[i].tobytes(), trials.questions[i].tobytes(), trials.answers[i].numpy().tobytes())
        for i in range(len(tokens))
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
@pytest.mark.parametrize(
    "task", [Needles(3), Needles(3, vary=True), StateTracking(), Shapes(2, vary=True)], ids=lambda task: task.name
)
def test_trials_do_not_depend_on_the_batch_size(task: Task, batch_size: int) -> None:
    def drawn(size: int, seed: int = 5) -> list[tuple[bytes, bytes, bytes]]:
        batches = list(draw_batches(task, 40, n_trials=15, seed=seed, batch_size=size))
        assert all(1 <= len(batch.questions) <= size for batch in batches)
        return [row for batch in batches for row in rows(batch)]

    assert drawn(batch_size) == drawn(4)
    assert len(set(drawn(batch_size))) == 15
    assert not set(drawn(batch_size)) & set(drawn(batch_size, seed=6))


def test_streams_of_one_batch_hold_different_numbers_of_steps() -> None:
    (batch,) = draw_batches(StateTracking(n_steps=8), 40, n_trials=20, seed=0, batch_size=20)
    steps = (batch.read(0, 39) >= 70).sum(1)
    assert len(set(steps.tolist())) > 3
    assert batch.length == 40 and batch.answer_length == 1


def test_fewer_trials_are_the_first_of_more() -> None:
    (few,), (many,) = (draw_batches(Needles(2), 40, n_trials=n, seed=1, batch_size=99) for n in (3, 9))
    assert rows(few) == rows(many)[:3]


def test_trials_are_not_those_of_a_training_with_the_same_seed() -> None:
    (batch,) = draw_batches(Needles(), 40, n_trials=3, seed=1, batch_size=3)
    assert not set(rows(batch)) & set(rows(Needles().draw(1, 40, np.random.default_rng(1))))


@pytest.mark.parametrize("sizes", [{"n_trials": 0, "batch_size": 1}, {"n_trials": 1, "batch_size": 0}])
def test_there_must_be_trials_and_batches(sizes: dict[str, int]) -> None:
    name = next(name for name, size in sizes.items() if size == 0)
    with pytest.raises(ValueError, match=f"{name} must be at least 1, found 0"):
        next(draw_batches(Needles(), 40, seed=0, **sizes))
