"""Faults between keys of a recipe are found without running it, and have their place."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from titans_seq import TitansForecaster
from titans_seq.recipes import Recipe, RecipeError, _cross, load_recipe

GOOD = "schema: 1\ntask: {horizon: 12}\ndata: {name: co2}\n"

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str, *overrides: str) -> Recipe:
    Path("r.yaml").write_text(text, encoding="utf-8")
    return load_recipe("r.yaml", overrides)


def fault(text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        loaded(text, *overrides)
    (line,) = str(caught.value).splitlines()
    return line


def test_the_defaults_known_here_are_the_forecasters() -> None:
    parameters = inspect.signature(TitansForecaster).parameters
    found = (_cross.D_MODEL, _cross.N_HEADS, _cross.QUANTILE_LEVELS)
    assert found == tuple(parameters[name].default for name in ("d_model", "n_heads", "quantile_levels"))


@pytest.mark.parametrize(
    ("section", "line"),
    [
        (
            "model:\n  d_model: 32\n  n_heads: 5\n",
            "r.yaml:6:3: model.n_heads: n_heads must divide d_model, found n_heads 5 and d_model 32",
        ),
        ("model: {n_heads: 3}", "r.yaml:4:9: model.n_heads: n_heads must divide d_model, found n_heads 3 and d_mo"),
        ("model: {d_model: 7}", "r.yaml:4:9: model.d_model: n_heads must divide d_model, found n_heads 2 and d_mo"),
        ("model: {quantile_levels: [0.5, 0.1]}", "r.yaml:4:9: model.quantile_levels: must increase, found [0.5, 0.1]"),
        ("model: {quantile_levels: [0.5, 0.5]}", "r.yaml:4:9: model.quantile_levels: must increase, found [0.5, 0.5]"),
        ("train: {validation_fraction: 0}", "r.yaml:4:9: train.validation_fraction: must be greater than 0.0, found 0"),
        ("evaluate: {seeds: [4, 4]}", "r.yaml:4:12: evaluate.seeds: must differ, found [4, 4]"),
        ("evaluate: {seeds: [4]}", "r.yaml:4:12: evaluate.seeds: "),
        (
            "train: {random_state: 0}\nevaluate: {seeds: [4, 0]}",
            "r.yaml:4:9: train.random_state: 0 is not the first of evaluate.seeds, 4; leave it out",
        ),
        ("evaluate: {level: [80, 95]}", "r.yaml:4:12: evaluate.level: 95 needs the quantiles 0.025 and 0.975; model."),
        (
            "model: {quantile_levels: [0.5]}",
            "r.yaml:4:9: model.quantile_levels: evaluate.level: 80 needs the quantiles 0.1 and 0.9; model.quantile_",
        ),
        (
            "tune:\n  space:\n    model.n_layer: [1]\n",
            "r.yaml:6:5: tune.space.model.n_layer: unknown key; did you mean 'model.n_layers'?",
        ),
        ("tune: {space: {d_model: [8]}}", "r.yaml:4:16: tune.space.d_model: unknown key; did you mean 'model.d_model"),
        ("tune: {space: {zzz: [8]}}", "r.yaml:4:16: tune.space.zzz: unknown key; write model.<key> or train.<key>"),
    ],
)
def test_a_fault_has_its_place(section: str, line: str) -> None:
    assert fault(GOOD + section).startswith(line)


def test_a_fault_between_a_file_and_an_option_is_placed_at_the_option() -> None:
    text = GOOD + "model: {d_model: 32}\n"
    assert fault(text, "model.n_heads=5").startswith(
        "--set model.n_heads: n_heads must divide d_model, found n_heads 5"
    )


def test_a_data_file_that_is_not_there_has_its_place() -> None:
    text = GOOD.replace("name: co2", "path: gone.csv, split: [20, 4, 4]")
    assert fault(text) == "r.yaml:3:8: data.path: gone.csv: there is no such data file"


@pytest.mark.parametrize(
    "section",
    [
        "model: {d_model: 30, n_heads: 3}",
        "model: {quantile_levels: [0.025, 0.5, 0.975]}\nevaluate: {level: [95]}",
        "model: {patch_length: 8}\nevaluate: {mode: streaming, stride: 16}",
        "evaluate: {mode: streaming}",
        "evaluate: {stride: 5}",
        "tune: {space: {model.d_model: [16], train.learning_rate: [1e-3]}}",
    ],
)
def test_settings_that_fit_together_are_accepted(section: str) -> None:
    assert loaded(GOOD + section).task.horizon == 12
