"""What a checkpoint belongs to: a recipe, the data it was trained on, and the versions that trained it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq._version import __version__

if TYPE_CHECKING:
    from titans_seq.recipes._data import Series
    from titans_seq.recipes.dna.data import Examples
    from titans_seq.recipes.load import AnyRecipe

Identity = dict[str, str]
_WITHOUT_PART: Mapping[str, bool | set[str]] = {
    "output": True,
    "tune": True,
    "train": {"devices", "num_nodes", "strategy"},
}
"""What changes nothing of a run; and what is told by the number of its processes."""


def identity_of(recipe: AnyRecipe, data: Iterable[Any] = ()) -> Identity:
    """Return digests of a recipe, as it is after --set, and of data; and what else decides about bits.

    Parameters
    ----------
    recipe : Recipe, RecallRecipe, ClassifyRecipe or RegressRecipe
    data : iterable of arrays, or of values whose `repr` says everything
    """
    filled = recipe.model_dump(mode="json", by_alias=True, exclude=_WITHOUT_PART)
    text = json.dumps(filled, sort_keys=True, allow_nan=False)
    versions = {name: version(name) for name in ("torch", "lightning", "numpy")}
    told = ", ".join(f"{name} {number}" for name, number in {"titans_seq": __version__, **versions}.items())
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"recipe": digest, "data": _digest(data), "versions": told, "processes": _processes(recipe.train)}


def change(before: Identity, now: Identity) -> str | None:
    """Tell in words what differs; None if nothing does."""
    if before.get("versions") != now["versions"]:
        return f"it is one of {before.get('versions')}, and these are {now['versions']}"
    if before.get("processes") != now["processes"]:
        return f"it is one of {before.get('processes')}, and this is a run of {now['processes']}"
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


def _processes(train: Any) -> str:
    """Tell how many processes train, wherever they are, and how."""
    count = (getattr(train, "devices", None) or 1) * (getattr(train, "num_nodes", None) or 1)
    strategy = getattr(train, "strategy", None) or "auto"
    return "1 process" if count == 1 else f"{count} processes ({'ddp' if strategy == 'auto' else strategy})"


def _digest(parts: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            found.update(f"{part.dtype} {part.shape}".encode())
            found.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            found.update(repr(part).encode())
    return found.hexdigest()
