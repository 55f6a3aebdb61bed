"""What a fit may cost: the same CPU minutes for every model that is trained."""

from __future__ import annotations

import sys
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
    import titans_seq.training.fit  # noqa: F401  # else it would come later, with a clock of its own

    clock = SimpleNamespace(monotonic=time.process_time)
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("titans_seq.") and getattr(module, "time", None) is time:
                stack.enter_context(mock.patch.object(module, "time", clock))
        yield
