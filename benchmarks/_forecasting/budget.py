"""What a fit may cost: the same CPU minutes for every model that is trained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest import mock

FIT_MINUTES = 2.0
"""CPU minutes of a fit, one thread: choice of weights and validation included, test rows not."""


@contextmanager
def cpu_clock() -> Iterator[None]:
    """Let `max_minutes` count CPU time: on a shared machine a minute of the clock is worth less at times."""
    clock = SimpleNamespace(monotonic=time.process_time)
    with ExitStack() as stack:
        for module in ("titans_seq.estimators._fitting", "titans_seq.training.fit", "titans_seq.estimators.forecaster"):
            stack.enter_context(mock.patch(f"{module}.time", clock))
        yield
