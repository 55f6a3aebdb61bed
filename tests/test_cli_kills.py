"""Runs from the command line that are killed, run out of disk, or meet each other."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import killed_runs
import pytest

from titans_seq.recipes._claim import PRIVATE, partial_of

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from titans_seq.recipes.recall import run
from titans_seq.training import checkpoint
where = {"checkpoint": (checkpoint, "_replace"), "table": (run, "_write_history"), "model": (run, "save_recall_model")}
module, name = where[sys.argv.pop(1)]
write = getattr(module, name)
def write_without_room(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    write(*arguments)
setattr(module, name, write_without_room)
import killed_runs
killed_runs.main()
"""
SMALL = killed_runs.RECALL.replace("[[32, 25], [64, 15]]", "[[32, 6]]").replace("controls: [swa]", "controls: []")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "r.yaml"
    file.write_text(SMALL)
    return file


def without_room(where: str, recipe: Path, folder: Path, *options: str) -> list[str]:
    """Run where no file can have more than 100 bytes from some point on, as on a full disk; lines on stderr."""
    command = [sys.executable, "-c", LIMITED, where, "run", str(recipe), "--output-dir", str(folder), *options]
    done = subprocess.run(command, env=killed_runs.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()


def test_a_disk_that_is_full_at_the_first_checkpoint_leaves_the_earlier_run_intact(
    recipe: Path, tmp_path: Path
) -> None:
    killed_runs.finish(recipe, tmp_path / "run")
    before = killed_runs.content(tmp_path / "run")
    (line,) = without_room("checkpoint", recipe, tmp_path / "run", "--overwrite")
    assert line == f"error: {tmp_path / 'run'}: the run cannot be written: File too large"
    assert killed_runs.content(tmp_path / "run") == before
    assert not partial_of(tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["table", "model"])
def test_a_disk_that_is_full_at_the_end_costs_no_training(where: str, recipe: Path, tmp_path: Path) -> None:
    """These are written by libraries whose errors know no numbers."""
    (line,) = without_room(where, recipe, tmp_path / "run")
    partial = partial_of(tmp_path / "run")
    kept = f"what was reached is kept in {partial}: the same command goes on from there"
    assert line == f"error: {tmp_path / 'run'}: the run cannot be written: File too large; {kept}"
    assert not (tmp_path / "run").exists()
    assert "going on from what" in killed_runs.finish(recipe, tmp_path / "run")
    assert not partial.exists()


def wait_for_a_checkpoint(folder: Path) -> None:
    for _ in range(600):
        if any(partial_of(folder).rglob("*.safetensors")):
            return
        time.sleep(0.1)
    raise AssertionError("no checkpoint was written within a minute")


def test_two_commands_in_one_folder_the_second_is_refused_at_once(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(killed_runs.RECALL)
    first = killed_runs.start(recipe, tmp_path / "run")
    wait_for_a_checkpoint(tmp_path / "run")
    second = killed_runs.start(recipe, tmp_path / "run")
    _, said = second.communicate()
    assert second.returncode == 2
    (line,) = said.splitlines()
    assert line.startswith(f"error: {tmp_path / 'run'}: process {first.pid} on ")
    _, said = first.communicate()
    assert first.returncode == 0, said


@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_command_says_that_its_checkpoint_is_kept(tmp_path: Path, signal_name: str, code: int) -> None:
    import signal

    recipe = tmp_path / "r.yaml"
    recipe.write_text(killed_runs.RECALL)
    run = killed_runs.start(recipe, tmp_path / "run")
    wait_for_a_checkpoint(tmp_path / "run")
    run.send_signal(getattr(signal, signal_name))
    _, said = run.communicate()
    partial = partial_of(tmp_path / "run")
    told = f"interrupted: what was reached is kept in {partial}: the same command goes on from there\n"
    assert (run.returncode, said) == (code, told)
    assert not (tmp_path / "run").exists()
    # With another recipe it is not gone on from; nothing of it is left at the end.
    said = killed_runs.finish(recipe, tmp_path / "run", "--set", "train.curriculum=[[32, 2]]")
    assert said == f"{tmp_path / 'run'}: a run was broken off here, but begins anew: the recipe has changed\n"
    assert not partial.exists()


def test_what_a_kill_in_the_last_instant_leaves_is_removed_by_the_next_command_though_it_is_refused(
    recipe: Path, tmp_path: Path
) -> None:
    killed_runs.finish(recipe, tmp_path / "run")
    whole = killed_runs.content(tmp_path / "run")
    (tmp_path / "run" / PRIVATE / "earlier").mkdir(parents=True)
    assert killed_runs.content(tmp_path / "run") != whole
    assert "holds an earlier run" in killed_runs.refused(recipe, tmp_path / "run")
    assert killed_runs.content(tmp_path / "run") == whole


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(killed_runs.RECIPES))
def test_a_run_that_is_killed_at_any_time_ends_with_the_bits_of_one_that_is_not(kind: str, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(killed_runs.RECIPES[kind])
    began = time.monotonic()
    killed_runs.finish(recipe, tmp_path / "whole")
    took, whole = time.monotonic() - began, killed_runs.content(tmp_path / "whole")
    times = random.Random(os.getpid())
    for i in range(3):
        folder, moments = tmp_path / f"run{i}", [times.uniform(0, took) for _ in range(i + 1)]
        for moment in moments:
            if not folder.exists():
                killed_runs.kill_after(moment, recipe, folder)
        if not folder.exists():  # one that was over before it could be killed has to be right, too
            killed_runs.finish(recipe, folder)
        if (folder / PRIVATE).exists():  # killed once its folder stood in its place: the next command removes it
            killed_runs.refused(recipe, folder)
        assert killed_runs.content(folder) == whole, f"killed after {moments} of {took} s"
        assert not partial_of(folder).exists()
