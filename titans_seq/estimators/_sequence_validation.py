"""Rows that a sequence estimator keeps from training, to choose by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.training.objectives import Objective

if TYPE_CHECKING:
    from titans_seq.training.examples import Labelled

MAX_VALIDATION_ROWS = 4096
FEWEST_VALIDATION_ROWS = 12


def split(
    labelled: Labelled, objective: Objective, fraction: float, seed: int, groups: Int64Array | None = None
) -> tuple[Int64Array, Int64Array]:
    """Return rows to train on and rows to validate on; of classes, the same share of each.

    Rows of weight 0 are in neither. There are no validation rows where they would be too few to choose by. Rows of
    one of the ``groups`` (n,) are all on one side, whatever the shares of classes then are.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(np.flatnonzero(labelled.weight > 0))
    fraction = min(fraction, MAX_VALIDATION_ROWS / len(rows))
    if fraction * len(rows) < FEWEST_VALIDATION_ROWS:
        return np.sort(rows), np.zeros(0, dtype=np.int64)
    held = np.zeros(len(rows), dtype=bool)
    if groups is not None:
        classes = labelled.targets[rows] if objective.kind == "classes" else np.zeros(len(rows), dtype=np.int64)
        held = _held_groups(groups[rows], classes, round(fraction * len(rows)))
    elif objective.kind == "classes":
        for k in range(objective.n_outputs):
            places = np.flatnonzero(labelled.targets[rows] == k)
            held[places[: int(fraction * len(places) + random.random())][: len(places) - 1]] = True
    else:
        held[: round(fraction * len(rows))] = True
    return np.sort(rows[~held]), np.sort(rows[held])


def _held_groups(groups: Int64Array, classes: Int64Array, wanted: int) -> NDArray[np.bool_]:
    """Return about ``wanted`` rows: whole groups, in the order they come, that leave some of every class."""
    held, left = np.zeros(len(groups), dtype=bool), np.bincount(classes)
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    for rows in sorted(members, key=lambda rows: rows[0]):
        taken = np.bincount(classes[rows], minlength=len(left))
        fits = held.sum() + len(rows) <= 1.5 * wanted
        if fits and (left > taken)[taken > 0].all():
            held[rows], left = True, left - taken
        if held.sum() >= wanted:
            break
    return held
