"""The hidden folder beside a run's folder, in which one process at a time works, and which outlives it if killed.

`.NAME.partial` holds what is written so far. Its subfolder `.titans-seq` holds what is no part of the result: the lock,
the checkpoint, and for a moment the earlier run that is replaced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where an open file also keeps its folder from being renamed: no lock
    fcntl = None  # type: ignore[assignment]

PRIVATE = ".titans-seq"
_LOCK, _EARLIER = "lock", "earlier"
_LONGEST = 255
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What file systems say that know no locks."""


class TakenError(Exception):
    """Another process works there; the message names it."""


class ForeignError(Exception):
    """Something stands there that no run has made."""


class Claim:
    """The right to write one folder, held by one process.

    Parameters
    ----------
    target : Path
        The folder that is to be written; its parent exists.

    Attributes
    ----------
    partial : Path
        Where to write; empty but for what is private.

    Raises
    ------
    TakenError, ForeignError
    OSError
        The folder beside the target cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.partial = target, partial_of(target)
        self.private = self.partial / PRIVATE
        self._lock, self._in_place = self._locked(), False
        self._put_back()
        self.clear()

    def clear(self) -> None:
        """Remove everything but what is private."""
        for entry in self.partial.iterdir():
            if entry.name != PRIVATE:
                _remove(entry)

    def replace(self) -> None:
        """Put the new folder in the place of the old one, which comes back if that fails: now, or when next claimed."""
        earlier = self.private / _EARLIER
        try:
            if self.target.exists():
                self.target.rename(earlier)
            self.partial.rename(self.target)
            self._in_place = True
        finally:  # also on an interruption between the two
            self._put_back()
        shutil.rmtree(self.target / PRIVATE, ignore_errors=True)

    def finish(self, keep: bool) -> None:
        """Remove what was written, all of it or what is not private, and let others write there."""
        with suppress(OSError):
            if not self._in_place:  # else another process may have made its own by now
                self.clear()
            if not (keep or self._in_place):  # last of all what is private: it shows whose folder this is
                shutil.rmtree(self.private, ignore_errors=True)
                self.partial.rmdir()
        if self._lock is not None:
            os.close(self._lock)

    def _put_back(self) -> None:
        earlier = self.private / _EARLIER
        if earlier.exists() and not self.target.exists():
            earlier.rename(self.target)

    def _locked(self) -> int | None:
        """Make the folder and lock it; return the number of the file to be closed."""
        while True:
            self._make()
            if fcntl is None:
                return None
            try:
                number = os.open(self.private / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # whoever had it has removed it just now
                continue
            try:
                self._lock_or_fail(number)
                if self._is_there(number):
                    return number
            except BaseException:
                os.close(number)
                raise
            os.close(number)

    def _make(self) -> None:
        if self.partial.is_symlink() or (self.partial.exists() and not self._is_ours()):
            raise ForeignError
        self.private.mkdir(parents=True, exist_ok=True)

    def _is_ours(self) -> bool:
        return self.partial.is_dir() and (self.private.is_dir() or not any(self.partial.iterdir()))

    def _lock_or_fail(self, number: int) -> None:
        assert fcntl is not None
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                said = os.read(number, 200).decode(errors="replace").strip()
                raise TakenError(said or "another process") from None
            if error.errno not in _NO_LOCKS:
                raise
        os.ftruncate(number, 0)
        os.pwrite(number, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def _is_there(self, number: int) -> bool:
        """Whether the file that was locked is still the one at its place."""
        try:
            return os.path.samestat(os.fstat(number), os.stat(self.private / _LOCK))
        except FileNotFoundError:
            return False


def partial_of(target: Path) -> Path:
    """Return the folder in which a run is written: beside its place, so that the last step is one rename."""
    name = f".{target.name}.partial"
    if len(os.fsencode(name)) > _LONGEST:
        digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
        name = f".{target.name[:40]}-{digest}.partial"
    return target.with_name(name)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
