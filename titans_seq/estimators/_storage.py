"""Saving and loading: safetensors for numbers, JSON for the rest; nothing that can run code."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

TENSORS, DESCRIPTION, FORMAT = "model.safetensors", "model.json", 1


def write_model(path: str | os.PathLike[str], tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write a model folder; it appears whole or not at all.

    Raises
    ------
    FileExistsError
        If ``path`` exists and is not an earlier model folder.
    """
    target = Path(path)
    if target.exists():
        _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        save_file({name: x.detach().cpu().contiguous() for name, x in tensors.items()}, temporary / TENSORS)
        head = {"format": FORMAT, "sha256": _sha256(temporary / TENSORS)}
        text = json.dumps(head | description | head, indent=2, allow_nan=False, default=_plain)
        (temporary / DESCRIPTION).write_text(text + "\n")
        temporary.chmod(0o755)
        for name in (TENSORS, DESCRIPTION):
            (temporary / name).chmod(0o644)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a model folder.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its two files is missing.
    ValueError
        If a file is damaged or of another format.
    """
    folder = Path(path)
    for name in (DESCRIPTION, TENSORS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no saved model at {folder}: {name} is missing")
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
    except ValueError as error:
        raise ValueError(f"{folder / DESCRIPTION} is damaged: {error}") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else type(description).__name__
        raise ValueError(f"{folder / DESCRIPTION} is not a model of format {FORMAT}, found {found!r}")
    if description.get("sha256") != _sha256(folder / TENSORS):
        raise ValueError(f"{folder / TENSORS} is damaged: its checksum is not the one in {DESCRIPTION}")
    try:
        # Copies begin where torch lets tensors begin; the last bits of sums depend on that on some processors.
        tensors = {name: x.clone() for name, x in load_file(folder / TENSORS).items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{folder / TENSORS} is damaged: {error}") from None
    return tensors, description


def _check_replaceable(target: Path) -> None:
    entries = sorted(p.name for p in target.iterdir()) if target.is_dir() else []
    if entries != [DESCRIPTION, TENSORS]:
        raise FileExistsError(f"{target} exists and is not a saved model; choose another path or remove it")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """Turn numpy scalars into what JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be saved as JSON")


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose name begins with ``prefix``, without it."""
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


def as_tensors(prefix: str, arrays: dict[str, Any]) -> dict[str, Tensor]:
    """Turn arrays into tensors named ``prefix`` + name."""
    return {prefix + name: torch.as_tensor(x) for name, x in arrays.items()}
