"""The report of a recall run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes.html.about import data_source, run_facts, usage
from titans_seq.recipes.html.markup import (
    Html,
    count,
    duration,
    heading,
    note,
    number,
    paragraph,
    percent,
    table,
    tiles,
)
from titans_seq.recipes.html.page import Head, Section, write_page
from titans_seq.recipes.html.pictures import picture, titled
from titans_seq.recipes.html.traces import MOST_BINS, WITHOUT_MEMORY, memory_trace
from titans_seq.recipes.recall.schema import RecallRecipe

if TYPE_CHECKING:
    from titans_seq.evaluation.recall import Task
    from titans_seq.recipes.recall.subject import Subject

MOST_TOKENS = 2048
"""Tokens of the stream whose traces are drawn, unless the task needs more."""

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RecallRun:
    """All that a report tells of a run.

    Attributes
    ----------
    recipe : RecallRecipe
    recipe_text : str
        The resolved recipe as YAML.
    folder : Path
        Where the run will stand.
    task : Task
        As tested.
    subjects : sequence of Subject
        The model, then its controls.
    metrics, environment : mapping
        The content of both files.
    """

    recipe: RecallRecipe
    recipe_text: str
    folder: Path
    task: Task
    subjects: Sequence[Subject]
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]


def write_recall_report(path: Path, run: RecallRun) -> None:
    """Write the page."""
    write_page(path, lambda: _head(run), _sections(run))


def _sections(run: RecallRun) -> list[Section]:
    return [
        Section("scores", "What was remembered", lambda: _scores(run)),
        Section("training", "Training", lambda: _training(run)),
        Section("memory", "What the memory did", lambda: _memory(run)),
        Section("costs", "What it costs", lambda: _costs(run)),
        Section("run", "What was run", lambda: _about(run)),
        Section("use", "Use this model", lambda: _use(run)),
    ]


def _head(run: RecallRun) -> Head:
    metrics = run.metrics
    longest = metrics["model"]["scores"][-1]
    trained = metrics["trained_lengths"][-1]
    lead = (
        f"Trained on streams of up to {trained:,} tokens, then asked in longer ones: at {longest['length']:,} tokens "
        f"{_outcome(longest)}. {_chance(metrics)}"
    )
    return Head("Recall report", f"Recall: {metrics['task']}", lead, _tiles(run))


def _outcome(row: Row) -> str:
    if "mse" in row:
        return f"the mean squared error is {number(row['mse'])}"
    return f"{row['right']:,} of {row['asked']:,} answers are right ({percent(row['accuracy'])})"


def _chance(metrics: Row) -> str:
    if metrics["measure"] == "mse":
        return f"An answer that is always the mean has an error of {metrics['chance']:g}."
    return f"Guessing gives {percent(metrics['chance'])}."


def _tiles(run: RecallRun) -> Html:
    metrics, model = run.metrics, run.metrics["model"]
    rows = [model["scores"][0], model["scores"][-1]] if len(model["scores"]) > 1 else model["scores"]
    found = [(_score(row), f"at {row['length']:,} tokens", _spread(row)) for row in rows]
    held = number(model["state_bytes"]["total"] / 1000)
    found.append((f"{held} kB", "state of a stream", f"after {model['state_bytes']['after_tokens']:,} tokens"))
    seconds = metrics["costs"][model["variant"]]["training"]["cpu_seconds"]
    found.append((duration(seconds), "of processor time to train", f"{model['n_parameters']:,} parameters"))
    return tiles(found)


def _score(row: Row) -> str:
    return number(row["mse"]) if "mse" in row else percent(row["accuracy"])


def _spread(row: Row) -> str:
    if "mse" in row:
        return f"mean squared error, standard error {number(row['standard_error'])}"
    low, high = row["interval"]
    return f"right; 95 % interval {percent(low)} to {percent(high)}"


def _scores(run: RecallRun) -> Iterable[Html]:
    from titans_seq.recipes.recall.figure import recall_figure

    metrics = run.metrics
    models = [metrics["model"], *metrics["controls"].values()]
    yield paragraph(
        f"The task {metrics['task']}: something is hidden in a stream, and asked for at its "
        f"end. {_chance(metrics)} Controls are the same network with another variant, trained likewise; one that "
        "never sees far enough back shows what can be done without remembering."
    )
    drawn = picture(lambda: recall_figure(metrics), "recall", "Right answers by length of the stream")
    yield titled(
        drawn,
        "Scores by the length of the stream, with 95 % intervals; lengths seen in training are shaded. The axis is "
        "logarithmic, and models are a little apart so that they do not hide each other.",
    )
    head, body = _table(models, metrics["measure"])
    yield table(head, body, text_columns=1)
    yield note(
        "The intervals are about the streams drawn (their number is in the table), for one seed of the training (n = "
        "1): how much another seed would change is not known from this run."
    )


def _table(models: Sequence[Row], measure: str) -> tuple[list[str], list[list[str]]]:
    numbers = ["Mean squared error", "Standard error"] if measure == "mse" else ["Right", "Accuracy", "95 % interval"]
    body = []
    for i, model in enumerate(models):
        name = model["variant"] if i == 0 else f"{model['variant']} (control)"
        for row in model["scores"]:
            body.append([name, f"{row['length']:,}", f"{row['trials']:,}", *_cells(row)])
    return ["Model", "Tokens", "Streams", *numbers], body


def _cells(row: Row) -> list[str]:
    if "mse" in row:
        return [number(row["mse"]), number(row["standard_error"])]
    low, high = row["interval"]
    return [f"{row['right']:,} of {row['asked']:,}", percent(row["accuracy"]), f"{percent(low)} to {percent(high)}"]


def _training(run: RecallRun) -> Iterable[Html]:
    from titans_seq.evaluation.training_plots import draw_steps

    for i, subject in enumerate(run.subjects):
        steps = subject.history
        arrays = [np.array([getattr(step, name) for step in steps], float) for name in ("step", "loss", "length")]
        drawn = picture(partial(draw_steps, *arrays), f"steps-{i}", f"Loss of {subject.variant}")
        role = "the model" if i == 0 else "control"
        yield heading(f"{subject.variant} ({role})")
        seconds = run.metrics["costs"][subject.variant]["training"]["cpu_seconds"]
        yield paragraph(
            f"{count(len(steps), 'step')} in {duration(seconds)} of processor time; the last loss is "
            f"{number(steps[-1].loss)}."
        )
        yield titled(drawn, "Loss of the answers at each step, and the length of the streams it was trained on.")


def _memory(run: RecallRun) -> Iterable[Html]:
    from titans_seq.evaluation.analysis import analyze_stream
    from titans_seq.recipes.analysis.tokens import event_marks, track_of

    subject, recipe = run.subjects[0], run.recipe
    if subject.variant in WITHOUT_MEMORY:
        yield note(f"The variant {subject.variant} has no memory; mag, mal, mac and lmm have one.")
        return
    least = recipe.task.least_length(recipe.test_count)
    length = max(least, min(recipe.evaluate.lengths[0].length, MOST_TOKENS))
    stream: Any = run.task.draw(1, length, np.random.default_rng(0))
    analysis = analyze_stream(subject.model, stream, max_points=MOST_BINS)
    marks = event_marks(stream)
    read = f"a stream of {length:,} tokens that was not trained on"
    yield from memory_trace(analysis, track_of(stream, 0, 0), marks, read)


def _costs(run: RecallRun) -> Iterable[Html]:
    metrics = run.metrics
    models = [metrics["model"], *metrics["controls"].values()]
    yield paragraph("What a stream's state holds, and how fast streams are read (tokens per second of processor time).")
    rows = [
        [model["variant"], f"{cost['length']:,}", f"{cost['tokens_per_cpu_second']:,}"]
        for model in models
        for cost in metrics["costs"][model["variant"]]["scores"]
    ]
    yield table(["Model", "Tokens", "Tokens per second"], rows)
    states = [
        [model["variant"], f"{model['n_parameters']:,}", f"{number(model['state_bytes']['total'] / 1000)} kB",
         f"{model['state_bytes']['after_tokens']:,}"]
        for model in models
    ]  # fmt: skip
    yield table(["Model", "Parameters", "State of a stream", "After tokens"], states)


def _about(run: RecallRun) -> Iterable[Html]:
    metrics, data = run.metrics, run.recipe.data
    model = metrics["model"]
    lengths = metrics["trained_lengths"]
    more = [
        *(data_source(data.name, None) if data is not None else []),
        ("Task", metrics["task"]),
        ("Model", f"variant {model['variant']}, {model['n_parameters']:,} parameters"),
        ("Controls", ", ".join(metrics["controls"]) or "none"),
        ("Trained on", f"streams of {lengths[0]:,} to {lengths[-1]:,} tokens"),
    ]
    seconds = {name: cost["training"]["wall_seconds"] for name, cost in metrics["costs"].items()}
    trained = {f"training {name}": value for name, value in seconds.items()}
    yield from run_facts(run.environment, trained, run.recipe_text, more)


def _use(run: RecallRun) -> Iterable[Html]:
    code = (
        "from titans_seq.recipes import load_recall_model\n\n"
        f"model = load_recall_model({str(run.folder / 'model')!r})\n"
        "hidden, state = model(symbols)  # (batch, time); hand the state in again to read on\n"
        "answers = model.head(hidden)  # logits of what comes next where something is asked"
    )
    yield from usage(code, [f"titans-seq analyze {run.folder} --length 65536"])
