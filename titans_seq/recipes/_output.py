"""A run's folder: complete, or not there at all."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes._claim import PRIVATE, Claim, ForeignError, TakenError, partial_of
from titans_seq.recipes._identity import Identity, change
from titans_seq.training.launch import is_main, wait_for_others

if TYPE_CHECKING:
    from titans_seq.training.checkpoint import Checkpoint

KEPT = "what was reached is kept in"
CHECKPOINT, _IDENTITY = "checkpoint", "identity.json"
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
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


class WorkFolder:
    """Where a run is written before it is complete.

    Attributes
    ----------
    path : Path
        Becomes the run's folder.
    """

    def __init__(self, folder: Path, path: Path, partial: Path | None = None) -> None:
        self.path, self._folder, self._opened = path, folder, False
        self._partial = partial or path

    def checkpoint(self, identity: Identity, *, quiet: bool = True) -> Checkpoint:
        """Return the checkpoint of a run that was broken off, or an empty one if it was of another recipe or data.

        Parameters
        ----------
        identity : Identity
            Of this run.
        quiet : bool, default True
            False: a line on stderr says what is gone on from, or why not.
        """
        from titans_seq.training.checkpoint import Checkpoint

        place, self._opened, quiet = self.path / PRIVATE / CHECKPOINT, True, quiet or not is_main()
        found, reason = _usable(place, identity)
        if not quiet and reason is not None:
            print(f"{self._folder}: a run was broken off here, but begins anew: {reason}", file=sys.stderr)
        if not quiet and found is not None:
            since = f"what {found.earlier:.0f} s of fitting had reached"
            print(f"{self._folder}: a run was broken off here; going on from {since}", file=sys.stderr)
        if found is not None:
            return found
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        write_json(place / _IDENTITY, dict(identity))
        return Checkpoint(place)

    def keeps(self, error: BaseException) -> bool:
        """Whether there is a checkpoint, and another attempt could do better: not where the run itself was at fault."""
        at_fault = self._opened and isinstance(error, ValueError | TypeError)
        return not at_fault and any((self._partial / PRIVATE / CHECKPOINT).rglob("*.safetensors"))

    def told(self, error: BaseException) -> str | None:
        """Return what is to be said of the checkpoint; None where there is none to go on from."""
        return f"{KEPT} {self._partial}: the same command goes on from there" if self.keeps(error) else None


def _usable(place: Path, identity: Identity) -> tuple[Checkpoint | None, str | None]:
    """Return a checkpoint that goes on; or, where there is one that does not, the reason."""
    from titans_seq.training.checkpoint import Checkpoint

    try:
        if Checkpoint(place).is_empty():
            return None, None
        reason = change(json.loads((place / _IDENTITY).read_text(encoding="utf-8")), identity)
    except (OSError, ValueError) as error:
        reason = f"its checkpoint is damaged ({' '.join(str(error).split())})"
    return (Checkpoint(place), None) if reason is None else (None, reason)


@contextmanager
def run_folder(folder: Path, overwrite: bool, check: Callable[[Path, bool], None] | None = None) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder` when the block ends well; see `work_folder`."""
    with work_folder(folder, overwrite, check) as work:
        yield work.path


@contextmanager
def work_folder(
    folder: Path, overwrite: bool, check: Callable[[Path, bool], None] | None = None
) -> Iterator[WorkFolder]:
    """Give a hidden folder that becomes `folder` when the block ends well, and vanishes when it does not.

    It stands beside `folder`, so that the last step is one rename, and has a known name: a process that was killed
    leaves it, and the next one finds its checkpoint there. An error leaves the checkpoint, too, if there is one and it
    is not the run that was at fault; a note of the error says so. A symbolic link is followed: the folder it points at
    is the one that is replaced.

    Parameters
    ----------
    folder : Path
    overwrite : bool
    check : callable, optional
        Refuses to write where something else stands; default `check_free`.

    Raises
    ------
    FileExistsError
        See `check_free`; or another process is writing there.
    ValueError
        The folder cannot be made or written; the message says why.
    """
    if not is_main():  # of a run in several processes one writes
        (check or check_free)(folder, overwrite)  # where that one fails, this one need not begin
        with tempfile.TemporaryDirectory() as scratch:
            yield from _beside(WorkFolder(folder, Path(scratch), partial_of(_target(folder))))
        return
    target, check = _target(folder), check or check_free
    if (target / PRIVATE).is_dir():  # of a run that was killed when its folder was in place
        shutil.rmtree(target / PRIVATE, ignore_errors=True)
    check(folder, overwrite)
    made = [parent for parent in target.parents if not parent.exists()]
    claim = _claim(folder, target, made)
    work, keep = WorkFolder(folder, claim.partial), False
    try:
        check(folder, overwrite)  # it may have come since
        yield work
        wait_for_others()
        check(folder, overwrite)
        claim.replace()
    except BaseException as error:
        keep = work.keeps(error)
        _explain(folder, error, work.told(error))
        raise
    finally:
        claim.finish(keep)
        if not keep:
            _remove_empty(made)  # of a run that is in place none is


def _beside(work: WorkFolder) -> Iterator[WorkFolder]:
    """Give a folder beside that of the process that writes, whose checkpoint is that of all."""
    try:
        yield work
        wait_for_others()
    except BaseException as error:
        if (told := work.told(error)) is not None:
            error.add_note(told)
        raise


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


def _claim(folder: Path, target: Path, made: list[Path]) -> Claim:
    """Make the hidden folder, and the folders above it; what was made goes again if that fails."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Claim(target)
    except TakenError as taken:
        raise FileExistsError(f"{folder}: {taken} is writing there; wait for it, or choose another folder") from None
    except ForeignError:
        raise FileExistsError(f"{partial_of(target)} is in the way, and no run has made it; move it") from None
    except OSError as error:
        _remove_empty([partial_of(target), *made])
        raise _unwritable(folder, error) from None


def _explain(folder: Path, error: BaseException, told: str | None) -> None:
    """Add a note about the checkpoint that is left; of a full disk, raise what says so in words."""
    number = _number_of(error)
    if number in _UNWRITABLE:
        reason = f"{folder}: the run cannot be written: {os.strerror(number)}"
        raise ValueError(reason + (f"; {told}" if told else "")) from error
    if told is not None:
        error.add_note(told)


def _number_of(error: BaseException) -> int:
    """Return the error number of the system: Rust's libraries have it in their text only."""
    if isinstance(error, OSError):
        return error.errno or 0
    found = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, Exception) else None
    return int(found[1]) if found else 0


def _unwritable(folder: Path, error: Exception) -> ValueError:
    reason = error.strerror if isinstance(error, OSError) else None
    return ValueError(f"{folder}: no run can be written there: {reason or error}")


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


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
