"""What a checkpoint belongs to: a recipe, the data it was trained on, and the versions that trained it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq._version import __version__

if TYPE_CHECKING:
    from titans_seq.recipes._data import Series
    from titans_seq.recipes.dna.data import Examples
    from titans_seq.recipes.load import AnyRecipe

Identity = dict[str, str]
_WITHOUT_PART = {"output", "tune"}
"""Sections that change nothing of a run."""


def identity_of(recipe: AnyRecipe, data: Iterable[Any] = ()) -> Identity:
    """Return digests of a recipe, as it is after --set, and of data; and the versions that decide about bits.

    Parameters
    ----------
    recipe : Recipe, RecallRecipe, ClassifyRecipe or RegressRecipe
    data : iterable of arrays, or of values whose `repr` says everything
    """
    filled = recipe.model_dump(mode="json", by_alias=True, exclude=_WITHOUT_PART)
    text = json.dumps(filled, sort_keys=True, allow_nan=False)
    versions = {name: version(name) for name in ("torch", "lightning", "numpy")}
    told = ", ".join(f"{name} {number}" for name, number in {"titans_seq": __version__, **versions}.items())
    return {"recipe": hashlib.sha256(text.encode()).hexdigest(), "data": _digest(data), "versions": told}


def change(before: Identity, now: Identity) -> str | None:
    """Tell in words what differs; None if nothing does."""
    if before.get("versions") != now["versions"]:
        return f"it is one of {before.get('versions')}, and these are {now['versions']}"
    changed = [name for name in ("recipe", "data") if before.get(name) != now[name]]
    return {"recipe": "the recipe has changed", "data": "the data have changed"}[changed[0]] if changed else None


def parts_of_series(series: Series) -> list[Any]:
    """Return what the series of a recipe consist of."""
    panel = series.panel
    parts = [panel.values, panel.observed, panel.offsets, panel.ids, panel.origins, repr(panel.frequency)]
    if series.covariates is not None:
        import pandas as pd

        parts += [list(series.covariates.columns), pd.util.hash_pandas_object(series.covariates).to_numpy()]
    return [*parts, series.split, series.season_length]


def parts_of_examples(examples: Examples) -> list[Any]:
    """Return what the labelled sequences of a recipe consist of."""
    found: list[Any] = []
    for part in (examples.train, examples.test):
        found += [part.sequences.codes, part.sequences.offsets, part.answers.tolist()]
    return found


def _digest(parts: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            found.update(f"{part.dtype} {part.shape}".encode())
            found.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            found.update(repr(part).encode())
    return found.hexdigest()
