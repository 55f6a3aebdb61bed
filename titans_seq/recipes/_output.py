"""A run's folder: complete, or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MARKS = ("recipe.yaml", "metrics.json")  # an earlier run's folder holds these


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse to write where something stands already.

    Raises
    ------
    FileExistsError
        The folder exists and may not be replaced; or it is no earlier run's, which is never replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not all((folder / name).is_file() for name in _MARKS):
        raise FileExistsError(f"{folder} exists and is not the folder of an earlier run; choose another one")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier run; add --overwrite or choose another folder")


@contextmanager
def run_folder(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` when the block ends well, and vanishes when it does not.

    It stands beside `folder`, so that the last step is one rename.
    """
    check_free(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".partial", dir=folder.parent))
    try:
        partial.chmod(0o777 & ~_umask())
        yield partial
        check_free(folder, overwrite)
        _replace(folder, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(folder: Path, partial: Path) -> None:
    """Put the new folder in the place of the old one; the old one comes back if that fails."""
    if not folder.exists():
        partial.rename(folder)
        return
    old = partial.with_suffix(".old")
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
