"""Which study a recipe has: the same recipe, on the same data, goes on with the same study."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from titans_seq.recipes.dna.schema import DNARecipe
from titans_seq.recipes.schema import Recipe

_NO_MATTER = ("trials", "storage", "minutes", "pruner")
"""Keys of `tune` that may change from one command to the next."""


def study_name(recipe: Recipe | DNARecipe, stem: str) -> str:
    """Return the name of a recipe's study: made of what decides on the values of its trials."""
    asked = recipe.model_dump(by_alias=True, exclude_none=True, exclude={"output", "evaluate"})
    asked["tune"] = {key: value for key, value in asked["tune"].items() if key not in _NO_MATTER}
    seeds = getattr(recipe.evaluate, "seeds", None)
    asked |= {"seed": seeds[0]} if seeds else {}  # that of trials, see `forecaster_arguments`
    files = {path: _checksum(path) for path in _paths(asked["data"])}
    digest = hashlib.sha256(json.dumps([asked, files], sort_keys=True).encode()).hexdigest()
    return f"{stem}-{digest[:12]}"


def _paths(data: dict[str, Any]) -> list[str]:
    return sorted([*([data["path"]] if "path" in data else []), *data.get("classes", {}).values()])


def _checksum(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
