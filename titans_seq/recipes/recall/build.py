"""What a recall recipe describes, made: tasks, models and settings of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.recall.schema import Genome, RecallRecipe
from titans_seq.recipes.recall.tasks import CONTENT, MotifsTask, ShapesTask, StateTask

if TYPE_CHECKING:
    from titans_seq.adapters.symbols import SymbolModel, VectorModel
    from titans_seq.evaluation.recall import Task
    from titans_seq.evaluation.recall.haystacks import Symbols
    from titans_seq.training.recall import RecallSettings


@dataclass(frozen=True)
class Tasks:
    """The task as trained on and as tested."""

    train: Task
    test: Task


def make_tasks(recipe: RecallRecipe) -> Tasks:
    """Return both tasks of a recipe; those of DNA read the genome.

    Raises
    ------
    FileNotFoundError, ValueError
        See `load_genome`.
    """
    from titans_seq.evaluation import recall

    kinds: dict[str, Any] = {
        "needles": recall.Needles,
        "pairs": recall.Pairs,
        "copy": recall.SelectiveCopy,
        "hops": recall.Hops,
        "state": recall.StateTracking,
        "motifs": recall.MotifPartners,
        "shapes": recall.Shapes,
    }
    task = recipe.task
    kind, arguments = kinds[task.name], task.arguments()
    changed = arguments | {task.counted: recipe.train_count}
    if not isinstance(task, StateTask):  # its streams vary anyway
        changed["vary"] = True
    if recipe.data is None:
        return Tasks(kind(**changed), kind(**arguments))
    first, rest = _parts(recipe.data)
    return Tasks(kind(first, **changed), kind(rest, **arguments))


def _parts(genome: Genome) -> tuple[Symbols, Symbols]:
    """Return a genome as indices of `ALPHABET`, in two parts; what is none of A, C, G, T is N."""
    import numpy as np

    from titans_seq.data import load_genome
    from titans_seq.evaluation.recall.bases import ALPHABET, UNKNOWN

    table = np.full(256, UNKNOWN, np.uint8)
    for i, base in enumerate(ALPHABET):
        table[[ord(base), ord(base.lower())]] = i
    (bases,) = load_genome(genome.name).values()
    indices = table[np.frombuffer(bases.encode("ascii"), np.uint8)]
    return indices[: genome.parts()[0]], indices[genome.parts()[0] :]


def make_model(recipe: RecallRecipe, variant: str | None) -> SymbolModel | VectorModel:
    """Return an untrained model of a recipe; `variant` replaces its own, unless None."""
    from titans_seq.adapters.symbols import SymbolModel, VectorModel
    from titans_seq.nn import Backbone

    changed = {} if variant is None else {"variant": variant}
    backbone = Backbone(**recipe.model.backbone() | changed)
    if isinstance(recipe.task, ShapesTask):
        return VectorModel(recipe.task.patch_length, recipe.task.patch_length, backbone)
    return SymbolModel(*_vocabulary(recipe), backbone, stem_width=recipe.model.stem_width or 1)


def _vocabulary(recipe: RecallRecipe) -> tuple[int, int]:
    """Return the number of symbols read, and of those among which the answers are."""
    from titans_seq.evaluation.recall import N_SYMBOLS
    from titans_seq.evaluation.recall.bases import ALPHABET, UNKNOWN

    if isinstance(recipe.task, MotifsTask):
        return len(ALPHABET), UNKNOWN
    if isinstance(recipe.task, StateTask):
        return N_SYMBOLS, 2 if recipe.task.group == "parity" else 6
    return N_SYMBOLS, CONTENT


def make_settings(recipe: RecallRecipe) -> RecallSettings:
    """Return the settings of training."""
    from titans_seq.training.recall import RecallSettings, Stage

    stated = recipe.train.settings()
    if recipe.train.curriculum is not None:
        stated["curriculum"] = tuple(Stage(length, steps) for length, steps in recipe.train.curriculum)
    return RecallSettings(**stated, seed=recipe.train.seed)
