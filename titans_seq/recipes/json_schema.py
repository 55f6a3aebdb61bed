"""JSON Schema of recipes, from which an editor completes; it loads no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from titans_seq.recipes._descriptions import description
from titans_seq.recipes.dna.schema import DNA_RECIPES
from titans_seq.recipes.recall.schema import RECALL_RECIPES
from titans_seq.recipes.schema import Recipe

KINDS = ("forecast", *DNA_RECIPES, "recall")
TITLE = "Recipe of titans-seq"
SCHEMA_FILE = "titans-seq.schema.json"
HEADER = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""Line of a recipe that tells an editor which file describes it: the one that stands beside it."""

_DIALECT = "http://json-schema.org/draft-07/schema#"


def recipe_schema(task: str | None = None) -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of recipes.

    Parameters
    ----------
    task : {"forecast", "classify", "regress", "recall"}, optional
        Default: of all kinds, told apart by ``task.kind`` and, of recall recipes, by ``task.name``.

    Raises
    ------
    ValueError
        There is no such kind of task.
    """
    if task is not None and task not in KINDS:
        raise ValueError(f"--task must be one of {', '.join(KINDS)}, found {task!r}")
    kinds = KINDS if task is None else (task,)
    models = [model for kind in kinds for model in _models(kind)]
    refs, definitions = models_json_schema(
        [(model, "validation") for model in models], schema_generator=_Generator, ref_template="#/$defs/{model}"
    )
    found = {model: refs[model, "validation"] for model in models}
    return {
        "$schema": _DIALECT,
        "title": TITLE if task is None else f"{TITLE}: {task}",
        "type": "object",
        "required": ["schema", "task"],
        "properties": {"task": _task(kinds)},
        "allOf": [rule for kind in kinds for rule in _rules(kind, found)],
        **definitions,
    }


def schema_text(task: str | None = None) -> str:
    """Return `recipe_schema` as the text of a file."""
    return json.dumps(recipe_schema(task), indent=1, ensure_ascii=False) + "\n"


def _models(kind: str) -> list[type[BaseModel]]:
    if kind == "recall":
        return list(RECALL_RECIPES.values())
    return [Recipe if kind == "forecast" else DNA_RECIPES[kind]]


def _task(kinds: Sequence[str]) -> dict[str, Any]:
    words = "What is asked: a forecast of series, classes or numbers of DNA, or recall of what was read."
    kind = {"enum": list(kinds), "description": words}
    if "forecast" in kinds:
        return {"type": "object", "properties": {"kind": kind | {"default": "forecast"}}}
    return {"type": "object", "properties": {"kind": kind}, "required": ["kind"]}


def _rules(kind: str, refs: dict[type[BaseModel], JsonSchemaValue]) -> list[dict[str, Any]]:
    """Return what holds for recipes of a kind."""
    if kind == "forecast":
        others = {"enum": [other for other in KINDS if other != kind]}
        return [{"if": {"not": _with_task(kind=others)}, "then": refs[Recipe]}]
    if kind != "recall":
        return [{"if": _with_task(kind={"const": kind}), "then": refs[DNA_RECIPES[kind]]}]
    names = {"type": "string", "enum": list(RECALL_RECIPES), "description": "Which task."}
    named = {"properties": {"task": {"required": ["name"], "properties": {"name": names}}}}
    rules = [{"if": _with_task(kind={"const": kind}), "then": named}]
    for name, model in RECALL_RECIPES.items():
        rules.append({"if": _with_task(kind={"const": kind}, name={"const": name}), "then": refs[model]})
    return rules


def _with_task(**properties: Any) -> dict[str, Any]:
    """Return the schema of recipes whose task has these keys."""
    task = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "object", "properties": {"task": task}, "required": ["task"]}


class _Generator(GenerateJsonSchema):
    """Schemas whose properties have our descriptions and no titles."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        found.pop("title", None)
        for key, value in found.get("properties", {}).items():
            words = description(schema["cls"], key)
            if "$ref" in value:  # draft 7 ignores what stands beside it
                value = {"allOf": [{"$ref": value["$ref"]}]}
            found["properties"][key] = value if words is None else {"description": words, **value}
        return found
