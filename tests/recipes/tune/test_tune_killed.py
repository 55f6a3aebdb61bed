"""Killed at any moment, a study loses no trial and repeats none."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tuned_recipes import check_complete, start_tune, study_in, wait_until, write_recipe

from titans_seq.estimators.searching.liveness import started

pytestmark = pytest.mark.slow


def finished(journal: Path) -> int:
    return sum(trial.state.is_finished() for trial in study_in(journal).trials) if _is_there(journal) else 0


def _is_there(journal: Path) -> bool:
    return journal.exists() and b"study_name" in journal.read_bytes()


def test_two_processes_one_killed_half_way_and_begun_again(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    arguments = ("--trials", "24", "--quiet")
    journal = tmp_path / "runs/tune-r/study.journal"
    one, other = start_tune(tmp_path, *arguments), start_tune(tmp_path, *arguments)
    wait_until(lambda: finished(journal) >= 6)
    one.send_signal(signal.SIGKILL)
    one.communicate()
    again = start_tune(tmp_path, *arguments)
    for process in (other, again):
        out, error = process.communicate(timeout=300)
        assert (process.returncode, out, error) == (0, "", "")
    check_complete(study_in(journal), 24)
    assert len((tmp_path / "runs/tune-r/study.csv").read_text().splitlines()) == 1 + 24


def test_the_only_process_is_killed_and_its_trials_with_it(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    arguments = ("--trials", "10", "--workers", "2", "--quiet")
    journal = tmp_path / "runs/tune-r/study.journal"
    one = start_tune(tmp_path, *arguments)
    wait_until(lambda: finished(journal) >= 3)
    children = _children(one.pid)
    assert len(children) == 2
    one.send_signal(signal.SIGKILL)
    one.communicate()
    wait_until(lambda: all(started(pid) is None for pid in children))
    left = [trial.number for trial in study_in(journal).trials if trial.state.name == "RUNNING"]
    again = start_tune(tmp_path, *arguments)
    out, error = again.communicate(timeout=300)
    assert (again.returncode, out, error) == (0, "", "")
    study = study_in(journal)
    check_complete(study, 10)
    assert all(study.trials[number].user_attrs["given_up"] for number in left)


def test_an_interrupted_command_says_how_to_go_on(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    journal = tmp_path / "runs/tune-r/study.journal"
    one = start_tune(tmp_path, "--trials", "400")
    wait_until(lambda: finished(journal) >= 1)
    one.send_signal(signal.SIGTERM)
    out, error = one.communicate(timeout=120)
    assert (one.returncode, out) == (143, "")
    assert error == "interrupted: the same command goes on with the study\n"
    done = sum(trial.state.name == "COMPLETE" for trial in study_in(journal).trials)
    again = start_tune(tmp_path, "--trials", str(done + 1), "--quiet")
    assert again.communicate(timeout=300) == ("", "")
    check_complete(study_in(journal), done + 1)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] or [
        int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()
    ]
