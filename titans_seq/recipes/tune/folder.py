"""The folder of a study: it grows while the study does, and another study's is never touched."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

MARK = "study.json"
JOURNAL = "study.journal"
_PARTIAL = ".titans-seq-"


def take_folder(folder: Path, name: str) -> None:
    """Make the folder of a study, or go on in it.

    Raises
    ------
    FileExistsError
        It is something else's.
    ValueError
        It cannot be made or written.
    """
    found = _entries(folder)  # before the mark is looked at: another command may be making this folder just now
    known = _study_in(folder)
    if known == name:
        return
    if known is not None:
        raise FileExistsError(
            f"{folder} holds a study of another recipe, or of this one before it or its data changed; "
            "choose another --output-dir"
        )
    if found:
        raise FileExistsError(f"{folder} exists and is not the folder of a study; choose another --output-dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / MARK, json.dumps({"study": name}) + "\n")
    except OSError as error:
        raise ValueError(f"{folder}: no study can be written there: {error.strerror or error}") from None


def _entries(folder: Path) -> list[str]:
    """Return what stands in a folder, or the file of its name; files that are being written are left out."""
    try:
        return [path.name for path in folder.iterdir() if not path.name.startswith(_PARTIAL)]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return [folder.name] if folder.exists() else []


def _study_in(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / MARK).read_text(encoding="utf-8"))["study"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_file(path: Path, content: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(content, encoding="utf-8")


def write_facts(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """Write what is known of the study beside its name."""
    write_file(folder / MARK, json.dumps({"study": name, **facts}, indent=2, allow_nan=False) + "\n")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a file to write that takes the place of ``path`` when the block ends well; other processes may do the same.

    Its ending is that of ``path``.
    """
    handle, name = tempfile.mkstemp(prefix=_PARTIAL, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
