"""What a model can reach that does not do what a task asks for."""

from __future__ import annotations

from collections import Counter

from titans_seq.recipes.recall.tasks import CONTENT, HopsTask, MotifsTask, PairsTask, RecallTask, ShapesTask, StateTask

_MOVES = ((1, 0, 2), (1, 2, 0))  # swap and rotate


def chance_level(task: RecallTask) -> float:
    """Return the best expected score of constant answers: a share of right ones, or a mean squared error.

    Of hops it is the score of a model that remembers the facts but follows no chain: it names any value that is no
    key, and there is one for each chain.
    """
    if isinstance(task, ShapesTask):
        return 1.0  # shapes have mean 0 and variance 1
    if isinstance(task, PairsTask):
        return 2 / CONTENT  # values are half of the symbols
    if isinstance(task, MotifsTask):
        return 0.25**task.partner_length
    if isinstance(task, StateTask):
        return 0.5 if task.group == "parity" else _most_frequent_permutation(task.n_steps)
    if isinstance(task, HopsTask):
        return 1 / task.n_chains
    return 1 / CONTENT


def _most_frequent_permutation(n_steps: int) -> float:
    """Share of the likeliest end of 1 to ``n_steps`` swaps and rotations of three things."""
    ends, total = {(0, 1, 2): 1.0}, Counter[tuple[int, ...]]()
    for _ in range(n_steps):
        after = Counter[tuple[int, ...]]()
        for things, share in ends.items():
            for move in _MOVES:
                after[tuple(things[i] for i in move)] += share / 2  # type: ignore[assignment]
        ends = dict(after)  # type: ignore[arg-type]
        total.update(after)
    return max(total.values()) / n_steps
