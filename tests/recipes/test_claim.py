"""One process at a time writes a run's folder; one that was killed loses nothing that was there before."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import titans_seq
from titans_seq.recipes._claim import PRIVATE, partial_of
from titans_seq.recipes._output import KEPT, run_folder, work_folder

IDENTITY = {"recipe": "r", "data": "d", "versions": "v", "processes": "1 process"}


def write_run(folder: Path, content: str = "{}", overwrite: bool = False) -> None:
    with run_folder(folder, overwrite) as partial:
        for name in ("recipe.yaml", "metrics.json"):
            (partial / name).write_text(content)


def break_off(folder: Path, error: BaseException, identity: dict[str, str] = IDENTITY) -> None:
    """Leave a run after its first checkpoint."""
    with pytest.raises(type(error)), work_folder(folder, False) as work:
        work.checkpoint(identity).at("network").save({"x": torch.ones(2)}, {"step": 3})
        (work.path / "metrics.json").write_text("half")
        raise error


def in_a_process(script: str, *arguments: str) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": str(Path(titans_seq.__file__).parents[1])}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


HOLD = """
import sys
from pathlib import Path
from titans_seq.recipes._output import run_folder
with run_folder(Path(sys.argv[1]), False) as partial:
    print("begun", flush=True)
    sys.stdin.readline()
    for name in ("recipe.yaml", "metrics.json"):
        (partial / name).write_text("first")
"""


def test_the_second_of_two_runs_in_one_folder_is_refused_and_the_first_unharmed(tmp_path: Path) -> None:
    first = in_a_process(HOLD, str(tmp_path / "a"))
    assert first.stdout is not None and first.stdout.readline() == "begun\n"
    with pytest.raises(FileExistsError, match=f"a: process {first.pid} on .* is writing there; wait for it, or") as it:
        write_run(tmp_path / "a")
    assert "\n" not in str(it.value)
    first.communicate("go\n")
    assert first.returncode == 0
    assert (tmp_path / "a" / "metrics.json").read_text() == "first"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_two_runs_within_one_process_are_kept_apart_too(tmp_path: Path) -> None:
    with run_folder(tmp_path / "a", False):
        with pytest.raises(FileExistsError, match=f"process {os.getpid()} on"):
            write_run(tmp_path / "a")
        write_run(tmp_path / "b")


def test_a_process_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    first = in_a_process(HOLD, str(tmp_path / "a"))
    assert first.stdout is not None and first.stdout.readline() == "begun\n"
    first.kill()
    first.communicate()
    assert partial_of(tmp_path / "a").is_dir()
    write_run(tmp_path / "a", "second")
    assert (tmp_path / "a" / "metrics.json").read_text() == "second"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


DIE_IN_RENAME = """
import os, signal, sys
from pathlib import Path
from titans_seq.recipes._output import run_folder
rename, calls = Path.rename, []
def deadly(self, target):
    calls.append(self)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = deadly
import shutil
remove = shutil.rmtree
shutil.rmtree = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL) if len(calls) == 2 else remove(*a, **k)
with run_folder(Path(sys.argv[1]), True) as partial:
    for name in ("recipe.yaml", "metrics.json"):
        (partial / name).write_text("new")
"""


@pytest.mark.parametrize(("call", "left"), [(1, "old"), (2, "old"), (3, "new")])
def test_a_kill_while_the_folder_is_put_in_place_loses_neither_run(tmp_path: Path, call: int, left: str) -> None:
    """Before the old one is moved, between the two renames, and while the old one is removed."""
    write_run(tmp_path / "a", "old")
    run = in_a_process(DIE_IN_RENAME, str(tmp_path / "a"), str(call))
    run.communicate()
    assert run.returncode == -signal.SIGKILL
    with pytest.raises(FileExistsError, match="a holds an earlier run; add --overwrite"):
        write_run(tmp_path / "a")
    assert (tmp_path / "a" / "metrics.json").read_text() == left
    assert not (tmp_path / "a" / PRIVATE).exists()
    write_run(tmp_path / "a", "newest", overwrite=True)
    assert (tmp_path / "a" / "metrics.json").read_text() == "newest"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_what_no_run_has_made_is_not_touched_though_it_has_the_name(tmp_path: Path) -> None:
    mine = partial_of(tmp_path / "a")
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"\.a\.partial is in the way, and no run has made it; move it"):
        write_run(tmp_path / "a")
    assert (mine / "thesis.tex").read_text() == "years of work"


def test_long_names_that_begin_alike_are_kept_apart(tmp_path: Path) -> None:
    first, second = (tmp_path / ("n" * 254 + end) for end in "ab")
    assert partial_of(first) != partial_of(second)
    with run_folder(first, False):
        write_run(second)
    assert len(partial_of(tmp_path / ("ü" * 127)).name.encode()) <= 255


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), RuntimeError("a bug")])
def test_a_run_that_is_broken_off_keeps_its_checkpoint_and_says_so(tmp_path: Path, error: BaseException) -> None:
    break_off(tmp_path / "runs" / "a", error)
    (note,) = error.__notes__
    assert note.startswith(KEPT)
    assert str(partial_of(tmp_path / "runs" / "a")) in note
    assert [path.name for path in partial_of(tmp_path / "runs" / "a").iterdir()] == [PRIVATE]
    with work_folder(tmp_path / "runs" / "a", False) as work:
        saved = work.checkpoint(IDENTITY).at("network").load()
        assert saved is not None and saved.facts["step"] == 3
        assert saved.tensors["x"].tolist() == [1, 1]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]
    assert list((tmp_path / "runs" / "a").iterdir()) == []


def test_a_run_that_is_itself_at_fault_leaves_nothing(tmp_path: Path) -> None:
    break_off(tmp_path / "a", ValueError("it diverged"))
    assert list(tmp_path.iterdir()) == []


def test_a_fault_before_training_costs_no_checkpoint(tmp_path: Path) -> None:
    break_off(tmp_path / "a", KeyboardInterrupt())
    with pytest.raises(ValueError), work_folder(tmp_path / "a", False):
        raise ValueError("the data file is not there just now")
    with work_folder(tmp_path / "a", False) as work:
        assert not work.checkpoint(IDENTITY).is_empty()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"recipe": "s"}, "the recipe has changed"),
        ({"data": "e"}, "the data have changed"),
        ({"versions": "w"}, "it is one of v, and these are w"),
    ],
)
def test_a_checkpoint_of_something_else_is_not_used_and_the_user_told(
    tmp_path: Path, changed: dict[str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    break_off(tmp_path / "a", KeyboardInterrupt())
    with work_folder(tmp_path / "a", False) as work:
        checkpoint = work.checkpoint(IDENTITY | changed, quiet=False)
        assert checkpoint.is_empty()
        assert checkpoint.earlier == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"{tmp_path / 'a'}: a run was broken off here, but begins anew: {reason}"


def test_a_damaged_checkpoint_is_not_used_and_the_user_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_off(tmp_path / "a", KeyboardInterrupt())
    (file,) = partial_of(tmp_path / "a").rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-3])
    with work_folder(tmp_path / "a", False) as work:
        assert work.checkpoint(IDENTITY, quiet=False).is_empty()
    (line,) = capsys.readouterr().err.splitlines()
    assert "begins anew: its checkpoint is damaged" in line


def test_one_that_is_gone_on_from_is_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    break_off(tmp_path / "a", KeyboardInterrupt())
    with work_folder(tmp_path / "a", False) as work:
        work.checkpoint(IDENTITY, quiet=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("a run was broken off here; going on from what 0 s of fitting had reached")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as nobody: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_rights_is_one_line_and_keeps_what_it_holds(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_run(runs / "a", "old")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if os.geteuid() == 0:
            folder.chmod(0o755)
    runs.chmod(0o555)
    with unprivileged():
        for name, overwrite in (("a", True), ("b", False), ("b/c", False)):
            with pytest.raises(ValueError, match=f"{name}: no run can be written there: Permission denied"):
                write_run(runs / name, "new", overwrite)
    assert [path.name for path in runs.iterdir()] == ["a"]
    assert (runs / "a" / "metrics.json").read_text() == "old"


def test_nothing_is_left_where_the_hidden_folder_cannot_be_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def full(self: Path, *args: Any, **options: Any) -> None:
        if self.name == PRIVATE:
            make(self.parent, parents=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        make(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(ValueError, match="a: no run can be written there: No space left on device"):
        write_run(tmp_path / "runs" / "a")
    assert list(tmp_path.iterdir()) == []
