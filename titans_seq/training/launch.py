"""Which of the processes of a run this one is, and which of them says what went wrong; imports nothing heavy.

Processes are started by torchrun, by srun, or by Lightning, which runs the same command again for each of them.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

WAIT = 5.0
"""Seconds that a process waits for the one that failed to say why."""

_MOST_ON_FEW = 16
"""Processes that may be started also where there are fewer cores: more would only be in each other's way."""

LOST = "another process of this run has ended without a word"

_FAILED = "titans_seq/failed"
_FIRST = "TITANS_SEQ_FIRST"
"""Variable by which a first process tells the ones it starts its number, and a file that is there until it ends."""
_processes = 1


class Launched(NamedTuple):
    """A process that was started as one of several.

    Attributes
    ----------
    by : {"torchrun", "srun", "Lightning"}
    main : bool
        Whether it is the first of them, which speaks and writes.
    size : int
        How many there are.
    """

    by: str
    main: bool
    size: int


def launched() -> Launched | None:
    """Return what the environment says; None for a process that was started by itself."""
    return _remembered or _from_environment()


def remember() -> None:
    """Keep what the environment says: Lightning clears it after training."""
    global _remembered
    _remembered = launched()


def _from_environment() -> Launched | None:
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env:  # torchrun, and Kubernetes' PyTorchJob
        return Launched("torchrun", env["RANK"] == "0", int(env["WORLD_SIZE"]))
    if "LOCAL_RANK" in env and "WORLD_SIZE" in env:
        main = env["LOCAL_RANK"] == "0" and env.get("NODE_RANK", "0") == "0"
        return Launched("Lightning", main, int(env["WORLD_SIZE"]))
    tasks = int(env.get("SLURM_NTASKS", "1"))
    if tasks > 1 and "SLURM_PROCID" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return Launched("srun", env["SLURM_PROCID"] == "0", tasks)
    return None


_remembered: Launched | None = None


def check_launch(devices: int, num_nodes: int) -> None:
    """Raise a ValueError if as many processes were started as are not asked for.

    Tasks of srun that each do something of their own, such as workers of one search, are no ranks of a run.
    """
    found, size = launched(), devices * num_nodes
    most = max(os.cpu_count() or 1, _MOST_ON_FEW)
    if found is None and devices > most:
        raise ValueError(f"devices is {devices:,}, and this machine has cores for no more than {most} processes")
    if found is None and num_nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise ValueError(
            f"num_nodes is {num_nodes}, but this process was started by itself and would wait for the others for ever; "
            "start it with torchrun or srun on every machine, see docs/distributed.md"
        )
    if found is None or found.size == size or (found.by != "torchrun" and size == 1):
        return
    raise ValueError(
        f"{found.by} started {found.size} processes, but devices × num_nodes is {devices} × {num_nodes}; "
        "say how many processes there are on each machine (devices) and how many machines (num_nodes)"
    )


def take_part(devices: int, num_nodes: int) -> None:
    """Say that this process is one of ``devices`` × ``num_nodes`` that do the same; see `check_launch`."""
    global _processes
    _processes = devices * num_nodes
    check_launch(devices, num_nodes)


def is_main() -> bool:
    """Whether this process is the one of its run that speaks and writes."""
    found = launched()
    return found is None or found.main or (_processes == 1 and found.by != "torchrun")


def wait_for_others() -> None:
    """Wait until all processes of this run are here, or raise because one of them has ended."""
    if _processes == 1:
        return
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()


def may_report(error: BaseException) -> bool:
    """Whether this process is to say what went wrong: of all that fail together, the first one that asks.

    A process that failed because another one had ended leaves it to that one, if it is heard of; where the first one
    was killed, which has started the others, it is the second one.
    """
    found = launched()
    if found is None or found.size == 1 or (_processes == 1 and found.by != "torchrun"):
        return True
    with _unending():
        store = _store()
        if store is None:  # the first process, which keeps the store, has ended
            return found.main or not is_lost(error) or (_is_second() and _first_was_killed())
        return _is_first(store, WAIT * is_lost(error))


def _is_first(store: Any, patience: float) -> bool:
    """Whether no other process has claimed to be the first, nor does so within some seconds."""
    key, until = f"{_FAILED}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", time.monotonic() + patience
    while not store.check([key]) and time.monotonic() < until:
        time.sleep(0.1)
    return bool(store.add(key, 1) == 1)


@contextmanager
def _unending() -> Iterator[None]:
    """Ignore that this process is asked to end, which it is about to do."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def announce_first() -> Callable[[], None]:
    """Tell the processes that this one is about to start, if it is, how they can see that it was killed.

    Returns
    -------
    callable
        To be called when this process ends in any other way; does nothing when it is called again.
    """
    if launched() is not None:
        return lambda: None
    number, name = tempfile.mkstemp(prefix="titans-seq-")
    os.close(number)
    os.environ[_FIRST] = f"{os.getpid()} {name}"
    return lambda: Path(name).unlink(missing_ok=True)


@contextmanager
def watching_first() -> Iterator[None]:
    """End this process where the one that started it has ended inside: waiting for it can take half an hour."""
    done = threading.Event()
    if _first() is not None and not is_main():
        threading.Thread(target=_watch, args=(done,), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _watch(done: threading.Event) -> None:
    while not done.wait(1.0):
        if (first := _first()) is not None and os.getppid() != first[0]:
            if _is_second() and _first_was_killed():
                print(f"error: {LOST}; nothing was written", file=sys.stderr, flush=True)
            os._exit(1)  # the main thread waits where no signal is heard


def _first() -> tuple[int, Path] | None:
    number, _, name = os.environ.get(_FIRST, "").partition(" ")
    return (int(number), Path(name)) if name else None


def _is_second() -> bool:
    return os.environ.get("LOCAL_RANK") == "1"


def _first_was_killed() -> bool:
    """Whether the first process has ended without removing its file, which is done here."""
    first = _first()
    if first is None or not first[1].exists():
        return False
    with suppress(OSError):
        first[1].unlink()
    return True


def is_lost(error: BaseException) -> bool:
    """Whether an error says no more than that another process could not be reached."""
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "nccl", "connection closed"))


def _store() -> Any:
    """The key-value store that the processes meet at; None if it can't be reached."""
    import torch.distributed as dist

    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    if address is None or port is None:
        return None
    try:
        socket.create_connection((address, int(port)), 2.0).close()  # where nobody listens torch prints pages
        patience = timedelta(seconds=2)
        return dist.TCPStore(address, int(port), None, False, timeout=patience, wait_for_workers=False)  # type: ignore[attr-defined]
    except (RuntimeError, ValueError, OSError):
        return None
