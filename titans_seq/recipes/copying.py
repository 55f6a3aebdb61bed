"""Recipes to edit: a copy of one that is there, with the schema from which an editor completes beside it."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from titans_seq.recipes._output import _umask
from titans_seq.recipes._yaml import read_text
from titans_seq.recipes.json_schema import SCHEMA_FILE, TITLE, schema_text
from titans_seq.recipes.load import find_recipe


def copy_recipe(name_or_path: str | Path, destination: Path | None = None) -> Path:
    """Copy a recipe to a file that does not exist yet, and the schema beside it.

    Parameters
    ----------
    name_or_path : str or Path
        A shipped recipe's name (see `list_recipes`) or a YAML file.
    destination : Path, optional
        The file, or a folder for it. Default: <name>.yaml in the working folder.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    FileNotFoundError
        There is no such recipe.
    FileExistsError
        The file is there already.
    ValueError
        It cannot be written.
    """
    source = find_recipe(name_or_path)
    target = Path(source.name) if destination is None else destination
    target = target / source.name if target.is_dir() else target
    write_recipe(target, _renamed(read_text(source), source, target))
    return target


def _renamed(text: str, source: Path, target: Path) -> str:
    """Let the copy name itself in the command of its header, and write to a folder of its own."""
    text = text.replace(f"titans-seq run {source.stem} ", f"titans-seq run {target} ")
    text = text.replace(f"titans-seq run {source.stem}\n", f"titans-seq run {target}\n")
    return re.sub(rf"^(  dir: runs/){re.escape(source.stem)}$", rf"\g<1>{target.stem}", text, flags=re.MULTILINE)


def check_new(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file for a recipe that is there already or cannot be.

    Raises
    ------
    FileExistsError, ValueError
        See `copy_recipe`.
    """
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(f"{path}: recipes end in .yaml; choose another name")
    if path.is_dir() or (path.exists() and not overwrite):
        raise FileExistsError(f"{path} exists; choose another file")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")


def write_recipe(path: Path, text: str) -> None:
    """Write a recipe whole or not at all, and the schema beside it unless something else has its name."""
    check_new(path)
    beside = path.parent / SCHEMA_FILE
    if not beside.exists() or TITLE in _start_of(beside):  # first: without the recipe it does no harm
        _write(beside, schema_text())
    _write(path, text)


def _start_of(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")[:500]
    return ""


def _write(path: Path, text: str) -> None:
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}-", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
