"""Runs of recipes in several processes, all or one of which are killed at a step of their training.

As a script it is the command line of `killed_runs`. STEPS names a file that gets a letter for each step the first
process trains; DIES says who is killed as a step begins, and at which: "all 17", or a rank, "1 17".
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import killed_runs
from launching import STARTED_BY, TORCHRUN

TOGETHER = ("--set", "train.devices=2", "--set", "train.strategy=ddp")
SPREAD = ("--set", "train.devices=2", "--set", "train.strategy=fsdp")


class Run:
    """A run in a session of its own, with all the processes it starts.

    Parameters
    ----------
    recipe, folder : Path
    options : sequence of str
        Of the command.
    dies : str, optional
        See above.
    torchrun : bool, default False
        Whether torchrun starts the processes, not the run itself.
    """

    def __init__(
        self, recipe: Path, folder: Path, options: tuple[str, ...] = TOGETHER, *, dies: str = "", torchrun: bool = False
    ) -> None:
        self.trained = folder.with_name(f"{folder.name}.steps")
        self.trained.write_text("")
        command = [sys.executable, *(TORCHRUN if torchrun else ()), __file__, "run", str(recipe)]
        own = {name: value for name, value in killed_runs.environment().items() if name not in STARTED_BY}
        about = {"STEPS": str(self.trained), "DIES": dies, "PYTHONFAULTHANDLER": "1"}
        self.process = subprocess.Popen(
            [*command, "--output-dir", str(folder), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True, env=own | about,
        )  # fmt: skip

    def end(self, seconds: float = 240) -> tuple[int, str]:
        """Wait until all processes have ended; what the one that was started returned, and stderr of all."""
        try:
            _, said = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGABRT)  # PYTHONFAULTHANDLER shows where they are
            _, said = self.process.communicate()
            raise AssertionError(f"not over after {seconds} s: {said}") from None
        return self.process.returncode, said

    def steps(self) -> int:
        """Return how many steps the first process has begun."""
        return len(self.trained.read_text())


def main() -> None:
    """Run the command line."""
    from titans_seq.training.module import SeriesTraining
    from titans_seq.training.sequences import SequenceTraining

    rank = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"
    who, _, at = os.environ["DIES"].partition(" ")
    begun = 0

    def counted(step: Any) -> Any:
        def counting(*arguments: Any) -> Any:
            nonlocal begun
            begun += 1
            if str(begun) == at and who == rank:
                os.kill(os.getpid(), signal.SIGKILL)
            if str(begun) == at and who == "all" and rank == "0":
                os.killpg(0, signal.SIGKILL)
            if rank == "0":
                with open(os.environ["STEPS"], "a") as file:
                    file.write(".")
            return step(*arguments)

        return counting

    for kind in (SeriesTraining, SequenceTraining):
        kind.training_step = counted(kind.training_step)  # type: ignore[method-assign]
    killed_runs.main()


if __name__ == "__main__":
    main()
