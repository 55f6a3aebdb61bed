"""What a model remembers at the lengths of a recipe, and what asking it cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from titans_seq.recipes.recall.progress import Advance, Watched
from titans_seq.recipes.recall.schema import Length, RecallRecipe
from titans_seq.recipes.recall.tasks import ShapesTask

if TYPE_CHECKING:
    from titans_seq.adapters.symbols import StreamModel
    from titans_seq.evaluation.recall import Task
    from titans_seq.training.checkpoint import Place

Row = dict[str, Any]


class Stopwatch:
    """Seconds that a block took.

    Parameters
    ----------
    place : Place, optional
        Of a training that may go on: what it took before, when it was saved last, is counted.

    Attributes
    ----------
    cpu, wall : float
        Of the process, all its threads together; of the clock.
    """

    def __init__(self, place: Place | None = None) -> None:
        saved = None if place is None else place.load()
        self._earlier = (0.0, 0.0) if saved is None else (saved.facts["cpu_seconds"], saved.facts["wall_seconds"])

    def __enter__(self) -> Self:
        self._began = time.process_time() - self._earlier[0], time.perf_counter() - self._earlier[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu, self.wall = time.process_time() - self._began[0], time.perf_counter() - self._began[1]

    def row(self) -> Row:
        """Return both, rounded, ready for JSON."""
        return {"cpu_seconds": round(self.cpu, 3), "wall_seconds": round(self.wall, 3)}


def trial_seed(random_state: int, length: int) -> int:
    """Return the seed of a length's test streams: the same for model and controls, never that of the training."""
    return int(np.random.SeedSequence((random_state, length)).generate_state(1, np.uint64)[0])


def score_lengths(
    model: StreamModel,
    recipe: RecallRecipe,
    test: Task,
    lengths: Sequence[Length],
    advance: Advance,
    place: Place | None = None,
) -> tuple[list[Row], list[Row]]:
    """Ask a model at each length.

    Parameters
    ----------
    model : StreamModel
    recipe : RecallRecipe
    test : Task
    lengths : sequence of Length
    advance : callable
        Told the number of tokens read.
    place : Place, optional
        Where the rows of the lengths that are done are kept, and looked for.

    Returns
    -------
    tuple of two lists of dict
        Scores and costs, one row for each length.
    """
    saved = None if place is None else place.load()
    scores, costs = ([], []) if saved is None else (saved.facts["scores"], saved.facts["costs"])
    advance(sum(at.length * at.trials for at in lengths[: len(scores)]))
    for at in lengths[len(scores) :]:
        with Stopwatch() as watch:
            score = _score(model, recipe, Watched(test, advance), at)
        scores.append({"length": at.length, "trials": at.trials, **score})
        rate = round(at.length * at.trials / max(watch.cpu, 1e-9))
        costs.append({"length": at.length, **watch.row(), "tokens_per_cpu_second": rate})
        if place is not None and (place.due() or len(scores) == len(lengths)):
            place.save({}, {"scores": scores, "costs": costs})
    return scores, costs


def _score(model: StreamModel, recipe: RecallRecipe, test: Task, at: Length) -> Row:
    from titans_seq.evaluation.recall import recall_error, score_recall

    how = {
        "n_trials": at.trials,
        "seed": trial_seed(recipe.train.seed, at.length),
        "batch_size": recipe.evaluate.batch_size,
        "piece_length": recipe.evaluate.piece_length,
    }
    if isinstance(recipe.task, ShapesTask):
        error, spread = recall_error(model, test, at.length, **how)
        return {"mse": error, "standard_error": spread}
    score = score_recall(model, test, at.length, **how)
    counts = {"asked": score.asked, "right": score.right}
    return {**counts, "accuracy": score.accuracy, "interval": list(score.interval)}
