"""Scores of recall: all for who knows, chance for who does not, and nothing for how it was read."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import recall_solvers as solve
import torch
from scipy import stats
from torch import Tensor, nn

from titans_seq.adapters.symbols import SymbolModel, VectorModel
from titans_seq.evaluation.recall import (
    CONTENT,
    N_SYMBOLS,
    Hops,
    MotifPartners,
    Needles,
    Pairs,
    RecallScore,
    SelectiveCopy,
    Shapes,
    StateTracking,
    answers,
    count_right,
    recall_error,
    score_recall,
    wilson_interval,
)
from titans_seq.evaluation.recall.trials import draw_batches
from titans_seq.nn import Backbone

GENOME = np.random.default_rng(5).integers(0, 4, 4000, dtype=np.uint8)
PARTNERS = MotifPartners(GENOME, 2)
SOLVERS: list[tuple[Any, Any]] = [
    (Needles(4, n_writes=2, n_decoys=2), solve.needles),
    (Needles(2, "phrase", vary=True), solve.needles),
    (Pairs(), solve.pairs),
    (SelectiveCopy(), solve.copy),
    (Hops(2, 2), solve.hops),
    (StateTracking(), solve.parity),
    (StateTracking("permutation"), solve.permutation),
    (PARTNERS, lambda stream: solve.motifs(stream, PARTNERS.motifs, 6)),
]


class Oracle(nn.Module):
    """Remembers all it has read, and solves it by brute force whenever it is asked."""

    def __init__(self, solver: Any, n_classes: int = CONTENT) -> None:
        super().__init__()
        self.solver, self.n_classes = solver, n_classes
        self.head = nn.Identity()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        read = tokens if state is None else torch.cat((state, tokens), 1)
        hidden = torch.zeros(*tokens.shape, self.n_classes)
        for row, stream in enumerate(read.tolist()):
            for at, answer in self._solve(stream).items():
                if read.shape[1] - tokens.shape[1] <= at < read.shape[1]:
                    hidden[row, at - read.shape[1], answer] = 1.0
        return hidden, read

    def _solve(self, stream: list[int]) -> dict[int, int]:
        for end in range(len(stream), len(stream) - 3, -1):  # a piece may end within an event
            with suppress(IndexError, StopIteration):
                return self.solver(stream[:end])
        raise AssertionError("unsolved")


class Constant(nn.Module):
    """Always gives the same answer."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer, self.head = nn.Parameter(answer), nn.Identity()

    def forward(self, tokens: Tensor, state: None = None) -> tuple[Tensor, None]:
        return self.answer.expand(*tokens.shape[:2], -1), None


def untrained(n_classes: int = CONTENT) -> SymbolModel:
    torch.manual_seed(0)
    backbone = Backbone(d_model=8, n_layers=1, chunk_size=8, window_size=8, gate="hard")
    return SymbolModel(N_SYMBOLS, n_classes, backbone, stem_width=3).double().eval()


@pytest.mark.parametrize(("task", "solver"), SOLVERS, ids=lambda value: getattr(value, "name", ""))
@pytest.mark.parametrize("piece_length", [1000, 160, 159])
def test_who_knows_has_everything_right(task: Any, solver: Any, piece_length: int) -> None:
    score = score_recall(Oracle(solver), task, 160, n_trials=6, seed=1, batch_size=4, piece_length=piece_length)
    assert (score.accuracy, score.task, score.length, score.trials) == (1.0, task.name, 160, 6)
    assert score.interval[1] == 1.0


@pytest.mark.parametrize("task", [task for task, _ in SOLVERS[:-1]], ids=lambda task: task.name)
def test_who_always_says_the_same_has_the_share_of_that_answer(task: Any) -> None:
    model = Constant(torch.eye(CONTENT)[1])
    score = score_recall(model, task, 80, n_trials=300, seed=2, batch_size=300)
    drawn = [batch.answers for batch in draw_batches(task, 80, n_trials=300, seed=2, batch_size=300)]
    assert score.right == sum(int((x == 1).sum()) for x in drawn)
    assert score.asked == sum(x.numel() for x in drawn)


@pytest.mark.parametrize(
    ("task", "chance"), [(Needles(8), 1 / 64), (StateTracking(), 1 / 2), (SelectiveCopy(8), 1 / 64)], ids=str
)
def test_who_guesses_is_right_by_chance(task: Any, chance: float) -> None:
    guess = Constant(torch.eye(CONTENT)[0])
    low, high = score_recall(guess, task, 80, n_trials=500, seed=3, batch_size=500).interval
    assert low < chance < high


@pytest.mark.parametrize("task", [Needles(3, vary=True), StateTracking()], ids=str)
def test_a_score_depends_on_neither_batches_nor_pieces(task: Any) -> None:
    model = untrained(2 if isinstance(task, StateTracking) else CONTENT)
    scores = [
        score_recall(model, task, 40, n_trials=9, seed=4, batch_size=batch_size, piece_length=piece_length)
        for batch_size, piece_length in ((8, 4096), (2, 40), (9, 39))
    ]
    assert scores == [scores[0]] * 3
    assert scores[0].asked >= 9


@pytest.mark.parametrize("piece_length", [3, 39, 40, 99])
def test_answers_are_the_outputs_at_the_questions_in_their_order(piece_length: int) -> None:
    model, trials = untrained(), Needles(3, n_decoys=2).draw(4, 40, np.random.default_rng(0))
    with torch.no_grad():
        outputs = model.head(model(trials.read(0, 40))[0])
    expected = torch.stack([outputs[row, at] for row, at in enumerate(trials.questions)])
    found = answers(model, trials, piece_length=piece_length)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert not found.requires_grad


def test_options_reach_the_model() -> None:
    model, trials = untrained(), Needles(3).draw(4, 40, np.random.default_rng(0))
    zeroed = answers(model, trials, zero_memory=True)
    assert not torch.equal(zeroed, answers(model, trials))
    with torch.no_grad():
        expected = model.head(model(trials.read(0, 40), zero_memory=True)[0][:, trials.questions[0]])
    torch.testing.assert_close(zeroed, expected)
    score = score_recall(model, Needles(3), 40, n_trials=4, seed=0, zero_memory=True)
    assert score.asked == 12


def test_an_answer_is_right_only_as_a_whole() -> None:
    trials = PARTNERS.draw(3, 100, np.random.default_rng(0))
    outputs = torch.eye(5)[trials.answers]
    assert count_right(trials, outputs) == (6, 6)
    for at in (0, 5):  # two bases of the first stream's first answer
        outputs[0, at] = outputs[0, at].roll(1)
    outputs[2, 6] = outputs[2, 6].roll(1)  # one of the last stream's second
    assert count_right(trials, outputs) == (4, 6)
    single = Needles(2).draw(3, 40, np.random.default_rng(0))
    wrong = torch.eye(CONTENT)[single.answers].roll(1, -1)
    wrong[1, 0] = torch.eye(CONTENT)[single.answers[1, 0]]
    assert count_right(single, wrong) == (1, 6)


@pytest.mark.parametrize(("right", "asked"), [(0, 1), (1, 1), (0, 60), (60, 60), (1, 60), (37, 64), (299, 300), (5, 7)])
def test_the_interval_is_wilsons(right: int, asked: int) -> None:
    expected = stats.binomtest(right, asked).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, asked) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert RecallScore("t", 1, right, asked, asked).interval == wilson_interval(right, asked)


def test_the_interval_of_all_ends_at_1_and_that_of_none_begins_at_0() -> None:
    for asked in range(1, 2000):
        assert wilson_interval(asked, asked)[1] == 1.0
        assert wilson_interval(0, asked)[0] == 0.0
        assert 0 < wilson_interval(0, asked)[1] < 1


@pytest.mark.parametrize(("right", "asked"), [(0, 0), (-1, 3), (4, 3), (0, -1)])
def test_an_interval_of_the_impossible_is_refused(right: int, asked: int) -> None:
    with pytest.raises(ValueError, match=f"found {right} of {asked}"):
        wilson_interval(right, asked)


class ShapeOracle(Oracle):
    """Knows the shapes, at the head's width of a patch."""

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        read = tokens if state is None else torch.cat((state, tokens), 1)
        hidden = torch.zeros_like(read)
        for row, patches in enumerate(read.numpy()):
            for at, shape in solve.shapes(patches).items():
                hidden[row, at] = torch.from_numpy(shape)
        return hidden[:, -tokens.shape[1] :], read


def test_who_knows_the_shapes_has_no_error_and_who_says_nothing_their_variance() -> None:
    known = recall_error(ShapeOracle(None), Shapes(3), 40, n_trials=5, seed=0, batch_size=2, piece_length=39)
    assert known == (0.0, 0.0)
    error, spread = recall_error(Constant(torch.zeros(8)), Shapes(3), 40, n_trials=400, seed=0, batch_size=400)
    assert abs(error - 1.0) < 4 * spread < 0.3
    drawn = [batch.answers for batch in draw_batches(Shapes(3), 40, n_trials=400, seed=0, batch_size=400)]
    each = torch.cat(drawn).square().mean((1, 2))
    assert error == pytest.approx(float(each.mean()))
    assert spread == pytest.approx(float(each.std()) / 20)


def test_an_error_depends_on_neither_batches_nor_pieces_and_needs_two_trials_for_its_own() -> None:
    torch.manual_seed(0)
    model = VectorModel(8, 8, Backbone(d_model=8, n_layers=1, chunk_size=8, window_size=8)).eval()
    found = [
        recall_error(model, Shapes(2, vary=True), 30, n_trials=6, seed=1, batch_size=b, piece_length=p)
        for b, p in ((6, 30), (3, 17), (4, 100))
    ]
    for error in found[1:]:
        assert error == pytest.approx(found[0], rel=1e-4)
    error, spread = recall_error(model, Shapes(2), 30, n_trials=1, seed=1)
    assert error > 0 and math.isnan(spread)


@pytest.mark.parametrize("sizes", [{"n_trials": 0}, {"batch_size": 0}, {"piece_length": 0}], ids=str)
def test_sizes_below_one_are_named(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(sizes))} must be at least 1, found 0"):
        score_recall(untrained(), Needles(), 20, **({"n_trials": 2, "seed": 0} | sizes))


def test_a_score_of_values_and_an_error_of_symbols_name_what_to_use_instead() -> None:
    torch.manual_seed(0)
    vectors = VectorModel(8, 8, Backbone(d_model=8, n_layers=1, chunk_size=8, window_size=8)).eval()
    with pytest.raises(TypeError, match="answers of task 'shapes_2' are values: use recall_error"):
        score_recall(vectors, Shapes(2), 30, n_trials=2, seed=0)
    with pytest.raises(TypeError, match="answers of task 'needles_1_random' are symbols: use score_recall"):
        recall_error(untrained(), Needles(), 20, n_trials=2, seed=0)
