"""The folder of a study: for one study, and shared by all that work on it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from titans_seq.recipes.tune.folder import take_folder, whole_file, write_facts


def test_commands_that_begin_at_the_same_moment_share_the_folder(tmp_path: Path) -> None:
    faults: list[BaseException] = []

    def take(folder: Path) -> None:
        try:
            for _ in range(20):
                take_folder(folder, "r-1")
                (folder / "study.journal").touch()
        except BaseException as error:
            faults.append(error)

    for i in range(20):
        threads = [threading.Thread(target=take, args=(tmp_path / f"runs/{i}",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not faults
    assert sorted(path.name for path in (tmp_path / "runs/0").iterdir()) == ["study.journal", "study.json"]


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "before")]


def test_facts_keep_the_name_of_the_study(tmp_path: Path) -> None:
    take_folder(tmp_path / "x", "r-1")
    write_facts(tmp_path / "x", "r-1", {"trials": 3})
    assert json.loads((tmp_path / "x/study.json").read_text()) == {"study": "r-1", "trials": 3}
    take_folder(tmp_path / "x", "r-1")
    with pytest.raises(FileExistsError, match="another recipe"):
        take_folder(tmp_path / "x", "r-2")


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(FileExistsError, match="is not the folder of a study"):
        take_folder(tmp_path / "x", "r-1")
    with pytest.raises(ValueError, match="no study can be written there"):
        take_folder(tmp_path / "x" / "y", "r-1")
