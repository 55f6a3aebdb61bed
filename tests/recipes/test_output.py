"""A run's folder is complete or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from titans_seq.recipes._output import check_free, run_folder


def write_run(folder: Path, content: str = "{}", overwrite: bool = False) -> None:
    with run_folder(folder, overwrite) as partial:
        for name in ("recipe.yaml", "metrics.json"):
            (partial / name).write_text(content)


def test_nothing_stands_at_the_place_before_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    with run_folder(folder, False) as partial:
        assert not folder.exists()
        assert partial.parent == folder.parent
        (partial / "x").write_text("1")
    assert (folder / "x").read_text() == "1"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), run_folder(tmp_path / "a", False) as partial:
        (partial / "x").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_run_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "old")
    with pytest.raises(FileExistsError, match="a holds an earlier run; add --overwrite"):
        write_run(tmp_path / "a", "new")
    assert (tmp_path / "a" / "metrics.json").read_text() == "old"
    write_run(tmp_path / "a", "new", overwrite=True)
    assert (tmp_path / "a" / "metrics.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_failed_overwrite_keeps_the_earlier_run(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "old")
    with pytest.raises(RuntimeError), run_folder(tmp_path / "a", True):
        raise RuntimeError
    assert (tmp_path / "a" / "metrics.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_what_is_no_run_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="is not the folder of an earlier run"):
        check_free(tmp_path / "a", True)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file exists and is not the folder"):
        check_free(tmp_path / "file", True)


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_run(tmp_path / "a")
    assert (tmp_path / "a" / "metrics.json").exists()
