"""Files of tensors: safetensors, all else as JSON in its metadata; nothing that can run code."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FORMAT = "titans_seq.BackboneState 1"


def write(path: str | os.PathLike[str], tensors: Mapping[str, Tensor], state: Any, about: Mapping[str, str]) -> None:
    """Write a file; it appears whole or not at all.

    Parameters
    ----------
    path : path
        Folders that it lacks are made; a file that stands there is replaced.
    tensors : mapping from str to Tensor
    state : JSON value
        How they hang together.
    about : mapping from str to str
        What wrote them.

    Raises
    ------
    OSError
        If it cannot be written there, with its path.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # the layers need torch only

    target = Path(path)
    # Copies: safetensors wants no two tensors to share storage, and a view would be written with what it is a view of.
    own = {name: x.detach().cpu().clone(memory_format=torch.contiguous_format) for name, x in tensors.items()}
    head = {"format": FORMAT, "state": json.dumps(state), "about": json.dumps(about)}
    head["sha256"] = digest(own, head["state"], head["about"])
    part = _begun(target)
    try:
        save_file(own, part, metadata=head)
        part.replace(target)
    except SafetensorError as error:
        raise OSError(f"{target} cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def _begun(target: Path) -> Path:
    """Make an empty file beside the target, and the folders that it lacks."""
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
    except OSError as error:
        # That its folder exists is no fault: that it is a file is.
        number = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno
        raise OSError(number, os.strerror(number or 0), str(target)) from None
    return part


def read(path: str | os.PathLike[str], device: torch.device) -> tuple[dict[str, Tensor], Any, dict[str, str]]:
    """Return the tensors, how they hang together, and what wrote them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    target = Path(path)
    if not target.is_file():
        raise FileNotFoundError(f"no saved state at {target}")
    try:
        with safe_open(target, framework="pt") as file:
            head = file.metadata() or {}
            # Copies: the file may be replaced while what was read of it lives on.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{target} is damaged or no safetensors file: {error}") from None
    if head.get("format") != FORMAT:
        raise ValueError(f"{target} holds no state of format {FORMAT!r}, found {head.get('format')!r}")
    if head.get("sha256") != digest(tensors, head.get("state", ""), head.get("about", "")):
        raise ValueError(f"{target} is damaged: what it holds does not have the checksum written with it")
    tensors = {name: x.to(device) for name, x in tensors.items()}
    return tensors, json.loads(head["state"]), json.loads(head["about"])


def digest(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """SHA-256 of texts, and of the names, shapes, dtypes and bits of tensors."""
    found = hashlib.sha256("\n".join(texts).encode())
    for name in sorted(tensors):
        x = tensors[name].detach().cpu().contiguous()
        found.update(f"\n{name} {x.dtype} {tuple(x.shape)}\n".encode())
        found.update(x.view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
