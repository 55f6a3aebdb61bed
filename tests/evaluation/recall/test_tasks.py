"""Tasks of recall: their answers are what brute force finds in the stream, at every length that fits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import recall_solvers as solve
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from titans_seq.evaluation.recall import (
    CONTENT,
    Hops,
    MotifPartners,
    Needles,
    Pairs,
    SelectiveCopy,
    Shapes,
    StateTracking,
)
from titans_seq.evaluation.recall.haystacks import RepeatedPhrase
from titans_seq.evaluation.recall.tasks import BLANK, DECOY, WRITE, _permute

GENOME = np.random.default_rng(5).integers(0, 4, 4000, dtype=np.uint8)

SYMBOLS: list[tuple[Any, solve.Solver, int]] = [
    (Needles(), solve.needles, 5),
    (Needles(8), solve.needles, 40),
    (Needles(64), solve.needles, 320),
    (Needles(3, "phrase"), solve.needles, 15),
    (Needles(3, n_writes=4), solve.needles, 42),
    (Needles(2, n_decoys=5), solve.needles, 25),
    (Needles(4, "phrase", n_writes=3, n_decoys=4), solve.needles, 56),
    (Needles(5, n_writes=2, n_decoys=1, vary=True), solve.needles, 43),
    (Pairs(1), solve.pairs, 4),
    (Pairs(), solve.pairs, 32),
    (Pairs(32), solve.pairs, 128),
    (Pairs(5, vary=True), solve.pairs, 20),
    (SelectiveCopy(1), solve.copy, 3),
    (SelectiveCopy(6, "phrase"), solve.copy, 18),
    (SelectiveCopy(6, vary=True), solve.copy, 18),
    (Hops(1), solve.hops, 5),
    (Hops(2, 3), solve.hops, 24),
    (Hops(3, 2, "phrase"), solve.hops, 22),
    (Hops(3, 16, vary=True), solve.hops, 176),
    (StateTracking(), solve.parity, 9),
    (StateTracking("parity", 1, "phrase"), solve.parity, 2),
    (StateTracking("permutation", 12), solve.permutation, 13),
]
MOTIFS = [
    (MotifPartners(GENOME), 35),
    (MotifPartners(GENOME, 4), 140),
    (MotifPartners(GENOME, 3, motif_length=11, partner_length=1, n_known=6, vary=True), 69),
]
SHAPES = [(Shapes(1), 4), (Shapes(5), 20), (Shapes(3, patch_length=2, vary=True), 12)]
ALL = [*((task, least) for task, _, least in SYMBOLS), *MOTIFS, *SHAPES]
SEEDS = st.integers(0, 2**32)


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def solved(trials: Any, solver: Callable[[Any], dict[int, Any]]) -> None:
    """Every question is answered by brute force, in order, and nothing else is asked."""
    tokens = trials.read(0, trials.length).numpy()
    assert tokens.shape[1] == trials.length and trials.questions.shape == tuple(trials.answers.shape[:2])
    for row, stream in enumerate(tokens):
        found = solver(stream)
        assert sorted(found) == trials.questions[row].tolist()
        np.testing.assert_array_equal([found[at] for at in trials.questions[row]], trials.answers[row].numpy())


def named(value: Any) -> str | None:
    return getattr(value, "name", None)


@pytest.mark.parametrize(("task", "solver", "least"), SYMBOLS, ids=named)
@settings(max_examples=8)
@given(seed=SEEDS, extra=st.sampled_from([0, 1, 2, 7, 60, 300]), n=st.integers(1, 4))
def test_brute_force_gets_every_answer_right(
    task: Any, solver: solve.Solver, least: int, seed: int, extra: int, n: int
) -> None:
    solved(task.draw(n, least + extra, generator(seed)), lambda stream: solver(stream.tolist()))


@pytest.mark.parametrize(("task", "least"), MOTIFS, ids=named)
@settings(max_examples=6)
@given(seed=SEEDS, extra=st.sampled_from([0, 1, 50, 1000]), n=st.integers(1, 3))
def test_brute_force_finds_the_partners_of_motifs(
    task: MotifPartners, least: int, seed: int, extra: int, n: int
) -> None:
    trials = task.draw(n, least + extra, generator(seed))
    assert trials.answer_length == task.partner_length
    solved(trials, lambda stream: solve.motifs(stream.tolist(), task.motifs, task.partner_length))


@pytest.mark.parametrize(("task", "least"), SHAPES, ids=named)
@settings(max_examples=8)
@given(seed=SEEDS, extra=st.sampled_from([0, 1, 40, 1200]), n=st.integers(1, 3))
def test_brute_force_finds_the_shapes(task: Shapes, least: int, seed: int, extra: int, n: int) -> None:
    solved(task.draw(n, least + extra, generator(seed)), solve.shapes)


def test_a_blank_stands_where_a_base_was_told_already() -> None:
    task = MotifPartners(GENOME, 2)
    trials = task.draw(5, 200, generator(0))
    asked = trials.read(0, 200).numpy()[:, 200 - 2 * 17 :].reshape(5, 2, 17)
    assert (asked[..., 12:] == 4).all() and (asked[..., :12] < 4).all()
    assert {tuple(m) for m in asked[..., :12].reshape(-1, 12).tolist()} <= {tuple(m) for m in task.motifs.tolist()}


def test_motifs_are_the_same_in_every_genome_and_partners_are_not() -> None:
    other = MotifPartners(GENOME[::-1].copy(), 2)
    assert np.array_equal(other.motifs, MotifPartners(GENOME).motifs)
    drawn = [other.draw(4, 100, generator(seed)).answers for seed in (0, 1)]
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize(("task", "least"), ALL, ids=named)
def test_the_same_seed_gives_the_same_trials_and_others_do_not(task: Any, least: int) -> None:
    length = least + 30
    first, again, other = (task.draw(3, length, generator(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.read(0, length), again.read(0, length))
    assert np.array_equal(first.questions, again.questions) and np.array_equal(first.answers, again.answers)
    assert not np.array_equal(first.read(0, length), other.read(0, length))
    assert not np.array_equal(first.read(0, length)[0], first.read(0, length)[1])


@pytest.mark.parametrize(("task", "least"), ALL, ids=named)
@settings(max_examples=4)
@given(data=st.data())
def test_what_is_read_does_not_depend_on_how_the_stream_is_cut(task: Any, least: int, data: st.DataObject) -> None:
    length = 2100 if task.name != "needles_64_random" else 400
    trials = task.draw(2, length, generator(3))
    whole = trials.read(0, length)
    near = [0, least, 1023, 1024, 1025, 2048, length]
    cuts = data.draw(st.lists(st.integers(0, length) | st.sampled_from(near).map(lambda at: min(at, length))))
    pieces = [trials.read(a, b).numpy() for a, b in itertools.pairwise(sorted([0, *cuts, length]))]
    np.testing.assert_array_equal(np.concatenate(pieces, 1), whole)


@pytest.mark.parametrize(("task", "least"), ALL, ids=named)
def test_too_short_a_stream_is_refused_whatever_is_drawn(task: Any, least: int) -> None:
    for seed in range(20):
        with pytest.raises(
            ValueError, match=f"streams of {least - 1} tokens are too short for .*: use at least {least}"
        ):
            task.draw(2, least - 1, generator(seed))


@pytest.mark.parametrize(("task", "solver", "least"), SYMBOLS, ids=named)
def test_no_marker_stands_in_the_filler(task: Any, solver: solve.Solver, least: int) -> None:
    trials = task.draw(6, least + 500, generator(0))
    filler, tokens = (read(0, trials.length) for read in (trials.haystack.read, trials.read))
    assert filler.min() == filler.max() == BLANK if isinstance(task, Pairs) else filler.max() < CONTENT
    placed = np.zeros(filler.shape, bool)
    np.put_along_axis(placed, trials.places, True, axis=1)
    assert np.array_equal(tokens.numpy()[~placed], filler[~placed])
    assert all(len(set(row)) == len(row) for row in trials.places.tolist())
    if getattr(task, "haystack", None) == "phrase":
        assert isinstance(trials.haystack, RepeatedPhrase)
        assert np.array_equal(filler[:, 16:], filler[:, :-16])


@pytest.mark.parametrize("task", [Needles(), SelectiveCopy(1), MotifPartners(GENOME), Shapes(1)], ids=named)
def test_depth_is_uniform(task: Any) -> None:
    places = task.draw(6000, 60, generator(7)).places[:, 0]
    depths = 60 - {"n": 4, "c": 2, "m": 34, "s": 3}[task.name[0]]
    counts = np.bincount(places, minlength=depths)
    assert len(counts) == depths
    assert stats.chisquare(counts).pvalue > 0.001


def test_answers_keys_and_the_order_of_questions_are_uniform() -> None:
    trials = Needles(2).draw(6000, 40, generator(8))
    tokens = trials.read(0, 40).numpy()
    assert stats.chisquare(np.bincount(trials.answers.flatten(), minlength=CONTENT)).pvalue > 0.001
    keys = tokens[:, [-3, -1]]
    assert stats.chisquare(np.bincount(keys.ravel(), minlength=CONTENT)).pvalue > 0.001
    first = tokens[np.arange(6000), (tokens == WRITE).argmax(1) + 1]
    assert abs((first == keys[:, 0]).mean() - 0.5) < 0.03


def events(stream: list[int], marker: int) -> list[tuple[int, int]]:
    return [(stream[at + 1], stream[at + 2]) for at, token in enumerate(stream) if token == marker]


def test_every_key_is_written_as_often_as_said_and_only_its_last_value_is_the_answer() -> None:
    task = Needles(4, n_writes=3, n_decoys=6)
    for stream in task.draw(200, 90, generator(9)).read(0, 90).tolist():
        written, decoys = events(stream, WRITE), events(stream, DECOY)
        right = dict(written)
        assert sorted(key for key, _ in written) == sorted(list(right) * 3) and len(right) == 4
        assert len(decoys) == 6 and {key for key, _ in decoys} <= set(right)
        assert all(value != right[key] for key, value in decoys)
        assert [right[key] == value for key, value in written].count(True) == 4


@pytest.mark.parametrize(
    ("task", "most"),
    [(Needles(4, vary=True), 4), (Pairs(3, vary=True), 3), (SelectiveCopy(3, vary=True), 3), (Shapes(3, vary=True), 3)],
    ids=named,
)
def test_varied_streams_hold_one_to_all(task: Any, most: int) -> None:
    counts = {task.draw(1, 80, generator(seed)).questions.shape[1] for seed in range(60)}
    assert counts == set(range(1, most + 1))


def test_varied_chains_ask_for_as_many_hops_as_they_have() -> None:
    markers = {int(Hops(3, vary=True).draw(1, 40, generator(seed)).read(38, 39)) for seed in range(40)}
    assert len(markers) == 3


def number(word: str) -> int:
    return int(_permute(np.array([[int(step) for step in word]]))[0]) if word else 0


def test_numbers_of_permutations_are_a_group() -> None:
    words = ["".join(w) for n in range(5) for w in itertools.product("01", repeat=n)]
    product: dict[tuple[int, int], int] = {}
    for a, b in itertools.product(words, words):
        assert product.setdefault((number(a), number(b)), number(a + b)) == number(a + b)
    six = range(6)
    assert len(product) == 36
    assert all(sorted(product[a, b] for b in six) == list(six) for a in six)
    assert all(product[0, a] == product[a, 0] == a for a in six)
    assert all(product[product[a, b], c] == product[a, product[b, c]] for a, b, c in itertools.product(six, six, six))
    assert any(product[a, b] != product[b, a] for a, b in itertools.product(six, six))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Needles(0), "n_needles must be at least 1, found 0"),
        (lambda: Needles(n_writes=0), "n_writes must be at least 1, found 0"),
        (lambda: Needles(n_decoys=-1), "n_decoys must be at least 0, found -1"),
        (lambda: Needles(haystack="hay"), "haystack must be one of 'random', 'phrase', found 'hay'"),
        (lambda: Needles(65), "65 needles need 65 different symbols, the vocabulary has 64"),
        (lambda: Pairs(33), "n_pairs must be at most 32, found 33"),
        (lambda: SelectiveCopy(0), "n_symbols must be at least 1, found 0"),
        (lambda: Hops(4), "n_hops must be at most 3, found 4"),
        (lambda: Hops(0), "n_hops must be at least 1, found 0"),
        (lambda: Hops(3, 17), "17 chains of 3 facts need 68 different symbols, the vocabulary has 64"),
        (lambda: StateTracking("cyclic"), "group must be one of 'parity', 'permutation', found 'cyclic'"),
        (lambda: StateTracking(n_steps=0), "n_steps must be at least 1, found 0"),
        (lambda: MotifPartners(GENOME, 5), "n_motifs must be at most n_known, found 5 of 4"),
        (lambda: MotifPartners(GENOME, n_known=9, motif_length=1), "9 motifs of 1 bases are not all different"),
        (lambda: MotifPartners(GENOME).draw(1, 4001, generator(0)), "4001 bases is longer than the sequence of 4000"),
        (lambda: Shapes(0), "n_shapes must be at least 1, found 0"),
        (lambda: Shapes(patch_length=1), "patch_length must be at least 2, found 1"),
    ],
)
def test_tasks_that_cannot_be_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Needles(1.5), "n_needles"),
        (lambda: Needles(True), "n_needles"),
        (lambda: Needles(n_decoys=0.5), "n_decoys"),
        (lambda: Pairs(2.0), "n_pairs"),
        (lambda: SelectiveCopy("2"), "n_symbols"),
        (lambda: Hops(2.0), "n_hops"),
        (lambda: Hops(2, 1.5), "n_chains"),
        (lambda: StateTracking(n_steps=8.0), "n_steps"),
        (lambda: MotifPartners(GENOME, 2.0), "n_motifs"),
        (lambda: Shapes(1.5), "n_shapes"),
    ],
)
def test_counts_are_integers(make: Callable[[], object], name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} must be an integer, found"):
        make()


def test_counts_may_be_integers_of_numpy() -> None:
    assert Needles(np.int64(3)) == Needles(3)


def test_decoys_are_near_copies_that_are_never_asked_for() -> None:
    task = MotifPartners(GENOME, 2, motif_length=12, partner_length=4, n_decoys=5)
    trials = task.draw(40, 200, np.random.default_rng(0))
    plain = MotifPartners(GENOME, 2, motif_length=12, partner_length=4)
    streams = trials.read(0, 200 - 2 * 15).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(streams, 12, axis=1)
    agree = (windows[:, :, None] == plain.motifs).sum(-1).max(-1)
    whole, near = (agree == 12).sum(1), ((agree >= 7) & (agree <= 10)).sum(1)
    assert (whole == 2).all()
    assert near.mean() > 4
    for stream, found, answers in zip(streams, agree == 12, trials.answers.reshape(40, 2, 4), strict=True):
        partners = {tuple(stream[at + 12 : at + 16]) for at in np.flatnonzero(found)}
        assert partners == {tuple(answer) for answer in answers.tolist()}


def test_as_many_decoys_are_planted_as_fit() -> None:
    task = MotifPartners(GENOME, 1, motif_length=12, partner_length=4, n_decoys=50)
    task.draw(3, 31, np.random.default_rng(0))  # room for none
    task.draw(3, 64, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_decoys"):
        MotifPartners(GENOME, n_decoys=-1)
