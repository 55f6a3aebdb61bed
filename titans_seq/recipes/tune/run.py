"""Tune a recipe: search its space, and write what was found into one folder."""

from __future__ import annotations

import time
from pathlib import Path

from titans_seq.recipes.dna.schema import DNARecipe
from titans_seq.recipes.load import AnyRecipe
from titans_seq.recipes.schema import Recipe, Tune
from titans_seq.recipes.tune.folder import JOURNAL, take_folder
from titans_seq.recipes.tune.naming import study_name
from titans_seq.recipes.tune.output import Tuned, write_study


def default_tune_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a recipe's study: runs/tune-<name>."""
    return Path("runs") / f"tune-{Path(name_or_path).stem}"


def tune_recipe(
    recipe: AnyRecipe,
    name_or_path: str | Path,
    *,
    folder: Path | None = None,
    trials: int | None = None,
    workers: int = 1,
    storage: str | None = None,
    quiet: bool = False,
    command: str | None = None,
) -> Tuned:
    """Search the space of a recipe on its validation rows; its test rows are not looked at.

    Parameters
    ----------
    recipe : Recipe, ClassifyRecipe or RegressRecipe
    name_or_path : str or Path
        What it was loaded by; names the study, together with what decides on the values of trials.
    folder : Path, optional
        Default: runs/tune-<name>. It holds study.journal (unless there is another storage), study.csv, study.json,
        plots, tune.html and best.yaml, the recipe with the best values. The same call goes on with the study there.
    trials : int, optional
        Default: `tune.trials`.
    workers : int, default 1
        Trials at the same time, each in a process of its own.
    storage : str, optional
        A journal file or the URL of a database; default: `tune.storage`.
    quiet : bool, default False
        No progress.
    command : str, optional
        Is noted in the folder.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError, FileExistsError
        For a recipe without a search, a folder of something else, data, a storage or settings that cannot be used; and
        if no trial was completed.
    """
    tune = _search_of(recipe, name_or_path)
    assert isinstance(recipe, Recipe | DNARecipe)
    for name, number in (("trials", trials), ("workers", workers)):
        if number is not None and number < 1:
            raise ValueError(f"{name} must be at least 1, found {number}")
    folder = folder or default_tune_folder(name_or_path)
    name, began = study_name(recipe, Path(name_or_path).stem), time.perf_counter()

    from titans_seq.estimators.searching.search import Settings, search
    from titans_seq.estimators.searching.storage import check_pruner, hide_password
    from titans_seq.recipes.tune.fitting import recipe_fitting

    fitting = recipe_fitting(recipe, tune)
    where = storage or tune.storage
    take_folder(folder, name)
    settings = Settings(
        trials or tune.trials, check_pruner(tune.pruner, tune.objectives), where or str(folder / JOURNAL), name,
        workers, tune.minutes, int(fitting.estimator.random_state), shown=not quiet,
    )  # fmt: skip
    study, found = search(fitting, tune.searched(), settings)
    facts = {
        "recipe": str(name_or_path),
        "command": command if command is None or where is None else command.replace(where, hide_password(where)),
        "storage": hide_password(where) if where else JOURNAL,
        "seconds": round(time.perf_counter() - began, 1),
        "workers": workers,
    }
    return write_study(folder, name, recipe, study, found, facts)


def _search_of(recipe: AnyRecipe, name_or_path: str | Path) -> Tune:
    if not isinstance(recipe, Recipe | DNARecipe):
        raise ValueError(f"{name_or_path}: a recipe of task.kind recall has no search; tune forecasts and DNA")
    if recipe.tune is None:
        example = "tune: {space: {model.chunk_size: [8, 16, 32]}}"
        raise ValueError(f"{name_or_path}: the recipe has no tune section; add one, e.g. {example}")
    if (recipe.train.devices or 1) * (recipe.train.num_nodes or 1) > 1:
        raise ValueError(
            f"{name_or_path}: a trial trains in one process; set train.devices and train.num_nodes to 1, and start "
            "workers, on as many machines as you like"
        )
    return recipe.tune
