"""A model of a recall run: trained, and asked what it remembers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.recall.build import Tasks, make_model, make_settings
from titans_seq.recipes.recall.held import state_bytes
from titans_seq.recipes.recall.progress import Advance, progress
from titans_seq.recipes.recall.schema import RecallRecipe
from titans_seq.recipes.recall.score import Row, Stopwatch, score_lengths

if TYPE_CHECKING:
    from collections.abc import Callable

    from titans_seq.adapters.symbols import StreamModel, SymbolModel, VectorModel
    from titans_seq.training.checkpoint import Checkpoint, Place
    from titans_seq.training.recall import Step


@dataclass(frozen=True)
class Subject:
    """A trained model with its scores.

    Attributes
    ----------
    variant : str
    model : SymbolModel or VectorModel
    history : list of Step
        What training showed, step by step.
    facts : dict
        variant, n_parameters, the loss of the last step, state_bytes and scores: the same for the same seed.
    costs : dict
        Seconds of training and of each length.
    """

    variant: str
    model: SymbolModel | VectorModel
    history: list[Step]
    facts: dict[str, Any]
    costs: dict[str, Any]


def examine(
    recipe: RecallRecipe, tasks: Tasks, control: str | None, *, shown: bool, checkpoint: Checkpoint | None = None
) -> Subject:
    """Train a model of a recipe, or a control of that variant, and ask it at every length.

    Where a checkpoint is given, it is gone on from: steps and lengths that were done are not done again.

    Raises
    ------
    ValueError
        The training diverged.
    """
    from titans_seq.training.fit import seeded

    with seeded(recipe.train.seed):
        model = make_model(recipe, control)
        variant = model.backbone.variant
        kept = None if checkpoint is None else checkpoint.at(f"training_{control or 'model'}")
        with Stopwatch(kept) as training:
            history = _train(model, recipe, tasks, shown, kept)
    lengths = recipe.evaluate.lengths_for(variant, control=control is not None)
    total = sum(at.length * at.trials for at in lengths)
    with progress(f"{variant}: asking", total, "tok", shown=shown) as advance:
        asked = None if checkpoint is None else checkpoint.at(f"scores_{control or 'model'}")
        scores, costs = score_lengths(model, recipe, tasks.test, lengths, advance, asked)
    return Subject(
        variant, model, history, _facts(model, history, scores), {"training": training.row(), "scores": costs}
    )


def _train(model: StreamModel, recipe: RecallRecipe, tasks: Tasks, shown: bool, place: Place | None) -> list[Step]:
    from titans_seq.training.recall import train_recall

    settings, variant = make_settings(recipe), model.backbone.variant
    with progress(f"{variant}: training", settings.total_steps, "step", shown=shown) as advance:
        return train_recall(model, tasks.train.draw, settings, on_step=_followed(variant, advance), place=place)


def _followed(variant: str, advance: Advance) -> Callable[[Step], None]:
    def follow(step: Step) -> None:
        if not math.isfinite(step.loss):
            raise ValueError(
                f"the training of {variant!r} diverged: its loss was {step.loss} in step {step.step + 1}; "
                "lower train.learning_rate"
            )
        advance(1)

    return follow


def _facts(model: StreamModel, history: list[Step], scores: list[Row]) -> dict[str, Any]:
    return {
        "variant": model.backbone.variant,
        "n_parameters": sum(p.numel() for p in model.parameters()),
        "last_loss": history[-1].loss,
        "state_bytes": state_bytes(model, scores[-1]["length"] if _grows(model) else 1),
        "scores": scores,
    }


def _grows(model: StreamModel) -> bool:
    """Whether the state of a model grows with what it has read."""
    return model.backbone.variant == "attention"
