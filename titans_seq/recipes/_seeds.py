"""The same recipe with several seeds: scores of each, their mean and spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from titans_seq.training.checkpoint import Checkpoint

ScoreTable = Mapping[str, float]


def spread_over_seeds(
    seeds: Sequence[int] | None, first: ScoreTable, score_again: Callable[[int], ScoreTable]
) -> dict[str, Any]:
    """Return what metrics.json says of several seeds: nothing where there is one.

    Parameters
    ----------
    seeds : sequence of int or None
    first : mapping of metric to score
        Of the first seed.
    score_again : callable
        Trains with another seed and returns its scores.

    Returns
    -------
    dict
        ``seeds``: ``random_states``, and for each metric of ``model`` the ``values`` in their order, ``mean`` and
        ``std``, the standard deviation of a sample (ddof 1). A metric that some seed does not have is left out.
    """
    if seeds is None:
        return {}
    tables = [first, *(score_again(seed) for seed in seeds[1:])]
    found = {key: _spread([one[key] for one in tables]) for key in first if all(key in one for one in tables)}
    return {"seeds": {"random_states": list(seeds), "model": found}}


def keeping_scores(
    checkpoint: Checkpoint, score_again: Callable[[int, Checkpoint], ScoreTable]
) -> Callable[[int], ScoreTable]:
    """Return what asks ``score_again`` for the scores of a seed, unless a process that was killed has done so.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of the run; each seed has one of its own below.
    score_again : callable
        Called with the seed and its checkpoint.
    """

    def ask(seed: int) -> ScoreTable:
        own = checkpoint.below(f"seed{seed}")
        place = own.at("scores")
        if (saved := place.load()) is not None:
            scores: ScoreTable = saved.facts["scores"]
            return scores
        found = {name: float(value) for name, value in score_again(seed, own).items()}
        place.save({}, {"scores": found})
        return found

    return ask


def _spread(values: list[float]) -> dict[str, Any]:
    return {"values": values, "mean": float(np.mean(values)), "std": float(np.std(values, ddof=1))}
