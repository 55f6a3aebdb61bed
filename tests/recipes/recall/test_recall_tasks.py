"""What recall recipes describe: that it can be drawn, what guessing gives, and how much is carried."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from titans_seq.adapters.symbols import SymbolModel, VectorModel
from titans_seq.evaluation.recall import MotifPartners, Task
from titans_seq.nn import Backbone
from titans_seq.recipes import RecallRecipe, load_recipe
from titans_seq.recipes.recall.build import make_model, make_settings, make_tasks
from titans_seq.recipes.recall.chance import chance_level
from titans_seq.recipes.recall.held import state_bytes
from titans_seq.recipes.recall.progress import Watched, in_terminal
from titans_seq.recipes.recall.schema import RECALL_RECIPES, Genome
from titans_seq.recipes.recall.score import trial_seed
from titans_seq.recipes.recall.tasks import StateTask

CHANCE = {
    "needles": 1 / 64,
    "pairs": 1 / 32,
    "copy": 1 / 64,
    "hops": 1 / 4,
    "state": 1 / 2,
    "motifs": 4**-6,
    "shapes": 1,
}


@pytest.fixture(autouse=True)
def small_genome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titans_seq.data.load_genome", lambda name: {"one": "ACGTNacgtr" * 200})
    monkeypatch.setattr(Genome, "parts", lambda self: (1200, 800))


def recipe_of(name: str, *overrides: str) -> RecallRecipe:
    shipped = {"needles": "needle", "motifs": "dna"}.get(name, name)
    if name == "pairs":
        overrides = ("task={kind: recall, name: pairs}", "train={}", *overrides)
    recipe = load_recipe(f"recall_{shipped}", ["evaluate.lengths=[{length: 300, trials: 2}]", *overrides])
    assert recipe.task.name == name
    assert isinstance(recipe, RecallRecipe)
    return recipe


@pytest.mark.parametrize("name", RECALL_RECIPES)
def test_model_and_streams_of_every_task_fit_each_other(name: str) -> None:
    recipe = recipe_of(name, "model.d_model=8", "model.chunk_size=8")
    tasks, model = make_tasks(recipe), make_model(recipe, None)
    for task in (tasks.train, tasks.test):
        trials = task.draw(2, 200, np.random.default_rng(0))
        hidden, _ = model(trials.read(0, 200))
        outputs = model.head(hidden)
        assert outputs.isfinite().all()
        width = trials.answers.shape[-1] if name == "shapes" else int(trials.answers.max()) + 1
        assert width <= outputs.shape[-1]


@pytest.mark.parametrize("name", RECALL_RECIPES)
def test_the_shortest_stream_that_is_allowed_holds_all_that_is_asked(name: str) -> None:
    recipe = recipe_of(name)
    least = recipe.task.least_length(recipe.test_count)
    make_tasks(recipe).test.draw(4, least, np.random.default_rng(0))
    with pytest.raises(ValueError, match="too short|do not fit"):
        make_tasks(recipe).test.draw(4, least - 1, np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(set(RECALL_RECIPES) - {"state"}))
def test_training_varies_what_the_test_fixes(name: str) -> None:
    counted = recipe_of(name).task.counted
    counts = (f"train.{counted}=3", f"task.{counted}=2", *(["task.n_known=4"] if name == "motifs" else []))
    tasks = make_tasks(recipe_of(name, *counts, "train.curriculum=[[160, 1]]"))
    random = np.random.default_rng(0)

    def questions(task: Task) -> set[int]:
        trials = [task.draw(1, 300, random) for _ in range(30)]
        return {trial.questions.shape[1] // trial.answer_length for trial in trials}

    asked = {4} if name == "hops" else {2}  # each of the chains is asked for once, however long it is
    assert questions(tasks.test) == asked
    assert questions(tasks.train) == (asked if name == "hops" else {1, 2, 3})


def test_train_and_test_read_different_parts_of_the_genome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("titans_seq.data.load_genome", lambda name: {"one": "A" * 1200 + "C" * 800})
    tasks = make_tasks(recipe_of("motifs"))
    assert isinstance(tasks.train, MotifPartners)
    assert isinstance(tasks.test, MotifPartners)
    assert tasks.train.sequence.tolist() == [0] * 1200
    assert tasks.test.sequence.tolist() == [1] * 800


def test_bases_are_read_in_either_case_and_what_is_ambiguous_is_unknown() -> None:
    test = make_tasks(recipe_of("motifs")).test
    assert isinstance(test, MotifPartners)
    assert test.sequence[:10].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


def test_settings_of_training_are_those_of_the_recipe() -> None:
    settings = make_settings(recipe_of("shapes", "train.random_state=7"))
    assert [(stage.length, stage.steps) for stage in settings.curriculum] == [(32, 300), (64, 100)]
    assert (settings.tokens_per_step, settings.seed) == (2048, 7)


@pytest.mark.parametrize("name", RECALL_RECIPES)
def test_chance_is_what_the_best_constant_answer_gets(name: str) -> None:
    assert chance_level(recipe_of(name).task) == pytest.approx(CHANCE[name])


@pytest.mark.parametrize("n_steps", [1, 2, 5])
def test_the_chance_of_a_permutation_is_counted(n_steps: int) -> None:
    task = StateTask(kind="recall", name="state", group="permutation", n_steps=n_steps)
    share: Counter[tuple[int, ...]] = Counter()
    for count in range(1, n_steps + 1):
        for moves in itertools.product(((1, 0, 2), (1, 2, 0)), repeat=count):
            things: tuple[int, ...] = (0, 1, 2)
            for move in moves:
                things = tuple(things[i] for i in move)
            share[things] += 1 / (n_steps * 2**count)
    assert chance_level(task) == pytest.approx(max(share.values()))


def test_the_chance_of_shapes_is_their_variance() -> None:
    trials = make_tasks(recipe_of("shapes")).test.draw(2000, 16, np.random.default_rng(0))
    assert float(trials.answers.square().mean()) == pytest.approx(1.0, abs=0.05)


def test_the_state_is_counted_in_bytes() -> None:
    backbone = Backbone(d_model=8, n_layers=2, n_heads=2, variant="lmm", chunk_size=4, memory_expansion=2)
    held = state_bytes(SymbolModel(5, 4, backbone, stem_width=3).eval(), 1)
    weights = 4 * 2 * (4 * 8 + 8 * 4)  # float32, heads, two matrices
    assert [layer["memory_weights"] for layer in held["layers"]] == [weights, weights]
    assert [layer["momentum"] for layer in held["layers"]] == [weights, weights]
    tail = 4 * 2 * 8  # of the stem
    assert held["total"] == sum(layer["all"] for layer in held["layers"]) + tail
    assert all(layer["all"] > 4 * weights for layer in held["layers"])  # with those at the opening of the chunk


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm", "swa"])
def test_the_state_does_not_grow_with_what_was_read(variant: str) -> None:
    model = VectorModel(3, 3, Backbone(d_model=8, n_heads=1, variant=variant, chunk_size=4, window_size=8)).eval()
    short, long = state_bytes(model, 20), state_bytes(model, 400, piece_length=100)
    assert long["after_tokens"] > short["after_tokens"]
    assert long["total"] == short["total"]


def test_the_state_of_attention_grows_with_what_was_read() -> None:
    model = VectorModel(3, 3, Backbone(d_model=8, n_heads=1, variant="attention")).eval()
    assert state_bytes(model, 1600)["total"] > 20 * state_bytes(model, 16)["total"]


def test_test_streams_differ_by_seed_and_length() -> None:
    seeds = {trial_seed(random_state, length) for random_state in range(3) for length in (64, 128)}
    assert len(seeds) == 6
    assert seeds.isdisjoint(range(3))


def test_progress_counts_the_tokens_read() -> None:
    read: list[int] = []
    trials = Watched(make_tasks(recipe_of("needles")).test, read.append).draw(3, 100, np.random.default_rng(0))
    trials.read(0, 64)
    trials.read(64, 100)
    assert sum(read) == 300


@pytest.mark.parametrize(
    ("quiet", "terminal", "shown"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_progress_is_shown_in_a_terminal_only(
    quiet: bool, terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: Callable[[], bool] = lambda: terminal  # noqa: E731
    monkeypatch.setattr("sys.stdout.isatty", answer)
    monkeypatch.setattr("sys.stderr.isatty", answer)
    assert in_terminal(quiet) is shown


def test_making_a_model_is_reproducible_only_by_its_seed() -> None:
    torch.manual_seed(0)
    first = make_model(recipe_of("needles"), "swa")
    torch.manual_seed(0)
    again = make_model(recipe_of("needles"), "swa")
    assert first.backbone.variant == "swa"
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
