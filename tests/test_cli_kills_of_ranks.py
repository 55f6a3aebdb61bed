"""Runs in several processes that are killed: all of them, one of them, or what has started them."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import killed_runs
import pytest
from killed_ranks import SPREAD, TOGETHER, Run

from titans_seq.recipes._claim import partial_of

pytestmark = pytest.mark.slow

SHORT = killed_runs.FORECAST.replace("max_epochs: 3", "max_epochs: 2")
THREE = ("--set", "train.devices=3", "--set", "train.strategy=ddp")
RECIPES = {
    "forecast": (SHORT, TOGETHER),
    "contiguous": (killed_runs.CONTIGUOUS.replace("max_epochs: 3", "max_epochs: 2"), TOGETHER),
    "classify": (killed_runs.CLASSIFY.replace("max_epochs: 4", "max_epochs: 2"), TOGETHER),
    "spread weights": (SHORT, SPREAD),
    "three processes": (SHORT, THREE),
}
GOES_ON = "a run was broken off here; going on from what"


def of_rank(kind: str, place: Path) -> tuple[Path, tuple[str, ...]]:
    recipe = place / "r.yaml"
    recipe.write_text(RECIPES[kind][0])
    return recipe, RECIPES[kind][1]


@pytest.mark.parametrize("kind", RECIPES)
def test_processes_that_are_killed_together_end_with_the_bits_of_those_that_are_not(kind: str, tmp_path: Path) -> None:
    recipe, options = of_rank(kind, tmp_path)
    whole = Run(recipe, tmp_path / "whole", options)
    assert whole.end()[0] == 0
    at = random.Random(os.getpid()).randrange(2, whole.steps() + 1)
    killed = Run(recipe, tmp_path / "run", options, dies=f"all {at}")
    assert killed.end()[0] == -9
    again = Run(recipe, tmp_path / "run", options)
    code, said = again.end()
    assert code == 0, said
    assert said.count("\n") == 1 and GOES_ON in said
    # What is tried both ways is not kept, and trained once more.
    assert again.steps() == whole.steps() - at + 1 or (kind == "classify" and again.steps() < whole.steps())
    assert killed_runs.content(tmp_path / "run") == killed_runs.content(tmp_path / "whole"), f"killed at step {at}"
    assert not partial_of(tmp_path / "run").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_where_one_process_is_killed_the_others_end_with_a_line_and_the_command_goes_on(
    rank: int, tmp_path: Path
) -> None:
    recipe, options = of_rank("forecast", tmp_path)
    partial = partial_of(tmp_path / "run")
    code, said = Run(recipe, tmp_path / "run", options, dies=f"{rank} 3").end()
    lost = f"error: another process of this run has ended without a word; what was reached is kept in {partial}: "
    assert (code, said) == (-9 if rank == 0 else 1, lost + "the same command goes on from there\n")
    again = Run(recipe, tmp_path / "run", options)
    code, said = again.end()
    assert code == 0, said
    assert GOES_ON in said and again.steps() == 18
    assert not partial.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_where_the_first_process_is_killed_before_they_have_met_the_other_does_not_wait_for_it(tmp_path: Path) -> None:
    recipe, options = of_rank("forecast", tmp_path)
    run = Run(recipe, tmp_path / "run", options)
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children")
    while not children.read_text():
        assert run.process.poll() is None
        time.sleep(0.05)
    run.process.kill()
    assert run.end() == (-9, "error: another process of this run has ended without a word; nothing was written\n")


def test_torchrun_goes_on_with_what_it_was_killed_in_and_with_what_others_have_started(tmp_path: Path) -> None:
    recipe, options = of_rank("forecast", tmp_path)
    assert Run(recipe, tmp_path / "run", options, dies="all 3").end()[0] == -9
    # torchrun starts its processes in sessions of their own: they end as they lose each other
    again = Run(recipe, tmp_path / "run", options, dies="1 4", torchrun=True)
    code, said = again.end()
    assert code != 0 and GOES_ON in said and "what was reached is kept in" in said
    last = Run(recipe, tmp_path / "run", options, torchrun=True)
    code, said = last.end()
    assert code == 0 and GOES_ON in said, said
    assert last.steps() == 20 - 2 - 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--set", "train.devices=1"), "1 process"),
        (SPREAD, "2 processes (fsdp)"),
    ],
)
def test_a_checkpoint_of_other_processes_is_not_used(options: tuple[str, ...], told: str, tmp_path: Path) -> None:
    recipe, together = of_rank("forecast", tmp_path)
    assert Run(recipe, tmp_path / "run", together, dies="all 3").end()[0] == -9
    code, said = Run(recipe, tmp_path / "run", options, dies="all 20").end()
    assert code == -9, "it has not trained all 20 steps"
    reason = f"it is one of 2 processes (ddp), and this is a run of {told}"
    assert said == f"{tmp_path / 'run'}: a run was broken off here, but begins anew: {reason}\n"
