"""Checkpoints: what a training goes on from after its process was killed. Safetensors and JSON, never pickle."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

EVERY = 10.0
"""Seconds from one checkpoint to the next; more where writing one takes long."""
SHARE = 0.01
"""Share of the time that writing may take."""
_SUFFIX, _FACTS = ".safetensors", "facts"


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: tensors by name, and everything else as JSON values."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose name begins with ``prefix``, without it."""
        return {name.removeprefix(prefix): x for name, x in self.tensors.items() if name.startswith(prefix)}


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by ``prefix`` + name."""
    return {prefix + name: x for name, x in tensors.items()}


class Checkpoint:
    """A folder with the files of one fit, each of which is there whole or not at all; and the clock of that fit.

    Parameters
    ----------
    folder : Path
        Made with the first file.

    Attributes
    ----------
    earlier : float
        Seconds that earlier processes had spent when the last of the files was written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.earlier = max((_read(file, facts_only=True).facts["elapsed"] for file in self._files()), default=0.0)
        self.began = self._written = time.monotonic()
        self._pause = EVERY

    def at(self, name: str, **notes: Any) -> Place:
        """Return the place of a file; notes are written with everything that is saved there."""
        return Place(self, name, notes)

    def below(self, name: str) -> Checkpoint:
        """Return the checkpoint of another fit of the same run, with a clock of its own."""
        return Checkpoint(self.folder / name)

    def is_empty(self) -> bool:
        """Whether nothing was saved, also of other fits of the run."""
        return not any(self.folder.rglob(f"*{_SUFFIX}"))

    def elapsed(self) -> float:
        """Return the seconds since the fit began, those of earlier processes included, not those between them."""
        return self.earlier + time.monotonic() - self.began

    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self._written >= self._pause

    def write(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a file; see `Place.save`."""
        began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        # Copies: safetensors wants no two tensors to share storage.
        own = {key: x.detach().cpu().clone().contiguous() for key, x in tensors.items()}
        text = json.dumps({**facts, "elapsed": self.elapsed()})
        _replace(self.folder / f"{name}{_SUFFIX}", save(own, {_FACTS: text}))
        self._written = time.monotonic()
        self._pause = max(EVERY, (self._written - began) / SHARE)

    def read(self, name: str) -> Saved | None:
        """Read a file; see `Place.load`."""
        file = self.folder / f"{name}{_SUFFIX}"
        return _read(file) if file.exists() else None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))


@dataclass(frozen=True)
class Place:
    """One file of a checkpoint."""

    checkpoint: Checkpoint
    name: str
    notes: Mapping[str, Any] = field(default_factory=dict)

    def due(self) -> bool:
        """Whether it is time to save."""
        return self.checkpoint.due()

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write the file, in the place of an earlier one; it is on the disk when this returns.

        Raises
        ------
        OSError
            It cannot be written; the earlier one is as it was.
        """
        self.checkpoint.write(self.name, tensors, {**facts, **self.notes})

    def load(self) -> Saved | None:
        """Read the file; None where there is none.

        Raises
        ------
        ValueError
            It is damaged.
        """
        return self.checkpoint.read(self.name)


def _read(file: Path, *, facts_only: bool = False) -> Saved:
    try:
        with safe_open(file, framework="pt") as opened:
            facts = json.loads((opened.metadata() or {})[_FACTS])
            names = [] if facts_only else opened.keys()
            # Copies: the file may be replaced while what was read of it lives on.
            return Saved({name: opened.get_tensor(name).clone() for name in names}, facts)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"the checkpoint {file} is damaged: {error}") from None


def _replace(file: Path, content: bytes) -> None:
    """Write beside the file, down to the disk, and put it in its place in one step."""
    part = file.with_suffix(".part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the name of a file down to the disk, where folders can be opened."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(number)
    except OSError:
        pass
    finally:
        os.close(number)
