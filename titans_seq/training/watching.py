"""Watching a training from outside: what is called after every validation of every network trained meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

EpochCallback = Callable[[int, float], None]

_watcher: ContextVar[EpochCallback | None] = ContextVar("titans_seq_epoch_watcher", default=None)


@contextmanager
def watching(callback: EpochCallback) -> Iterator[None]:
    """Call ``callback`` with the epoch and its validation loss after every validation inside the block.

    Epoch 0 is the start, before anything was learned; an estimator of several networks comes to it several times. What
    the callback raises ends the training and leaves the block. Other threads are not watched.
    """
    token = _watcher.set(callback)
    try:
        yield
    finally:
        _watcher.reset(token)


def report_epoch(epoch: int, validation_loss: float) -> None:
    """Tell who watches, if anybody does."""
    callback = _watcher.get()
    if callback is not None:
        callback(epoch, validation_loss)


def noted(loss: float | None) -> float | None:
    """Return a loss for the history of a training; None also for that of weights that went to infinity."""
    return loss if loss is not None and math.isfinite(loss) else None
