"""Faults of recall recipes: each has its place, and none waits for a run."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from titans_seq.evaluation import recall
from titans_seq.nn import Backbone
from titans_seq.nn.variants import VARIANTS
from titans_seq.recipes import RecallRecipe, Recipe, RecipeError, _cross, list_recipes, load_recipe
from titans_seq.recipes.recall import cross
from titans_seq.recipes.recall.schema import RECALL_RECIPES, BackboneModel, Genome, RecallTrain
from titans_seq.recipes.recall.tasks import CONTENT, MotifsTask, NeedlesTask
from titans_seq.training.recall import RecallSettings

NEEDLES = "schema: 1\ntask: {kind: recall, name: needles}\n"
MOTIFS = "schema: 1\ntask: {kind: recall, name: motifs}\ndata: {name: ecoli_w}\n"
SHAPES = NEEDLES.replace("needles", "shapes")
KINDS = {
    "needles": recall.Needles,
    "pairs": recall.Pairs,
    "copy": recall.SelectiveCopy,
    "hops": recall.Hops,
    "state": recall.StateTracking,
    "motifs": recall.MotifPartners,
    "shapes": recall.Shapes,
}

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str, *overrides: str) -> Recipe | RecallRecipe:
    Path("r.yaml").write_text(text, encoding="utf-8")
    return load_recipe("r.yaml", overrides)


def faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        loaded(text, *overrides)
    return str(caught.value).splitlines()


def test_there_is_a_schema_for_every_task() -> None:
    assert set(RECALL_RECIPES) == set(KINDS)
    for name, kind in RECALL_RECIPES.items():
        (known,) = get_args(kind.model_fields["task"].annotation.model_fields["name"].annotation)
        assert known == name


@pytest.mark.parametrize("name", KINDS)
def test_task_arguments_and_defaults_are_those_of_the_task(name: str) -> None:
    section = RECALL_RECIPES[name].model_fields["task"].annotation
    parameters = inspect.signature(KINDS[name]).parameters
    own = {key: field.default for key, field in section.model_fields.items() if key not in ("kind", "name")}
    assert own == {key: p.default for key, p in parameters.items() if key not in ("sequence", "vary")}
    assert section.counted in RECALL_RECIPES[name].model_fields["train"].annotation.model_fields


def test_model_keys_are_the_backbones_arguments() -> None:
    assert set(BackboneModel.model_fields) - {"stem_width"} == set(inspect.signature(Backbone).parameters)


def test_train_keys_are_the_settings_of_training() -> None:
    keys, settings = set(RecallTrain.model_fields), {field.name for field in fields(RecallSettings)}
    assert keys - {"random_state"} == settings - {"seed"}


def test_the_defaults_known_here_are_those_of_backbone_and_training() -> None:
    parameters = inspect.signature(Backbone).parameters
    found = (_cross.D_MODEL, _cross.N_HEADS, cross.VARIANT)
    assert found == tuple(parameters[name].default for name in ("d_model", "n_heads", "variant"))
    assert tuple((stage.length, stage.steps) for stage in RecallSettings().curriculum) == cross.CURRICULUM
    assert CONTENT == recall.CONTENT


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_can_be_named(variant: str) -> None:
    assert BackboneModel.model_validate({"variant": variant}).variant == variant


@pytest.mark.parametrize("name", [name for name in list_recipes() if name.startswith("recall_")])
def test_shipped_recipes_say_how_to_read_two_million_tokens(name: str) -> None:
    recipe = load_recipe(name, ["evaluate.lengths=[{length: 2097152, trials: 2}]", "evaluate.controls=[]"])
    assert isinstance(recipe, RecallRecipe)
    assert recipe.evaluate.lengths[0].length == 2**21
    assert recipe.output.dir == f"runs/{name}"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (NEEDLES.replace("recall", "recal"), ["r.yaml:2:8: task.kind: must be 'forecast', 'recall', 'classify' or "]),
        (NEEDLES.replace("needles", "needls"), ["r.yaml:2:22: task.name: must be 'needles', 'pairs', 'copy', 'hops',"]),
        ("schema: 1\ntask: {kind: recall}\n", ["r.yaml:2:1: task.name: this key is missing"]),
        ("schema: 1\n", ["r.yaml:1:1: task: this key is missing", "r.yaml:1:1: data: this key is missing"]),
        (
            "schema: 1\ntask:\n  kind: recall\n  name: pairs\n  n_needles: 3\n",
            ["r.yaml:5:3: task.n_needles: unknown key; known are kind, name, n_pairs"],
        ),
        (
            NEEDLES.replace("needles}", "needles, n_needle: 3, horizon: 2}"),
            [
                "r.yaml:2:37: task.n_needle: unknown key; did you mean 'n_needles'?",
                "r.yaml:2:50: task.horizon: unknown key; known are kind, name, n_needles, haystack, n_writes, n_decoys",
            ],
        ),
        (NEEDLES + "train: {n_pairs: 3}\n", ["r.yaml:3:9: train.n_pairs: unknown key; known are curriculum, tokens_p"]),
        (NEEDLES + "train: {variant: mac}\n", ["r.yaml:3:9: train.variant: unknown key; did you mean 'model.variant'"]),
        (NEEDLES + "tune: {trials: 3}\n", ["r.yaml:3:1: tune: unknown key; "]),
        (
            NEEDLES + "evaluate:\n  lengths:\n    - {length: 64, trails: 1}\n",
            [
                "r.yaml:5:7: evaluate.lengths.0.trials: this key is missing",
                "r.yaml:5:20: evaluate.lengths.0.trails: unknown key; did you mean 'trials'?",
            ],
        ),
        (
            NEEDLES + "train:\n  curriculum: [[64], 5]\n",
            [
                "r.yaml:4:16: train.curriculum.0: must have at least 2 entries, found 1",
                "r.yaml:4:22: train.curriculum.1: must be a list, found 5",
            ],
        ),
        (NEEDLES + "evaluate: {lengths: []}\n", ["r.yaml:3:12: evaluate.lengths: must have at least 1 entries"]),
        (NEEDLES + "model: {gate: soft}\n", ["r.yaml:3:9: model.gate: must be 'sigmoid' or 'hard', found 'soft'"]),
        (NEEDLES + "model: {hold_eta: 1.5}\n", ["r.yaml:3:9: model.hold_eta: must be at most 1.0, found 1.5"]),
        (NEEDLES + "evaluate: {controls: [swaa]}\n", ["r.yaml:3:23: evaluate.controls.0: must be 'mag', 'mal', "]),
    ],
)  # fmt: skip
def test_a_fault_of_a_key_has_its_place(text: str, lines: list[str]) -> None:
    found = faults(text)
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True)), found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            NEEDLES + "data: {name: ecoli_w}\n",
            "r.yaml:3:1: data: this task makes its own streams; only task 'motifs' r",
        ),
        (MOTIFS.partition("data")[0], "r.yaml:1:1: data: this key is missing"),
        (
            MOTIFS.replace("ecoli_w", "co2"),
            "r.yaml:3:8: data.name: dataset 'co2' is a table of series; this task needs ",
        ),
        (MOTIFS.replace("ecoli_w", "ecoli"), "r.yaml:3:8: data.name: unknown dataset 'ecoli'; did you mean 'ecoli_w'?"),
        (MOTIFS.replace("ecoli_w", "ecoli_w, split: [1, 2, 3]"), "r.yaml:3:23: data.split: unknown key"),
        (MOTIFS.replace("_w", "_w, train_fraction: 1"), "r.yaml:3:23: data.train_fraction: must be less than 1.0, fou"),
    ],
)
def test_a_genome_is_for_motifs_and_motifs_are_for_a_genome(text: str, line: str) -> None:
    (found,) = faults(text)
    assert found.startswith(line)


def test_a_forecast_of_a_genome_has_its_place() -> None:
    assert faults("schema: 1\ntask: {horizon: 3}\ndata: {name: ecoli_w}\n") == [
        "r.yaml:3:8: data.name: dataset 'ecoli_w' is a genome; a forecast needs a table of series"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (NEEDLES + "model: {n_heads: 5}\n", "r.yaml:3:9: model.n_heads: n_heads must divide d_model, found n_heads 5 "),
        (SHAPES + "model: {stem_width: 4}\n", "r.yaml:3:9: model.stem_width: a stem is for symbols; the tokens of tas"),
        (
            NEEDLES + "train: {n_needles: 8, curriculum: [[64, 9], [32, 9]]}\n",
            "r.yaml:3:46: train.curriculum.1.0: streams of 32 tokens are too short for n_needles 8: they need at least",
        ),
        (NEEDLES + "train: {n_needles: 20}\n", "r.yaml:3:1: train.curriculum: streams of 64 tokens are too short for "),
        (
            NEEDLES + "evaluate: {lengths: [{length: 4, trials: 9}]}\n",
            "r.yaml:3:23: evaluate.lengths.0.length: streams of 4 tokens are too short for n_needles 1: they need at l",
        ),
        (
            NEEDLES + "evaluate: {lengths: [{length: 64, trials: 9}, {length: 64, trials: 9}]}\n",
            "r.yaml:3:48: evaluate.lengths.1.length: lengths must increase, found 64 after 64",
        ),
        (
            SHAPES + "evaluate: {lengths: [{length: 64, trials: 1}]}\n",
            "r.yaml:3:35: evaluate.lengths.0.trials: task 'shapes' needs at least 2 for a standard error, found 1",
        ),
        (
            MOTIFS + "evaluate: {lengths: [{length: 3000000, trials: 1}]}\n",
            "r.yaml:4:23: evaluate.lengths.0.length: streams of 3000000 bases are longer than this part of the genome,",
        ),
        (
            MOTIFS.replace("motifs}", "motifs, motif_length: 1, n_known: 9}"),
            "r.yaml:2:36: task.motif_length: 9 motifs (n_known) of 1 bases are not all different: use longer ones",
        ),
        (
            NEEDLES + "train: {core_steps: 5, curriculum: [[64, 2], [128, 3]]}\n",
            "r.yaml:3:9: train.core_steps: must be less than the 5 steps of the curriculum, else no memory is trained",
        ),
        (NEEDLES + "train: {core_steps: 450}\n", "r.yaml:3:9: train.core_steps: must be less than the 450 steps of t"),
        (MOTIFS + "train: {n_motifs: 5, curriculum: [[256, 1]]}\n", "r.yaml:4:9: train.n_motifs: 5 motifs cannot be p"),
        (
            NEEDLES.replace("needles", "hops, n_chains: 22") + "train: {curriculum: [[256, 1]]}\n",
            "r.yaml:2:1: task.n_hops: 22 chains of 2 facts need 66 different symbols, there are 64",
        ),
        (NEEDLES + "evaluate: {controls: [swa, mag]}\n", "r.yaml:3:28: evaluate.controls.1: 'mag' is the variant of t"),
        (NEEDLES + "evaluate: {controls: [swa, swa]}\n", "r.yaml:3:28: evaluate.controls.1: 'swa' stands twice"),
        (
            NEEDLES + "evaluate: {control_max_length: 100}\n",
            "r.yaml:3:1: evaluate.controls.0: no length is short enough for 'swa'; see evaluate.control_max_length",
        ),
    ],
)  # fmt: skip
def test_a_fault_between_keys_has_its_place(text: str, line: str) -> None:
    (found,) = faults(text)
    assert found.startswith(line)


@pytest.mark.parametrize(
    ("assignment", "line"),
    [
        ("task.n_needle=3", "--set task.n_needle: unknown key; did you mean 'n_needles'?"),
        (
            "train.curriculum=[[3, 1]]",
            "--set train.curriculum: train.curriculum.0.0: streams of 3 tokens are too short",
        ),
        ("evaluate.lengths=[{length: 9}]", "--set evaluate.lengths: evaluate.lengths.0.trials: this key is missing"),
    ],
)
def test_a_fault_of_an_option_is_placed_there(assignment: str, line: str) -> None:
    (found,) = faults(NEEDLES, assignment)
    assert found.startswith(line)


def test_an_option_can_turn_one_kind_into_the_other() -> None:
    forecast = "schema: 1\ntask: {horizon: 12}\ndata: {name: co2}\n"
    recipe = loaded(forecast, "task={kind: recall, name: needles}", "data=")
    assert isinstance(recipe, RecallRecipe)
    assert isinstance(loaded(NEEDLES, "task={horizon: 12}", "data.name=co2"), Recipe)


def test_training_has_as_many_as_the_test_unless_told_otherwise() -> None:
    text = NEEDLES.replace("needles}", "needles, n_needles: 3}")
    recipe, other = loaded(text), loaded(text, "train.n_needles=8")
    assert isinstance(recipe, RecallRecipe)
    assert isinstance(other, RecallRecipe)
    assert (recipe.test_count, recipe.train_count) == (3, 3)
    assert (other.test_count, other.train_count) == (3, 8)


def test_attention_reads_no_long_streams_unless_told_to() -> None:
    recipe = loaded(NEEDLES)
    assert isinstance(recipe, RecallRecipe)

    def lengths(recipe: RecallRecipe, variant: str, control: bool = True) -> list[int]:
        return [at.length for at in recipe.evaluate.lengths_for(variant, control=control)]

    assert lengths(recipe, "swa") == [1024, 4096, 16384, 65536]
    assert lengths(recipe, "attention") == [1024, 4096]
    assert lengths(recipe, "attention", control=False) == [1024, 4096, 16384, 65536]
    limited = loaded(NEEDLES, "evaluate.control_max_length=16384")
    assert isinstance(limited, RecallRecipe)
    assert lengths(limited, "attention") == lengths(limited, "swa") == [1024, 4096, 16384]


def test_the_parts_of_a_genome_are_those_of_its_card() -> None:
    assert Genome(name="ecoli_w", train_fraction=0.25).parts() == (1224363, 3673089)


@pytest.mark.parametrize("motif_length", [1, 2, 3, 4, 6])
def test_motifs_that_are_not_all_different_are_found_as_the_task_finds_them(motif_length: int) -> None:
    sequence = np.zeros(100, np.uint8)
    for n_known in range(1, 40):
        task = MotifsTask(
            kind="recall", name="motifs", motif_length=motif_length, n_known=n_known, n_motifs=1, partner_length=1
        )
        try:
            recall.MotifPartners(sequence, motif_length=motif_length, n_known=n_known)
            possible = True
        except ValueError:
            possible = False
        assert (task.motifs_fault() is None) == possible


def test_a_task_says_how_long_its_streams_must_be() -> None:
    task = NeedlesTask(kind="recall", name="needles", n_writes=3, n_decoys=4)
    assert task.least_length(4) == 3 * (12 + 4) + 2 * 4
