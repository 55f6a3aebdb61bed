"""Progress of a recall run, shown in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from titans_seq.evaluation.recall import Task, Trials

Advance = Callable[[int], object]


def in_terminal(quiet: bool) -> bool:
    """Whether to show progress."""
    return not quiet and sys.stdout.isatty() and sys.stderr.isatty()


@contextmanager
def progress(label: str, total: int, unit: str, *, shown: bool) -> Iterator[Advance]:
    """Show a bar while the block runs; gives the function that moves it on."""
    from tqdm import tqdm

    with tqdm(total=total, desc=label, unit=unit, unit_scale=total >= 10_000, leave=False, disable=not shown) as bar:
        yield bar.update


class Watched:
    """A task that tells how many tokens of its trials were read."""

    def __init__(self, task: Task, advance: Advance) -> None:
        self.name, self._task, self._advance = task.name, task, advance

    def draw(self, n: int, length: int, random: np.random.Generator) -> WatchedTrials:
        """Draw trials of the task."""
        return WatchedTrials(self._task.draw(n, length, random), self._advance)


class WatchedTrials:
    """Trials that tell how many of their tokens were read; else those given."""

    def __init__(self, trials: Trials, advance: Advance) -> None:
        self._trials, self._advance = trials, advance
        self.length, self.questions = trials.length, trials.questions
        self.answers, self.answer_length = trials.answers, trials.answer_length

    def read(self, start: int, stop: int) -> Tensor:
        """Return tokens ``start`` to ``stop``."""
        tokens = self._trials.read(start, stop)
        self._advance(tokens.shape[0] * (stop - start))
        return tokens
