"""Run a recall recipe: train a model and its controls, ask them, and write it all into one folder."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.data.catalog import dataset_card
from titans_seq.recipes._identity import identity_of
from titans_seq.recipes._output import Run, work_folder, write_json, write_yaml
from titans_seq.recipes.environment import describe_run
from titans_seq.recipes.html import REPORT
from titans_seq.recipes.html.recall_report import RecallRun, write_recall_report
from titans_seq.recipes.recall.chance import chance_level
from titans_seq.recipes.recall.model import save_recall_model
from titans_seq.recipes.recall.progress import in_terminal
from titans_seq.recipes.recall.schema import RecallRecipe
from titans_seq.recipes.recall.tasks import ShapesTask

if TYPE_CHECKING:
    from titans_seq.recipes.recall.subject import Subject


def run_recall(recipe: RecallRecipe, folder: Path, *, overwrite: bool, quiet: bool, command: str | None) -> Run:
    """Train, ask and write what a recall recipe describes; see `run_recipe`.

    The folder holds recipe.yaml, metrics.json, history.parquet, recall.png, model/, environment.json and
    report.html.
    """
    started = time.perf_counter()
    with work_folder(folder, overwrite) as work:
        partial = work.path
        from titans_seq.recipes.recall.build import make_settings, make_tasks
        from titans_seq.recipes.recall.figure import draw_recall
        from titans_seq.recipes.recall.subject import examine

        tasks, settings = make_tasks(recipe), make_settings(recipe)
        # A genome is checked against its card when it is read; all else is drawn.
        genome = [] if recipe.data is None else [dataset_card(recipe.data.name)]
        checkpoint, shown = work.checkpoint(identity_of(recipe, genome), quiet=quiet), in_terminal(quiet)
        variants = [None, *recipe.evaluate.controls]
        model, *controls = [examine(recipe, tasks, v, shown=shown, checkpoint=checkpoint) for v in variants]
        metrics = {
            **_about(recipe, tasks.test.name),
            "trained_lengths": sorted({stage.length for stage in settings.curriculum}),
            **_scores(model, controls),
        }
        write_json(partial / "metrics.json", metrics)
        _write_history(partial / "history.parquet", [model, *controls])
        draw_recall(partial / "recall.png", metrics)
        write_yaml(partial / "recipe.yaml", resolved_recall(recipe, folder))
        save_recall_model(model.model, partial / "model")
        environment = describe_run(command, recipe.train.seed, started - checkpoint.earlier)
        write_json(partial / "environment.json", environment)
        text = (partial / "recipe.yaml").read_text(encoding="utf-8")
        found = RecallRun(recipe, text, folder, tasks.test, [model, *controls], metrics, environment)
        write_recall_report(partial / REPORT, found)
    return Run(folder, metrics)


def resolved_recall(recipe: RecallRecipe, folder: Path) -> dict[str, Any]:
    """Return the recipe with every default filled in, ready for YAML."""
    from titans_seq.nn import Backbone
    from titans_seq.recipes.recall.build import make_settings
    from titans_seq.training.recall import RecallSettings

    filled = recipe.model_dump(by_alias=True, exclude_none=True)
    parameters = inspect.signature(Backbone).parameters
    usual = {name: p.default for name, p in parameters.items() if p.default is not None}
    stem = {} if isinstance(recipe.task, ShapesTask) else {"stem_width": 1}
    filled["model"] = usual | stem | filled["model"]
    settings = make_settings(recipe)
    train = {f.name: getattr(settings, f.name) for f in fields(RecallSettings) if f.name != "seed"}
    train["curriculum"] = [[stage.length, stage.steps] for stage in settings.curriculum]
    counted = {recipe.task.counted: recipe.train_count}
    filled["train"] = train | counted | {"random_state": recipe.train.seed}
    filled["output"] = {"dir": str(folder)}
    return filled


def _about(recipe: RecallRecipe, task: str) -> dict[str, Any]:
    measure = "mse" if isinstance(recipe.task, ShapesTask) else "accuracy"
    return {"kind": "recall", "task": task, "measure": measure, "chance": chance_level(recipe.task)}


def _scores(model: Subject, controls: Sequence[Subject]) -> dict[str, Any]:
    """Return scores, then costs: the only part in which two runs of the same seed differ."""
    if "mse" in model.facts["scores"][0]:
        _add_ratios(model, controls)
    return {
        "model": model.facts,
        "controls": {control.variant: control.facts for control in controls},
        "costs": {subject.variant: subject.costs for subject in (model, *controls)},
    }


def _add_ratios(model: Subject, controls: Sequence[Subject]) -> None:
    """Put the model's error over those of the controls into its rows."""
    for row in model.facts["scores"]:
        row["ratio_to"] = {
            control.variant: row["mse"] / other["mse"]
            for control in controls
            for other in control.facts["scores"]
            if other["length"] == row["length"] and other["mse"] > 0
        }


def _write_history(path: Path, subjects: Sequence[Subject]) -> None:
    import polars as pl

    steps = [(subject.variant, step) for subject in subjects for step in subject.history]
    columns: dict[str, list[Any]] = {
        "variant": [variant for variant, _ in steps],
        "step": [step.step for _, step in steps],
        "length": [step.length for _, step in steps],
        "loss": [step.loss for _, step in steps],
        "openness": [step.openness for _, step in steps],
        "cpu_seconds": [step.seconds for _, step in steps],
    }
    pl.DataFrame(columns).write_parquet(path)
