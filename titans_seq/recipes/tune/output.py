"""What a study leaves behind: its table, plots, page and the winning recipe; and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.dna.schema import DNARecipe
from titans_seq.recipes.environment import describe_environment
from titans_seq.recipes.schema import Recipe
from titans_seq.recipes.tune.folder import write_facts, write_file

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Tuned:
    """A study that was searched.

    Attributes
    ----------
    folder : Path
    rows : list of dict
        One for each trial; see `trial_rows`.
    best : int
        Number of the best trial.
    values : dict
        Its values, by key of the recipe.
    facts : dict
        Content of study.json.
    """

    folder: Path
    rows: list[dict[str, Any]]
    best: int
    values: dict[str, Any]
    facts: dict[str, Any]


def write_study(
    folder: Path, name: str, recipe: Recipe | DNARecipe, study: optuna.Study, found: Sequence[FrozenTrial],
    facts: Mapping[str, Any],
) -> Tuned:  # fmt: skip
    """Write what was found, each file whole or not at all.

    Raises
    ------
    ValueError
        If no trial was completed.
    """
    from titans_seq.estimators.searching.best import best_trial, front
    from titans_seq.recipes.tune.table import trial_rows, write_table

    assert recipe.tune is not None
    objectives, names = list(recipe.tune.objectives), list(recipe.tune.searched().axes)
    rows = trial_rows(found, objectives, names)
    if rows:
        write_table(folder / "study.csv", rows)
    best = best_trial(found)
    if best is None:
        raise ValueError(_why_none(rows, folder))
    values = {key: best.params[key.partition(".")[2]] for key in recipe.tune.space}
    own = {
        **facts,
        "objectives": objectives,
        "trials": {state: sum(row["state"] == state for row in rows) for state in ("complete", "pruned", "fail")},
        "best": {"trial": best.number, "values": dict(zip(objectives, best.values, strict=True)), "params": values},
        "front": [trial.number for trial in front(found)],
        "environment": describe_environment(),
    }
    tuned = Tuned(folder, rows, best.number, values, own)
    _write_report(tuned, name, recipe, study, names)
    write_facts(folder, name, own)
    return tuned


def _write_report(
    tuned: Tuned, name: str, recipe: Recipe | DNARecipe, study: optuna.Study, names: Sequence[str]
) -> None:
    from titans_seq.recipes.tune.page import study_page
    from titans_seq.recipes.tune.plots import draw_plots
    from titans_seq.recipes.tune.winner import winning_recipe

    folder, facts = tuned.folder, tuned.facts
    stem = name.rpartition("-")[0]
    counts, measured = facts["trials"], facts["best"]["values"].items()
    remarks = [
        f"{stem}, with the values of trial {tuned.best}: the best of {counts['complete'] + counts['pruned']} trials",
        "",
        f"Study     {name}: {', '.join(f'{objective} {value:.6g}' for objective, value in measured)}",
        f"Command   titans-seq run {folder / 'best.yaml'}",
    ]
    text = winning_recipe(recipe, tuned.values, stem, remarks)
    write_file(folder / "best.yaml", text)
    drawn = draw_plots(folder, study, facts["objectives"], names)
    shown = {key: facts[key] for key in ("recipe", "command", "storage", "trials")} | {"study": name}
    shown |= {key: facts["environment"][key] for key in ("titans_seq", "commit", "processor")}
    page = study_page(f"Search: {stem}", shown, tuned.rows, facts["front"], [folder / file for file in drawn], text)
    write_file(folder / "tune.html", page)


def _why_none(rows: list[dict[str, Any]], folder: Path) -> str:
    faults = [row["fault"] for row in rows if row["fault"]]
    if not faults:
        return f"no trial was completed in time; give more tune.minutes; the study in {folder} can go on"
    return f"no trial was completed; {len(faults)} failed, the first with: {faults[0]}"


def format_tuned(tuned: Tuned) -> str:
    """Return what was found, as text."""
    counts, best = tuned.facts["trials"], tuned.facts["best"]
    width = max(map(len, tuned.values))
    measured = ", ".join(f"{name} {value:.5g}" for name, value in best["values"].items())
    lines = [
        f"best of {counts['complete']} completed, {counts['pruned']} pruned and {counts['fail']} failed trials: "
        f"trial {tuned.best}, {measured}",
        *(f"  {key:<{width}}  {_plain(value)}" for key, value in tuned.values.items()),
    ]
    if len(tuned.facts["objectives"]) > 1:
        lines.append(f"no other trial beats these in every objective: {', '.join(map(str, tuned.facts['front']))}")
    lines += [f"written to {tuned.folder}", f"next: titans-seq run {tuned.folder / 'best.yaml'}"]
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return "default" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)
