"""A run's folder: complete, or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_seq.training.launch import is_main, wait_for_others

_MARKS = ("recipe.yaml", "metrics.json")  # an earlier run's folder holds these
_MODEL = ("model", "model/model.safetensors", "model/model.json")
_FORECAST, _RECALL = ("predictions.parquet", "forecast.png"), ("history.parquet", "recall.png")
_DNA = ("predictions.parquet", "scores.png")
WRITTEN = frozenset({*_MARKS, *_MODEL, *_FORECAST, *_RECALL, *_DNA, "environment.json", "report.html"})


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and the content of metrics.json."""

    folder: Path
    metrics: dict[str, Any]


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse to write where something stands already.

    Raises
    ------
    FileExistsError
        The folder exists and may not be replaced; or it is no earlier run's, or holds something that no run
        writes: those are never replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not all((folder / name).is_file() for name in _MARKS):
        raise FileExistsError(f"{folder} exists and is not the folder of an earlier run; choose another one")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier run; add --overwrite or choose another folder")
    for entry in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")):
        if entry not in WRITTEN:
            raise FileExistsError(f"{folder} holds {entry!r}, which no run writes; move it or choose another folder")


@contextmanager
def run_folder(folder: Path, overwrite: bool, check: Callable[[Path, bool], None] | None = None) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` when the block ends well, and vanishes when it does not.

    It stands beside `folder`, so that the last step is one rename. A symbolic link is followed: the folder it
    points at is the one that is replaced.

    Parameters
    ----------
    folder : Path
    overwrite : bool
    check : callable, optional
        Refuses to write where something else stands; default `check_free`.

    Raises
    ------
    FileExistsError
        See `check_free`.
    ValueError
        The folder cannot be made or written; the message says why.
    """
    if not is_main():  # of a run in several processes one writes
        (check or check_free)(folder, overwrite)  # where that one fails, this one need not begin
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
            wait_for_others()
        return
    target, check = _target(folder), check or check_free
    check(folder, overwrite)
    made = [parent for parent in target.parents if not parent.exists()]
    finished = False
    partial = _make_partial(folder, target, made)
    try:
        yield partial
        wait_for_others()
        check(folder, overwrite)
        _replace(target, partial)
        finished = True
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not finished:
            _remove_empty(made)


def _target(folder: Path) -> Path:
    """Return the folder with all symbolic links followed."""
    try:
        with suppress(FileNotFoundError):
            folder.lstat()  # a name that the file system refuses
        if folder.is_symlink() and not folder.exists():
            raise ValueError(f"{folder}: no run can be written there: it is a symbolic link to nothing")
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise _unwritable(folder, error) from None


def _make_partial(folder: Path, target: Path, made: list[Path]) -> Path:
    """Make the temporary folder, and the folders above it; what was made goes again if that fails."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Cut, for names near the longest that file systems allow.
        partial = tempfile.mkdtemp(prefix=f".{target.name[:40]}-", suffix=".partial", dir=target.parent)
        os.chmod(partial, 0o777 & ~_umask())
    except OSError as error:
        _remove_empty(made)
        raise _unwritable(folder, error) from None
    return Path(partial)


def _unwritable(folder: Path, error: Exception) -> ValueError:
    reason = error.strerror if isinstance(error, OSError) else None
    return ValueError(f"{folder}: no run can be written there: {reason or error}")


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _replace(folder: Path, partial: Path) -> None:
    """Put the new folder in the place of the old one; the old one comes back if that fails."""
    if not folder.exists():
        partial.rename(folder)
        return
    old = partial.with_suffix(".old")
    try:
        folder.rename(old)
        partial.rename(folder)
    finally:  # also on an interruption between the two
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping; its order is kept."""
    import yaml

    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a mapping whose numbers must be finite."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
