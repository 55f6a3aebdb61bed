"""The report of a run on labelled DNA."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes.dna.schema import ClassifyRecipe, DNARecipe
from titans_seq.recipes.html import dna_answers
from titans_seq.recipes.html.about import data_source, run_facts, seeds_words, usage
from titans_seq.recipes.html.dna_motifs import motifs
from titans_seq.recipes.html.dna_profile import profile
from titans_seq.recipes.html.losses import training
from titans_seq.recipes.html.markup import Html, count, duration, fold, join, note, paragraph, percent, tiles
from titans_seq.recipes.html.page import Head, Section, write_page
from titans_seq.recipes.html.scores import compare, meanings, metric_name, metric_value, score_table, seed_table
from titans_seq.recipes.html.traces import sequence_memories

if TYPE_CHECKING:
    from titans_seq.estimators import DNAClassifier, DNARegressor
    from titans_seq.recipes.dna.data import Examples
    from titans_seq.recipes.dna.score import Answers


@dataclass(frozen=True, eq=False)
class DNARun:
    """All that a report tells of a run.

    Attributes
    ----------
    name : str
        Of the data.
    recipe : DNARecipe
    recipe_text : str
        The resolved recipe as YAML.
    folder : Path
        Where the run will stand.
    examples : Examples
    model : DNAClassifier or DNARegressor
        Fitted.
    answers : Answers
    positive : int
        Of two classes the one that precision and recall are about.
    metrics, environment : mapping
        The content of both files.
    """

    name: str
    recipe: DNARecipe
    recipe_text: str
    folder: Path
    examples: Examples
    model: DNAClassifier | DNARegressor
    answers: Answers
    positive: int
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]


def write_dna_report(path: Path, run: DNARun) -> None:
    """Write the page."""
    write_page(path, lambda: _head(run), _sections(run))


def _sections(run: DNARun) -> list[Section]:
    test, answers, name = run.examples.test, run.answers, run.examples.answer
    classes = isinstance(run.recipe, ClassifyRecipe)
    return [
        Section("scores", "Scores", lambda: _scores(run)),
        *(_class_sections(run) if classes else _number_sections(run)),
        Section("motifs", "Motifs", lambda: motifs(run.model, test, answers, name)),
        Section("data", "The data", lambda: profile(run.examples, run.metrics, _source(run), classes)),
        Section("training", "Training", lambda: _training(run)),
        Section("memory", "What the memory did", lambda: sequence_memories(run.model, test, _surest(run))),
        Section("run", "What was run", lambda: _about(run)),
        Section("use", "Use this model", lambda: _use(run)),
    ]


def _class_sections(run: DNARun) -> list[Section]:
    test, answers = run.examples.test, run.answers
    return [
        Section("classes", "Which classes were named", lambda: dna_answers.confusion(test, answers)),
        Section(
            "curves", "ROC and precision", lambda: dna_answers.curves(test, answers, run.positive, run.recipe.estimator)
        ),
        Section("calibration", "Calibration", lambda: dna_answers.calibration(test, answers)),
        Section("mistakes", "Mistakes", lambda: dna_answers.mistakes(test, answers)),
    ]


def _number_sections(run: DNARun) -> list[Section]:
    test, answers, name = run.examples.test, run.answers, run.examples.answer
    return [
        Section("values", "Predicted and measured", lambda: dna_answers.values(test, answers, name)),
        Section("calibration", "Calibration", lambda: dna_answers.number_calibration(test, answers)),
    ]


def _surest(run: DNARun) -> int:
    """Return the test sequence with the largest probability or prediction."""
    said = run.answers.model
    return int(np.argmax(said if run.answers.classes is None else said.max(1)))


def _source(run: DNARun) -> list[tuple[str, Any]]:
    data = run.recipe.data
    if data.name is None and data.path is None:
        return [("Data", run.name)]
    return data_source(data.name, data.path, data.sha256)


def _head(run: DNARun) -> Head:
    metrics = run.metrics
    key = next(iter(metrics["model"]))
    found = compare(key, metrics["model"], metrics["baselines"])
    asked = "simulated test sequences" if metrics["simulated"] else "test sequences"
    outcome = f"{metric_name(key)} {metric_value(key, metrics['model'][key])} on {metrics['n_test']:,} {asked}"
    beside = "." if found is None else f", {found.words}, the best of the baselines."
    what = "classes" if isinstance(run.recipe, ClassifyRecipe) else "numbers"
    kind = f"Report on {what} of DNA"
    task = f"{len(metrics['classes']['test'])} classes" if "classes" in metrics else run.examples.answer
    return Head(kind, f"{run.name}: {task}", join([outcome, beside]), _tiles(run))


def _tiles(run: DNARun) -> Html:
    metrics, found = run.metrics, []
    for key, value in list(metrics["model"].items())[:3]:
        other = compare(key, metrics["model"], metrics["baselines"])
        found.append((metric_value(key, value), metric_name(key), "" if other is None else other.words))
    leaks = metrics["leaks"]
    found.append(
        (f"{leaks['n_leaks']:,}", "test sequences seen in training", f"of {leaks['n_test']:,}, near copies included")
    )
    networks = count(metrics["n_members"], "network")
    found.append((duration(metrics["seconds"]["fit"]), "to fit", f"{metrics['n_parameters']:,} parameters, {networks}"))
    return tiles(found)


def _scores(run: DNARun) -> Iterable[Html]:
    metrics = run.metrics
    keys, seeds = list(metrics["model"]), metrics.get("seeds")
    yield paragraph(
        f"Model and baselines told the same {count(metrics['n_test'], 'test sequence')}, none of which they were "
        f"trained on; training had {metrics['n_train']:,}."
    )
    rows = {f"Baseline {name.replace('_', ' ')}": scores for name, scores in metrics["baselines"].items()}
    yield score_table(keys, {run.recipe.estimator: metrics["model"], **rows}, seeds)
    for name, why in metrics["left_out"].items():
        yield note(f"Baseline {name.replace('_', ' ')} was left out: {why}.")
    yield seeds_words(seeds)
    if seeds is not None:
        yield fold("The scores of every seed", seed_table(keys, seeds))
    if metrics["n_members"] > 1:
        yield paragraph(
            f"Each model is the mean of {metrics['n_members']} networks, trained from different beginnings."
        )
    yield fold("What the scores mean", meanings(keys))


def _training(run: DNARun) -> Iterable[Html]:
    histories = run.model.history_
    names = [f"Network {i + 1}" for i in range(len(histories))] if len(histories) > 1 else ["The network"]
    yield from training(histories, names)
    strands = (
        "both strands and the mean of the two answers" if run.metrics["both_strands"] else "the strand that is given"
    )
    placed = percent(sum(run.metrics["placed_share"]) / len(run.metrics["placed_share"]), 0)
    yield paragraph(
        f"It reads {strands}. Validation gave the head that knows positions a weight of {placed}; the rest is the "
        "head that knows content alone."
    )
    beside = sum(run.metrics["kmer_share"]) / len(run.metrics["kmer_share"])
    if beside:
        yield paragraph(f"A linear model of k-mers beside the network has {percent(beside, 0)} of the answer.")


def _about(run: DNARun) -> Iterable[Html]:
    recipe, metrics = run.recipe, run.metrics
    networks = count(metrics["n_members"], "network")
    model = f"{recipe.estimator}, {networks}, {metrics['n_parameters']:,} parameters"
    kmers = (
        f"k = {recipe.evaluate.kmer_length}, {recipe.evaluate.kmer_strands} strand" if _counts_kmers(recipe) else None
    )
    more = [("Task", recipe.task.kind), ("Model", model), ("k-mers of the baselines", kmers)]
    yield from run_facts(run.environment, metrics["seconds"], run.recipe_text, more)


def _counts_kmers(recipe: DNARecipe) -> bool:
    return any(name.startswith("kmer") for name in recipe.evaluate.baselines)


def _use(run: DNARun) -> Iterable[Html]:
    kind = run.recipe.estimator
    call = "predict_proba" if isinstance(run.recipe, ClassifyRecipe) else "predict"
    code = (
        f"from titans_seq import {kind}\n\nmodel = {kind}.load({str(run.folder / 'model')!r})\n"
        f"model.{call}(sequences)  # strings, SeqRecords, or a FASTA path\n"
        'model.mutagenesis(sequence).plot("substitutions.png")'
    )
    shell = [
        f"titans-seq classify {run.folder} more.fasta --output answers.csv",
        f"titans-seq variants {run.folder} genome.fa changes.vcf --output effects.vcf",
    ]
    yield from usage(code, shell)
