"""Faults that lie between keys of a recipe, or between a recipe and the files it names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes._load_series import FORM_KEYS
from titans_seq.recipes._score import level_fault
from titans_seq.recipes.schema import BackboneArguments, Recipe, Tune

if TYPE_CHECKING:
    from titans_seq.recipes.dna.schema import DNARecipe

# Defaults of TitansForecaster, which cannot be imported here: validating a recipe does not load torch.
D_MODEL, N_HEADS = 32, 2
QUANTILE_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Fault = tuple[tuple[str | int, ...], str]


def cross_faults(recipe: Recipe) -> list[Fault]:
    """Return the path and description of each."""
    searched = tune_faults(recipe.tune, recipe.model)
    return [
        *_data(recipe),
        *_model(recipe),
        *_levels(recipe),
        *_needs_state(recipe),
        *seed_faults(recipe),
        *searched,
    ]


def seed_faults(recipe: Recipe | DNARecipe) -> Iterator[Fault]:
    """Yield the fault of a seed that is not the first of several."""
    seeds, stated = recipe.evaluate.seeds, recipe.train.random_state
    if seeds is not None and stated is not None and stated != seeds[0]:
        yield ("train", "random_state"), f"{stated} is not the first of evaluate.seeds, {seeds[0]}; leave it out"


def _data(recipe: Recipe) -> Iterator[Fault]:
    data = recipe.data
    if data.path is not None and not Path(data.path).is_file():
        yield ("data", "path"), f"{data.path}: there is no such data file"
    for key in FORM_KEYS:
        if data.name is not None and getattr(data, key) is not None:
            yield ("data", key), "says how a file is written; a dataset's card knows that: leave it out"
    delimiter, decimal = data.delimiter or ",", data.decimal or "."
    if data.path is not None and decimal == delimiter and not data.path.lower().endswith((".tsv", ".tab")):
        yield ("data", "decimal"), f"{decimal!r} is also what stands between the columns; give delimiter"
    if data.thousands is not None and data.thousands == decimal:
        yield ("data", "thousands"), f"{data.thousands!r} is also the decimal mark"


def _model(recipe: Recipe) -> Iterator[Fault]:
    d_model = recipe.model.d_model or D_MODEL
    n_heads = recipe.model.n_heads or N_HEADS
    if d_model % n_heads:
        key = "d_model" if recipe.model.n_heads is None else "n_heads"
        yield ("model", key), f"n_heads must divide d_model, found n_heads {n_heads} and d_model {d_model}"


def _levels(recipe: Recipe) -> Iterator[Fault]:
    fault = level_fault(recipe.evaluate.level, recipe.model.quantile_levels or QUANTILE_LEVELS)
    if fault:
        stated = "level" in recipe.evaluate.model_fields_set
        yield (("evaluate", "level"), fault) if stated else (("model", "quantile_levels"), f"evaluate.level: {fault}")


def _needs_state(recipe: Recipe) -> Iterator[Fault]:
    if recipe.model.carry_state is not False:
        return
    if recipe.train.training_mode == "contiguous":
        yield ("train", "training_mode"), "contiguous needs model.carry_state true; found false"
    if recipe.model.online_linear is True:
        yield ("model", "online_linear"), "true needs model.carry_state true; found false"
    if recipe.model.error_memory is True:
        yield ("model", "error_memory"), "true needs model.carry_state true; found false"


def tune_faults(tune: Tune | None, model: BackboneArguments) -> Iterator[Fault]:
    """Yield what is wrong between the keys of a search: widths that some number of heads does not divide."""
    keys = ("model.d_model", "model.n_heads")
    if tune is None or not set(keys) & set(tune.space):
        return
    own: tuple[Any, Any] = (model.d_model or D_MODEL, model.n_heads or N_HEADS)
    axes = tune.searched().axes
    values = [
        [value or default for value in axes[key.partition(".")[2]].examples()] if key in tune.space else [stated]
        for key, stated, default in zip(keys, own, (D_MODEL, N_HEADS), strict=True)
    ]
    for d_model, n_heads in product(*values):
        if d_model % n_heads:
            place = ("tune", "space", keys[0] if keys[0] in tune.space else keys[1])
            yield place, f"n_heads must divide d_model, but {n_heads} does not divide {d_model}"
            return
