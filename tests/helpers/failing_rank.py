"""The command line, in whose second process training fails at its third batch, with no checkpoint; FAILS says how.

Run: FAILS=raises|killed [python -m torch.distributed.run …] tests/helpers/failing_rank.py run RECIPE
"""

from __future__ import annotations

import os
import signal

from titans_seq import cli
from titans_seq.training import checkpoint
from titans_seq.training.sampling import Stretch, StretchSampler

draw, drawn = StretchSampler.draw, []


def draw_or_fail(self: StretchSampler) -> Stretch:
    drawn.append(1)
    if os.environ.get("LOCAL_RANK") == "1" and len(drawn) == 3:
        if os.environ["FAILS"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ArithmeticError("the second process cannot go on")
    return draw(self)


if __name__ == "__main__":
    checkpoint.EVERY = 3600.0  # also where a slow machine takes longer to get there
    StretchSampler.draw = draw_or_fail  # type: ignore[method-assign]
    cli.main()
