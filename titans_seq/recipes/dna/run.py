"""Run a recipe for labelled DNA: fit, score, look for leaks, and write it all into one folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.data.catalog import dataset_card
from titans_seq.recipes._identity import identity_of, parts_of_examples
from titans_seq.recipes._output import Run, work_folder, write_json, write_yaml
from titans_seq.recipes._seeds import keeping_scores, spread_over_seeds
from titans_seq.recipes.dna.data import Examples, read_examples
from titans_seq.recipes.dna.schema import ClassifyRecipe, DNARecipe
from titans_seq.recipes.environment import describe_run
from titans_seq.recipes.html import REPORT
from titans_seq.recipes.html.dna_report import DNARun, write_dna_report

if TYPE_CHECKING:
    from titans_seq.data import LeakReport
    from titans_seq.estimators import DNAClassifier, DNARegressor
    from titans_seq.training.checkpoint import Checkpoint


def run_dna(recipe: DNARecipe, folder: Path, *, overwrite: bool, quiet: bool, command: str | None) -> Run:
    """Train, score and write what a recipe for DNA describes; see `run_recipe`.

    The folder holds recipe.yaml, metrics.json, predictions.parquet, scores.png, model/, environment.json
    and report.html.
    """
    started = time.perf_counter()
    with work_folder(folder, overwrite) as work:
        partial = work.path
        from titans_seq.data import leak_report
        from titans_seq.recipes.dna import output, score

        examples = read_examples(recipe)
        skipped = score.left_out(recipe, examples)
        leaks = leak_report(examples.train.sequences, examples.test.sequences)
        model = _make_estimator(recipe, quiet)
        checkpoint = work.checkpoint(identity_of(recipe, parts_of_examples(examples)), quiet=quiet)
        model.fit(examples.train.sequences, examples.train.answers, _checkpoint=checkpoint)
        fit_seconds, fitted = checkpoint.elapsed(), time.perf_counter()
        answers = score.ask(recipe, model, examples, skipped)
        seconds = {"fit": fit_seconds, "evaluate": time.perf_counter() - fitted}
        scores, began = score.scores(recipe, examples, answers), time.perf_counter()
        again = keeping_scores(checkpoint, lambda seed, kept: _score_again(recipe, examples, seed, quiet, kept))
        spread = spread_over_seeds(recipe.evaluate.seeds, scores["model"], again)
        if spread:
            seconds["other_seeds"] = time.perf_counter() - began
        metrics = {
            **_about(recipe, examples),
            **scores,
            **spread,
            "left_out": skipped,
            "leaks": describe_leaks(leaks),
            **_facts(model, seconds),
        }
        write_json(partial / "metrics.json", metrics)
        output.prediction_table(recipe, examples, answers).write_parquet(partial / "predictions.parquet")
        output.draw(partial / "scores.png", recipe, examples, answers, source_name(recipe))
        write_yaml(partial / "recipe.yaml", resolved_dna(recipe, model, examples, folder))
        model.save(partial / "model")
        environment = describe_run(command, model.random_state, started - checkpoint.earlier)
        write_json(partial / "environment.json", environment)
        text = (partial / "recipe.yaml").read_text(encoding="utf-8")
        at = 0 if answers.classes is None else output.positive_place(recipe, answers.classes.tolist())
        found = DNARun(source_name(recipe), recipe, text, folder, examples, model, answers, at, metrics, environment)
        write_dna_report(partial / REPORT, found)
    return Run(folder, metrics)


def _score_again(
    recipe: DNARecipe, examples: Examples, seed: int, quiet: bool, checkpoint: Checkpoint
) -> dict[str, float]:
    """Return the scores of a model with another seed."""
    from titans_seq.recipes.dna import score

    model = _make_estimator(recipe, quiet).set_params(random_state=seed)
    model.fit(examples.train.sequences, examples.train.answers, _checkpoint=checkpoint)
    return score.score_model(recipe, model, examples)


def _make_estimator(recipe: DNARecipe, quiet: bool) -> DNAClassifier | DNARegressor:
    from titans_seq import estimators

    kind = getattr(estimators, recipe.estimator)
    columns = {"sequence_col": recipe.data.sequence, "id_col": recipe.data.id}
    return kind(**recipe.estimator_arguments(), **columns, verbose=0 if quiet else 1)


def source_name(recipe: DNARecipe) -> str:
    """Return what the data are called, for titles."""
    data = recipe.data
    if data.simulated is not None:
        return f"SIMULATED {data.simulated.name}"
    if data.name is not None or data.path is not None:
        return data.name or Path(str(data.path)).name
    return " and ".join(getattr(data, "classes", None) or {})


def _about(recipe: DNARecipe, examples: Examples) -> dict[str, Any]:
    from titans_seq.recipes.dna.output import class_counts

    found = {
        "kind": recipe.task.kind,
        "estimator": recipe.estimator,
        "data": source_name(recipe),
        "simulated": recipe.data.simulated is not None,
        "n_train": len(examples.train),
        "n_test": len(examples.test),
        "n_unused": examples.unused,
    }
    return found | ({"classes": class_counts(examples)} if isinstance(recipe, ClassifyRecipe) else {})


def describe_leaks(report: LeakReport) -> dict[str, Any]:
    """Return a leak report for JSON: its counts, and its lines as they are printed."""
    lists = ("exact", "reverse_complement", "near")
    counts = {name: len(getattr(report, name)) for name in lists}
    facts = {name: getattr(report, name) for name in ("n_train", "n_test", "n_leaks", "covered", "k", "threshold")}
    return facts | counts | {"report": str(report).splitlines()}


def _facts(model: DNAClassifier | DNARegressor, seconds: dict[str, float]) -> dict[str, Any]:
    return {
        "n_parameters": model.n_parameters_,
        "n_members": len(model.history_),
        "epochs": [max(len(run) - 1, 0) for run in model.history_],
        "both_strands": bool(model.both_strands_),
        "placed_share": [float(share) for share in model.placed_share_],
        "kmer_share": [float(share) for share in model.kmer_share_],
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }


def resolved_dna(
    recipe: DNARecipe, model: DNAClassifier | DNARegressor, examples: Examples, folder: Path
) -> dict[str, Any]:
    """Return the recipe with every default filled in, ready for YAML.

    What the estimator leaves to the data (`stride`, `n_members`, `max_epochs`) stays out: it is in the saved model.
    """
    filled = recipe.model_dump(by_alias=True, exclude_none=True)
    arguments = model.get_params(deep=False)
    for section in ("model", "train"):
        keys = type(getattr(recipe, section)).model_fields
        filled[section] = {key: arguments[key] for key in keys if arguments[key] is not None}
    if recipe.data.name is not None:
        card = dataset_card(recipe.data.name)
        usual = {key: getattr(card, key) for key in ("sequence", "id")}
        filled["data"] = {key: name for key, name in usual.items() if name is not None} | filled["data"]
    filled["data"]["split"] = examples.split
    if examples.answer_key is not None:
        filled["data"][examples.answer_key] = examples.answer
    filled["output"] = {"dir": str(folder)}
    return filled
