"""A process that evaluates trials, one after the other: what a trial does to it does nothing to the study.

Started by `titans_seq.estimators.searching.isolated`, it gets a `Fitting` and then trials on its standard input, and
answers on its standard output; what else is printed goes to standard error. It ends when its standard input does.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from contextlib import suppress
from typing import Any, BinaryIO

_VICTIM = "600"


def main() -> None:
    """Evaluate what is asked until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(OSError):  # where memory is short, the trial is to be killed and not the study
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(_VICTIM)
    messages: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, messages), daemon=True).start()
    fitting = messages.get()
    _say(answers, ("ready",))
    while True:
        values = messages.get()

        def report(epoch: int, validation_error: float) -> bool:
            _say(answers, ("epoch", epoch, validation_error))
            return bool(messages.get())

        _say(answers, ("done", fitting.evaluate(values, report)))


def _listen(stream: BinaryIO, messages: queue.Queue[Any]) -> None:
    """Put what comes into the queue; end the process with the one that asks, in the middle of a trial, too."""
    while True:
        try:
            messages.put(pickle.load(stream))
        except EOFError:
            os._exit(1)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)


def _say(stream: BinaryIO, message: tuple[Any, ...]) -> None:
    pickle.dump(message, stream)
    stream.flush()


if __name__ == "__main__":
    main()
