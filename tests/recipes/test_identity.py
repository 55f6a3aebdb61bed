"""A checkpoint belongs to one recipe and its data: whatever changes either is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from titans_seq.recipes import load_recipe
from titans_seq.recipes._data import read_series
from titans_seq.recipes._identity import change, identity_of, parts_of_examples, parts_of_series
from titans_seq.recipes.dna.data import read_examples

TEXT = """
schema: 1
task: {horizon: 2}
data: {path: made.csv, split: [20, 4, 4], roles: {sun: past}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def identity(*overrides: str, y: str = "5.0", sun: str = "1.0") -> dict[str, str]:
    rows = [f"a,2020-01-{day:02d},{day},0.5" for day in range(1, 28)] + [f"a,2020-01-28,{y},{sun}"]
    Path("made.csv").write_text("\n".join(["unique_id,ds,y,sun", *rows]))
    Path("made.yaml").write_text(TEXT)
    recipe = load_recipe("made.yaml", overrides)
    return identity_of(recipe, parts_of_series(read_series(recipe.data)))


def test_the_same_is_the_same() -> None:
    assert change(identity(), identity()) is None


@pytest.mark.parametrize("override", ["output.dir=elsewhere", "tune={space: {model.d_model: [8]}}"])
def test_what_changes_nothing_of_a_run_is_no_change(override: str) -> None:
    assert change(identity(), identity(override)) is None


@pytest.mark.parametrize("override", ["train.random_state=1", "model.d_model=8", "evaluate.metrics=[mae]"])
def test_a_key_that_was_set_is_a_change_of_the_recipe(override: str) -> None:
    assert change(identity(), identity(override)) == "the recipe has changed"


def test_processes_are_counted_wherever_they_are_and_told() -> None:
    two = identity("train.devices=2")
    assert change(two, identity("train.num_nodes=2", "train.strategy=ddp")) is None
    assert change(two, identity()) == "it is one of 2 processes (ddp), and this is a run of 1 process"
    spread = change(two, identity("train.devices=2", "train.strategy=fsdp"))
    assert spread == "it is one of 2 processes (ddp), and this is a run of 2 processes (fsdp)"
    assert change(identity(), identity("train.strategy=ddp")) is None  # of one process


@pytest.mark.parametrize("changed", [{"y": "5.000001"}, {"y": ""}, {"sun": "1.000001"}])
def test_one_value_is_a_change_of_the_data(changed: dict[str, str]) -> None:
    assert change(identity(), identity(**changed)) == "the data have changed"


def test_one_label_or_one_base_is_a_change_of_the_data() -> None:
    Path("r.yaml").write_text(
        "schema: 1\ntask: {kind: classify}\ndata: {path: s.csv, split: {by: random, test: 0.5, seed: 0}}\n"
    )
    recipe = load_recipe_after(["ACGT,a", "CCCC,b", "GGTT,a", "TTTT,b"])
    for rows in (["ACGT,b", "CCCC,a", "GGTT,a", "TTTT,b"], ["ACGA,a", "CCCC,b", "GGTT,a", "TTTT,b"]):
        assert change(recipe, load_recipe_after(rows)) == "the data have changed"


def load_recipe_after(rows: list[str]) -> dict[str, str]:
    Path("s.csv").write_text("\n".join(["sequence,label", *rows]))
    recipe = load_recipe("r.yaml")
    return identity_of(recipe, parts_of_examples(read_examples(recipe)))
