"""Which schema a recipe must fit: `task.kind` and, of a recall recipe, `task.name` decide."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from titans_seq.recipes._explain import explain
from titans_seq.recipes._yaml import Document, RecipeError
from titans_seq.recipes.dna.schema import DNA_RECIPES, DNARecipe
from titans_seq.recipes.recall.schema import RECALL_RECIPES, RecallRecipe
from titans_seq.recipes.schema import Recipe

Checked = TypeVar("Checked", bound=BaseModel)


class _Loose(BaseModel):
    """A section of which only some keys are looked at."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _AnyTask(_Loose):
    kind: Literal["forecast", "recall", "classify", "regress"] = "forecast"


class _AnyRecipe(_Loose):
    task: _AnyTask = _AnyTask()


class _AnyRecallTask(_Loose):
    name: Literal["needles", "pairs", "copy", "hops", "state", "motifs", "shapes"]


class _AnyRecallRecipe(_Loose):
    task: _AnyRecallTask


def recipe_type(document: Document) -> type[Recipe] | type[RecallRecipe] | type[DNARecipe]:
    """Return the schema of a document.

    Raises
    ------
    RecipeError
        The kind or the name of the task is none that there is; the document's other faults cannot be told then.
    """
    if not isinstance(document.values.get("task", {}), dict):
        return Recipe
    kind = _checked(_AnyRecipe, document).task.kind
    if kind == "forecast":
        return Recipe
    if kind in DNA_RECIPES:
        return DNA_RECIPES[kind]
    return RECALL_RECIPES[_checked(_AnyRecallRecipe, document).task.name]


def _checked(kind: type[Checked], document: Document) -> Checked:
    try:
        return kind.model_validate(document.values)
    except ValidationError as error:
        faults = [explain(fault, document, kind) for fault in error.errors(include_url=False)]
        raise RecipeError("\n".join([*document.faults, *faults])) from None
