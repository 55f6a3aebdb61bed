"""Whether the process that took a trial is still there."""

from __future__ import annotations

import os
import platform
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna

BEAT_SECONDS = 10.0
GRACE_SECONDS = 90.0
"""A process on another machine that has not been heard of for so long counts as gone."""
_NAMELESS_SECONDS = 20.0
"""So long a trial may stand without the name of who took it."""


class Pulse:
    """Tells other processes that this one lives, by a number in the study that grows every ten seconds."""

    def __init__(self, study: optuna.Study) -> None:
        self.study, self.name = study, f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._beats, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with suppress(Exception):  # a storage out of reach for a while: the next beat may arrive
                self._beat()

    def _beat(self) -> None:
        self._beats += 1
        who = {"machine": machine(), "pid": os.getpid(), "started": started(os.getpid()), "beats": self._beats}
        self.study.set_user_attr(_key(self.name), who)


class Watch:
    """Tells which processes are gone, by what it has seen of them."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Any, float]] = {}

    def is_gone(self, process: str | None, attributes: dict[str, Any], trial: int) -> bool:
        """Whether nobody works on a trial any more.

        Parameters
        ----------
        process : str or None
            Name of the `Pulse` of who took it.
        attributes : dict
            User attributes of the study.
        trial : int
            Its number.
        """
        who = None if process is None else attributes.get(_key(process))
        if who is None:
            return self._unchanged(f"trial:{trial}", None) > _NAMELESS_SECONDS
        if who["machine"] == machine() and who["started"] is not None:
            return started(who["pid"]) != who["started"]
        return self._unchanged(str(process), who["beats"]) > GRACE_SECONDS

    def _unchanged(self, key: str, value: Any) -> float:
        """Return for how many seconds a value has been what it is."""
        now = time.monotonic()
        known, since = self._seen.get(key, (None, now))
        if key not in self._seen or known != value:
            self._seen[key], since = (value, now), now
        return now - since


def machine() -> str:
    """Return what processes that can see each other have in common."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def started(pid: int) -> str | None:
    """Return when a process began, in the system's own words; None if it has ended, or where this is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def _key(process: str) -> str:
    return f"process:{process}"
