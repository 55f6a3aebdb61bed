"""Which changes of a recipe make it another study."""

from __future__ import annotations

from pathlib import Path

import pytest
from tuned_recipes import write_recipe

from titans_seq.recipes import load_recipe
from titans_seq.recipes.tune.naming import study_name


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_recipe(tmp_path)


def name(*changes: str) -> str:
    return study_name(load_recipe("r.yaml", changes), "r")


@pytest.mark.parametrize(
    "change",
    ["tune.trials=9", "tune.storage=elsewhere", "tune.minutes=3", "tune.pruner=none", "output.dir=x",
     "evaluate.metrics=[mae]"],
)  # fmt: skip
def test_what_changes_no_value_of_a_trial_goes_on_with_the_study(change: str) -> None:
    assert name(change) == name()


@pytest.mark.parametrize(
    "change",
    ["model.d_model=16", "train.random_state=1", "data.split=[110, 40, 30]", "tune.objectives=[n_parameters]",
     "tune.space={model.chunk_size: [4, 8]}"],
)  # fmt: skip
def test_what_changes_them_is_another_study(change: str) -> None:
    assert name(change) != name()


def test_other_seeds_of_the_evaluation_are_another_study() -> None:
    assert name("train.random_state=null", "evaluate.seeds=[1, 2]") != name("train.random_state=null")


def test_other_data_in_the_same_file_are_another_study() -> None:
    before = name()
    with Path("data.csv").open("a") as file:
        file.write("a,190,0.5\n")
    assert name() != before
