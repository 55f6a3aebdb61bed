"""The JSON Schema of recipes: what editors complete from agrees with what is checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from titans_seq.recipes import find_recipe, list_recipes, load_recipe
from titans_seq.recipes._yaml import read_document
from titans_seq.recipes.json_schema import HEADER, KINDS, SCHEMA_FILE, recipe_schema, schema_text
from titans_seq.recipes.schema import Evaluate, Model, Section, Train

FORECAST = {"schema": 1, "task": {"horizon": 3}, "data": {"name": "co2"}}
CLASSIFY = {"schema": 1, "task": {"kind": "classify"}, "data": {"simulated": {}}}
RECALL = {"schema": 1, "task": {"kind": "recall", "name": "copy"}}


def faults(recipe: dict[str, Any], task: str | None = None) -> list[str]:
    return [fault.message for fault in jsonschema.Draft7Validator(recipe_schema(task)).iter_errors(recipe)]


def test_the_schema_is_a_schema() -> None:
    for task in (None, *KINDS):
        jsonschema.Draft7Validator.check_schema(recipe_schema(task))


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_fits_the_schema_and_names_it(name: str) -> None:
    path = find_recipe(name)
    text = path.read_text(encoding="utf-8")
    assert HEADER in text.partition("\nschema:")[0].splitlines()
    assert (path.parent / SCHEMA_FILE).is_file()
    load_recipe(path)
    values = read_document(text, name).values
    assert faults(values) == []
    assert faults(values, load_recipe(path).task.kind) == []


def test_the_shipped_file_is_the_schema_of_this_version() -> None:
    shipped = find_recipe("quickstart").with_name(SCHEMA_FILE).read_text(encoding="utf-8")
    assert shipped == schema_text(), f"write it anew: titans-seq schema > recipes/{SCHEMA_FILE}"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (FORECAST | {"model": {"n_layer": 2}}, "n_layer"),
        (FORECAST | {"model": {"variant": "mga"}}, "mga"),
        (FORECAST | {"train": {"max_epochs": -1}}, "-1"),
        (CLASSIFY | {"task": {"kind": "classify", "horizon": 3}}, "horizon"),
        (FORECAST | {"task": {"kind": "guess"}}, "guess"),
        ({"schema": 1, "task": {"horizon": 3}}, "data"),
        (CLASSIFY | {"model": {"class_weight": "even"}}, "even"),
        (CLASSIFY | {"evaluate": {"metrics": ["mse"]}}, "mse"),
        (RECALL | {"task": {"kind": "recall", "name": "nothing"}}, "nothing"),
        (RECALL | {"task": {"kind": "recall", "name": "copy", "n_pairs": 2}}, "n_pairs"),
    ],
)
def test_what_the_checks_refuse_the_schema_refuses(recipe: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps(recipe))
    with pytest.raises(ValueError, match=r"r\.yaml:1"):
        load_recipe(path)
    assert any(words in fault for fault in faults(recipe))


@pytest.mark.parametrize("recipe", [FORECAST, CLASSIFY, RECALL])
def test_the_smallest_recipes_fit(recipe: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps(recipe))
    load_recipe(path)
    assert faults(recipe) == []


def keys() -> list[tuple[str, str, dict[str, Any]]]:
    definitions = recipe_schema()["$defs"]
    return [(name, key, value) for name, one in definitions.items() for key, value in one["properties"].items()]


def test_every_key_of_every_section_is_described_and_typed() -> None:
    assert [f"{name}.{key}" for name, key, value in keys() if not value.get("description")] == []
    assert [f"{name}.{key}" for name, key, value in keys() if not set(value) - {"description", "default"}] == []


def test_arguments_are_described_in_the_words_of_the_estimator() -> None:
    definitions = recipe_schema("forecast")["$defs"]
    found = definitions["Model"]["properties"]["patch_length"]["description"]
    assert found == "int, optional. Rows per token. Default: 16, fewer for a short context."
    assert "Width of the tokens" in definitions["Model"]["properties"]["d_model"]["description"]


@pytest.mark.parametrize("section", [Model, Train, Evaluate])
def test_choices_and_defaults_are_those_of_the_section(section: type[Section]) -> None:
    properties = recipe_schema("forecast")["$defs"][section.__name__]["properties"]
    assert set(properties) == set(section.model_fields)
    for name, field in section.model_fields.items():
        assert properties[name]["default"] == field.default


def test_a_schema_of_one_kind_knows_no_other() -> None:
    assert faults(CLASSIFY, "forecast")
    assert faults(FORECAST, "recall")
    with pytest.raises(ValueError, match="--task must be one of forecast"):
        recipe_schema("tune")
