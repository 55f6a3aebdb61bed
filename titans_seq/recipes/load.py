"""Recipes by name or path, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from titans_seq.data._share import shipped
from titans_seq.recipes._cross import cross_faults
from titans_seq.recipes._explain import explain, located
from titans_seq.recipes._kinds import recipe_type
from titans_seq.recipes._yaml import Document, RecipeError, override, read_document, read_text
from titans_seq.recipes.dna.cross import dna_faults
from titans_seq.recipes.dna.schema import DNARecipe
from titans_seq.recipes.recall.cross import recall_faults
from titans_seq.recipes.recall.schema import RecallRecipe
from titans_seq.recipes.schema import Recipe

AnyRecipe = Recipe | RecallRecipe | DNARecipe


def list_recipes() -> list[str]:
    """Return the names of the recipes that travel with the package."""
    return list(shipped("recipes"))


def recipe_title(name: str) -> str:
    """Return the first line of a shipped recipe's header comment, without its mark."""
    first = read_text(shipped("recipes")[name]).partition("\n")[0]
    return first.removeprefix("#").strip()


def find_recipe(name_or_path: str | Path) -> Path:
    """Return the file of a recipe.

    Raises
    ------
    FileNotFoundError
        Neither a shipped name nor a file; the message names the nearest shipped recipe.
    """
    name = str(name_or_path)
    recipes = shipped("recipes")
    if name in recipes:
        return recipes[name]
    path = Path(name)
    if path.is_file():
        return path
    near = difflib.get_close_matches(path.stem, recipes, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"shipped are {', '.join(recipes)}"
    raise FileNotFoundError(f"{name}: there is no such recipe; {hint}")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Read and check a recipe.

    Parameters
    ----------
    name_or_path : str or Path
        A shipped recipe's name (see `list_recipes`) or a YAML file.
    overrides : sequence of str
        Assignments such as "model.n_layers=3", put in before checking; values are read as YAML.

    Returns
    -------
    Recipe, RecallRecipe, ClassifyRecipe or RegressRecipe
        By `task.kind`.

    Raises
    ------
    FileNotFoundError
        There is no such recipe.
    RecipeError
        The recipe has faults: one line for each, "file:line:column: key: fault". A data file that is not there
        is one of them.
    """
    path = find_recipe(name_or_path)
    document = read_document(read_text(path), str(path))
    for assignment in overrides:
        override(document, assignment)
    kind = recipe_type(document)
    faults = list(document.faults)
    recipe: AnyRecipe | None = None
    try:
        recipe = kind.model_validate(document.values)
    except ValidationError as error:
        found = sorted(error.errors(include_url=False), key=lambda fault: document.order_of(fault["loc"]))
        faults += [explain(fault, document, kind) for fault in found]
    else:
        faults += _faults_between(recipe, document)
    if faults or recipe is None:
        raise RecipeError("\n".join(dict.fromkeys(faults)))
    return recipe


def _faults_between(recipe: AnyRecipe, document: Document) -> list[str]:
    if isinstance(recipe, RecallRecipe):
        between = recall_faults(recipe)
    else:
        between = dna_faults(recipe) if isinstance(recipe, DNARecipe) else cross_faults(recipe)
    between = sorted(between, key=lambda fault: document.order_of(fault[0]))
    return [located(path, message, document) for path, message in between]
