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
from safetensors.torch import load, save
from torch import Tensor

from titans_seq.training.ranks import ALONE, Ranks

EVERY = 10.0
"""Seconds from one checkpoint to the next; more where writing one takes long."""
SHARE = 0.01
"""Share of the time that writing may take."""
_SUFFIX, _FACTS, _OWN = ".safetensors", "facts", "own"


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: tensors by name, and everything else as JSON values."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose name begins with ``prefix``, without it."""
        return {name.removeprefix(prefix): x for name, x in self.tensors.items() if name.startswith(prefix)}

    def of_rank(self, rank: int) -> Saved:
        """Return what is the same for all processes that were saved together, and what is this one's own."""
        shared = {name: x for name, x in self.tensors.items() if not name.startswith(f"{_OWN}.")}
        facts = {name: value for name, value in self.facts.items() if name != _OWN}
        own = self.facts[_OWN]
        return Saved(shared | self.part(f"{_OWN}.{rank}."), facts | (own[rank] if own else {}))


NOTHING = Saved({}, {})


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by ``prefix`` + name."""
    return {prefix + name: x for name, x in tensors.items()}


class Checkpoint:
    """A folder with the files of one fit, each of which is there whole or not at all; and the clock of that fit.

    Of several processes the first one writes the files, with what is the other ones' own in them: no file can hold
    parts of two steps. When to write, what is read, and whether there is anything, is decided by the first one, too.

    Parameters
    ----------
    folder : Path
        Made with the first file.
    ranks : Ranks, default one process
        Processes that fit together; see `join`.

    Attributes
    ----------
    earlier : float
        Seconds that earlier processes had spent when the last of the files was written.
    """

    def __init__(self, folder: Path, ranks: Ranks = ALONE) -> None:
        self.folder, self.ranks = folder, ranks
        self.earlier = max((_facts_of(file)["elapsed"] for file in self._files()), default=0.0)
        self.began, self._pause = time.monotonic(), EVERY
        self.join(ranks)

    def join(self, ranks: Ranks) -> None:
        """Keep the state of all these processes from here on; each of them has to call it, and all that follows."""
        self.ranks, self.earlier = ranks, ranks.same(float(self.earlier))
        self._written = time.monotonic()  # that starting the others takes long is no reason to save

    def at(self, name: str, **notes: Any) -> Place:
        """Return the place of a file; notes are written with everything that is saved there."""
        return Place(self, name, notes)

    def below(self, name: str) -> Checkpoint:
        """Return the checkpoint of another fit of the same run, with a clock of its own."""
        return Checkpoint(self.folder / name, self.ranks)

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
        _replace(self.folder / f"{name}{_SUFFIX}", _packed(tensors, {**facts, "elapsed": self.elapsed()}))
        self._written = time.monotonic()
        self._pause = max(EVERY, (self._written - began) / SHARE)

    def read(self, name: str) -> Saved | None:
        """Read a file; see `Place.load`."""
        file = self.folder / f"{name}{_SUFFIX}"
        content = file.read_bytes() if self.ranks.rank == 0 and file.exists() else b""
        content = self.ranks.from_first(content)
        return _unpacked(content, file).of_rank(self.ranks.rank) if content else None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))


@dataclass(frozen=True)
class Place:
    """One file of a checkpoint; of several processes each has to call whatever one calls."""

    checkpoint: Checkpoint
    name: str
    notes: Mapping[str, Any] = field(default_factory=dict)

    def due(self) -> bool:
        """Whether it is time to save."""
        return self.checkpoint.ranks.same(self.checkpoint.due())

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], own: Saved = NOTHING) -> None:
        """Write the file, in the place of an earlier one; it is on the disk when this returns to the first process.

        Parameters
        ----------
        tensors, facts : mapping
            What is the same for all processes: those of the first one are written.
        own : Saved, optional
            What is the own of each; no name of ``tensors`` or ``facts`` is in it.

        Raises
        ------
        OSError
            It cannot be written; the earlier one is as it was.
        """
        ranks = self.checkpoint.ranks
        parts = [] if own is NOTHING else _gathered(own, ranks)
        if ranks.rank == 0:
            each = {f"{_OWN}.{i}.{name}": x for i, part in enumerate(parts) for name, x in part.tensors.items()}
            about = {**facts, **self.notes, _OWN: [part.facts for part in parts]}
            self.checkpoint.write(self.name, {**tensors, **each}, about)

    def load(self) -> Saved | None:
        """Read the file; None where there is none.

        Raises
        ------
        ValueError
            It is damaged.
        """
        return self.checkpoint.read(self.name)


def _gathered(own: Saved, ranks: Ranks) -> list[Saved]:
    """Return what every process has of its own."""
    if ranks.alone:
        return [own]
    return [_unpacked(content) for content in ranks.gather_bytes(_packed(own.tensors, own.facts))]


def _packed(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """Return the content of a file."""
    # Copies: safetensors wants no two tensors to share storage.
    own = {key: x.detach().cpu().clone().contiguous() for key, x in tensors.items()}
    return save(own, {_FACTS: json.dumps(facts)})


def _unpacked(content: bytes, file: Path | None = None) -> Saved:
    """Put together what `_packed` took apart; the file is named in errors."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return Saved(load(content), json.loads(header["__metadata__"][_FACTS]))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"the checkpoint {file} is damaged: {error}") from None


def _facts_of(file: Path) -> dict[str, Any]:
    """Return the facts of a file, whose tensors are not read."""
    try:
        with safe_open(file, framework="pt") as opened:
            facts: dict[str, Any] = json.loads((opened.metadata() or {})[_FACTS])
            return facts
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
