"""Faults that lie between keys of a recall recipe."""

from __future__ import annotations

from collections.abc import Iterator

from titans_seq.recipes._cross import D_MODEL, N_HEADS, Fault
from titans_seq.recipes.recall.schema import RecallRecipe
from titans_seq.recipes.recall.tasks import MotifsTask, ShapesTask

# Defaults of Backbone and RecallSettings, which cannot be imported here; so are the two of `_cross`.
VARIANT = "mag"
CURRICULUM = ((64, 250), (128, 100), (256, 100))


def recall_faults(recipe: RecallRecipe) -> list[Fault]:
    """Return the path and description of each."""
    return [
        *_counts(recipe),
        *_motifs(recipe),
        *_model(recipe),
        *_core_steps(recipe),
        *_curriculum(recipe),
        *_lengths(recipe),
        *_controls(recipe),
    ]


def _counts(recipe: RecallRecipe) -> Iterator[Fault]:
    counted = recipe.task.counted
    stated = getattr(recipe.train, counted) is not None
    counts = {"task": recipe.test_count} | ({"train": recipe.train_count} if stated else {})
    for section, count in counts.items():
        fault = recipe.task.count_fault(count)
        if fault:
            yield (section, counted), fault


def _motifs(recipe: RecallRecipe) -> Iterator[Fault]:
    fault = recipe.task.motifs_fault() if isinstance(recipe.task, MotifsTask) else None
    if fault:
        yield ("task", "motif_length"), fault


def _core_steps(recipe: RecallRecipe) -> Iterator[Fault]:
    steps = sum(steps for _, steps in recipe.train.curriculum or CURRICULUM)
    core_steps = recipe.train.core_steps or 0
    if core_steps >= steps:
        yield (
            ("train", "core_steps"),
            f"must be less than the {steps} steps of the curriculum, else no memory is trained; found {core_steps}",
        )


def _model(recipe: RecallRecipe) -> Iterator[Fault]:
    d_model, n_heads = recipe.model.d_model or D_MODEL, recipe.model.n_heads or N_HEADS
    if d_model % n_heads:
        key = "d_model" if recipe.model.n_heads is None else "n_heads"
        yield ("model", key), f"n_heads must divide d_model, found n_heads {n_heads} and d_model {d_model}"
    if recipe.model.stem_width is not None and isinstance(recipe.task, ShapesTask):
        yield ("model", "stem_width"), "a stem is for symbols; the tokens of task 'shapes' are patches of a series"


def _curriculum(recipe: RecallRecipe) -> Iterator[Fault]:
    most = recipe.data.parts()[0] if recipe.data else None
    stated = recipe.train.curriculum
    for i, (length, _) in enumerate(stated or CURRICULUM):
        fault = _length_fault(recipe, length, recipe.train_count, most)
        if fault and not stated:
            yield ("train", "curriculum"), fault
            return
        if fault:
            yield ("train", "curriculum", i, 0), fault


def _lengths(recipe: RecallRecipe) -> Iterator[Fault]:
    most = recipe.data.parts()[1] if recipe.data else None
    before = 0
    for i, at in enumerate(recipe.evaluate.lengths):
        place = ("evaluate", "lengths", i)
        if at.length <= before:
            yield (*place, "length"), f"lengths must increase, found {at.length} after {before}"
        before = at.length
        fault = _length_fault(recipe, at.length, recipe.test_count, most)
        if fault:
            yield (*place, "length"), fault
        if at.trials < 2 and isinstance(recipe.task, ShapesTask):
            yield (*place, "trials"), "task 'shapes' needs at least 2 for a standard error, found 1"


def _length_fault(recipe: RecallRecipe, length: int, count: int, most: int | None) -> str | None:
    least = recipe.task.least_length(count)
    if length < least:
        what = f"{recipe.task.counted} {count}"
        return f"streams of {length} tokens are too short for {what}: they need at least {least}"
    if most is not None and length > most:
        return f"streams of {length} bases are longer than this part of the genome, {most} bases"
    return None


def _controls(recipe: RecallRecipe) -> Iterator[Fault]:
    own, seen = recipe.model.variant or VARIANT, set[str]()
    for i, variant in enumerate(recipe.evaluate.controls):
        place = ("evaluate", "controls", i)
        if variant == own:
            yield place, f"{variant!r} is the variant of the model itself"
        elif variant in seen:
            yield place, f"{variant!r} stands twice"
        elif not recipe.evaluate.lengths_for(variant, control=True):
            yield place, f"no length is short enough for {variant!r}; see evaluate.control_max_length"
        seen.add(variant)
