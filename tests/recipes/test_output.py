"""A run's folder is complete or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from titans_seq.recipes._output import WRITTEN, check_free, run_folder


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


@pytest.mark.parametrize("entry", ["notes.txt", "model/notes.txt"])
def test_an_entry_that_no_run_writes_protects_the_folder(tmp_path: Path, entry: str) -> None:
    write_run(tmp_path / "a", "old")
    (tmp_path / "a" / "model").mkdir()
    (tmp_path / "a" / entry).write_text("mine")
    with pytest.raises(FileExistsError, match=f"a holds '{entry}', which no run writes"):
        write_run(tmp_path / "a", "new", overwrite=True)
    assert (tmp_path / "a" / entry).read_text() == "mine"
    assert (tmp_path / "a" / "metrics.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_everything_that_a_run_writes_can_be_replaced(tmp_path: Path) -> None:
    with run_folder(tmp_path / "a", False) as partial:
        (partial / "model").mkdir()
        for name in WRITTEN - {"model"}:
            (partial / name).write_text("old")
    write_run(tmp_path / "a", "new", overwrite=True)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"recipe.yaml", "metrics.json"}


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "there" / "run", tmp_path / "here" / "link"
    write_run(target, "old")
    link.parent.mkdir()
    link.symlink_to(target)
    write_run(link, "new", overwrite=True)
    assert link.is_symlink()
    assert (target / "metrics.json").read_text() == "new"
    assert list(link.parent.iterdir()) == [link]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file/a", "Not a directory"),
        ("file/a/b", "Not a directory"),
        ("n" * 300, "[Ff]ile ?name too long"),
        ("nowhere", "it is a symbolic link to nothing"),
        ("loop", "[Ss]ymlink loop|symbolic link to nothing|symbolic links"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"{name}: no run can be written there: .*(?:{reason})") as caught:
        write_run(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert set(tmp_path.iterdir()) == before


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    write_run(tmp_path / ("n" * 255))
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_folders_made_on_the_way_vanish_with_a_failed_run(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(RuntimeError), run_folder(tmp_path / "kept" / "b" / "c" / "d", False):
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]


def test_an_interruption_between_the_renames_keeps_the_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "a", "old")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_run(tmp_path / "a", "new", overwrite=True)
    assert (tmp_path / "a" / "metrics.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
