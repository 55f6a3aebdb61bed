"""The recipe with the values that a search found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from titans_seq.recipes.dna.schema import DNARecipe
from titans_seq.recipes.schema import Recipe


def winning_recipe(recipe: Recipe | DNARecipe, values: Mapping[str, Any], stem: str, remarks: Sequence[str]) -> str:
    """Return a recipe as YAML: what was stated, and the values of the best trial; its search is left out."""
    assert recipe.tune is not None
    stated = recipe.model_dump(by_alias=True, exclude_unset=True, exclude={"tune", "output"}, exclude_none=True)
    for key in recipe.tune.space:
        part, _, name = key.partition(".")
        section = stated.setdefault(part, {})
        section.pop(name, None)
        if values[key] is not None:  # what is left out has its default
            section[name] = values[key]
    order = [key for key in ("schema", "task", "data", "model", "train", "evaluate") if stated.get(key)]
    ordered = {key: stated[key] for key in order} | {"output": {"dir": f"runs/{stem}-best"}}
    head = "".join(f"# {line}".rstrip() + "\n" for line in remarks)
    return head + yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True)
