"""Trials in a process of their own."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import titans_seq
from titans_seq.estimators.searching.evaluation import Fitting, Report
from titans_seq.estimators.searching.outcome import Outcome

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Isolated:
    """Evaluates trials in a process that is started anew when it dies.

    Parameters
    ----------
    fitting : Fitting
        Is sent to the process once: data are not read again for every trial.
    n_workers : int
        How many there are of these, which share the cores.
    """

    def __init__(self, fitting: Fitting, n_workers: int) -> None:
        self.fitting, self.n_workers = fitting, n_workers
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._stopped, self._lock = False, threading.Lock()

    def evaluate(self, values: Mapping[str, Any], report: Report) -> Outcome:
        """Evaluate a trial; that the process was killed is part of the answer.

        Raises
        ------
        RuntimeError
            If the process does not come up, or this was stopped meanwhile.
        """
        if self._process is None:
            self._start()
        try:
            self._send(dict(values))
            while True:
                kind, *content = self._receive()
                if kind == "done":
                    return content[0]
                self._send(report(*content))
        except (EOFError, OSError, pickle.UnpicklingError):
            if self._stopped:
                raise RuntimeError("the search was stopped") from None
            return Outcome(fault=self._death())

    def stop(self) -> None:
        """End the process, whatever it is at; callable from any thread."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Wait for the end of the process."""
        self.stop()
        self._discard()

    def _start(self) -> None:
        self._errors = tempfile.TemporaryFile()
        with self._lock:
            if self._stopped:
                raise RuntimeError("the search was stopped")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "titans_seq.estimators.searching.child"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=self._environment(),
                start_new_session=True,  # an interrupt from the keyboard is for the study, which then ends this
            )  # fmt: skip
        try:
            self._send(self.fitting)
            self._receive()
        except (EOFError, OSError):
            if self._stopped:
                raise RuntimeError("the search was stopped") from None
            raise RuntimeError(f"the process for trials does not start: {self._death()}") from None

    def _environment(self) -> dict[str, str]:
        package = str(Path(titans_seq.__file__).parents[1])
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        share = str(max(1, (os.cpu_count() or 1) // self.n_workers))
        return dict.fromkeys(_THREADS, share) | os.environ | {"PYTHONPATH": path}

    def _send(self, message: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        self._process.stdin.flush()

    def _receive(self) -> Any:
        assert self._process is not None and self._process.stdout is not None
        return pickle.load(self._process.stdout)

    def _death(self) -> str:
        """Return what the process died of; the next trial starts another one."""
        assert self._process is not None and self._errors is not None
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read()[-10_000:].decode(errors="replace").strip().splitlines()
        self._discard()
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}{': out of memory?' if name == 'SIGKILL' else ''}"
        return f"ended with code {code}{': ' + lines[-1][:300] if lines else ''}"

    def _discard(self) -> None:
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:  # what was not sent yet has no reader
                        pass
            self._process.wait()
        if self._errors is not None:
            self._errors.close()
        self._process = self._errors = None
