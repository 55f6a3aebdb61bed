"""Where a study is kept: in memory, in a journal file, or in a database."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from titans_seq.estimators.searching.sampler import TrialSampler

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PRUNERS = ("median", "halving", "none")
_ATTEMPTS = 5
_POSTGRESQL = ("postgres://", "postgresql://")


class JournalLock:
    """Holds a journal to one writer; the system lets go of it when the writer is killed.

    A writer that was killed in the middle of a line leaves half of one: the next one cuts it off.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Wait until nobody else writes."""
        file = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._file = file
        _cut_half_line(Path(self.path))
        return True

    def release(self) -> None:
        """Let others write."""
        assert self._file is not None
        os.close(self._file)
        self._file = None


def _cut_half_line(path: Path) -> None:
    """Cut off what stands behind the last line end."""
    size = path.stat().st_size
    with path.open("rb+") as file:
        if size and (file.seek(size - 1), file.read(1))[1] != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(where: str | os.PathLike[str] | None) -> BaseStorage:
    """Open a study's storage.

    Parameters
    ----------
    where : str, path or None
        A path: a journal file, made if it is not there. With "://": the URL of a database. None: in memory.

    Raises
    ------
    ValueError
        If it cannot be opened, or the driver of a database is not installed.
    """
    if where is None:
        return InMemoryStorage()
    if "://" in str(where):
        return _open_database(str(where))
    path = os.fspath(where)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        lock = JournalFileSymlinkLock(path) if fcntl is None else JournalLock(path)
        return JournalStorage(JournalFileBackend(path, lock_obj=lock))  # type: ignore[arg-type]
    except OSError as error:
        raise ValueError(f"{path}: no study can be kept there: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: this is no journal of a study: {error}") from None


def _open_database(url: str) -> BaseStorage:
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    given, url = url, _with_driver(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": 60}
    for attempt in range(_ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
        except ImportError as error:
            reason = f"its driver is not installed: {_first_line(error)}"
            advice = "; pip install 'titans-seq[postgres]'" if url.startswith("postgresql") else ""
            raise ValueError(f"storage {hide_password(given)}: {reason}{advice}") from None
        except (ArgumentError, NoSuchModuleError) as error:
            raise ValueError(f"storage {hide_password(given)}: not the URL of a database: {error}") from None
        except SQLAlchemyError as error:  # also where several processes make the tables at the same time
            if attempt == _ATTEMPTS - 1:
                raise ValueError(f"storage {hide_password(given)}: {_first_line(error)}") from None
            time.sleep(0.2 * 2**attempt)
    raise AssertionError


def _with_driver(url: str) -> str:
    """Name the driver of a PostgreSQL URL that names none: psycopg 3."""
    for start in _POSTGRESQL:
        if url.startswith(start):
            return "postgresql+psycopg://" + url.removeprefix(start)
    return url


def hide_password(where: str | os.PathLike[str]) -> str:
    """Return a storage as it may be shown and written."""
    if "://" not in str(where):
        return os.fspath(where)
    scheme, _, rest = str(where).partition("://")
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{':***' if colon else ''}{at}{place}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def open_study(storage: BaseStorage, name: str, sampler: TrialSampler, pruner: str, n_objectives: int) -> optuna.Study:
    """Open a study, or make it."""
    with quiet_optuna():
        return optuna.create_study(
            study_name=name, storage=storage, sampler=sampler, pruner=_pruner(pruner),
            directions=["minimize"] * n_objectives, load_if_exists=True,
        )  # fmt: skip


def _pruner(name: str) -> BasePruner:
    if name == "median":
        return MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    return SuccessiveHalvingPruner(min_resource=2) if name == "halving" else NopPruner()


def check_pruner(pruner: str | None, objectives: Sequence[Any]) -> str:
    """Return the pruner to use.

    Raises
    ------
    ValueError
        If there is no such pruner, or it can't be used.
    """
    if pruner is None:
        return "median" if len(objectives) == 1 else "none"
    if pruner not in PRUNERS:
        raise ValueError(f"pruner must be one of {', '.join(map(repr, PRUNERS))} or None, found {pruner!r}")
    if pruner != "none" and len(objectives) > 1:
        raise ValueError(f"pruner {pruner!r} compares one number; with {len(objectives)} objectives it must be 'none'")
    return pruner


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Leave Optuna's announcements out."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
