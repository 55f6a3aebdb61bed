"""One study in PostgreSQL, several processes: a real server, started here."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tuned_recipes import check_complete, close, start_tune, study_in, wait_until, write_recipe

MISSING = [name for name in ("initdb", "postgres") if shutil.which(name) is None]
if importlib.util.find_spec("psycopg") is None:
    MISSING.append("psycopg")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs PostgreSQL and its driver; not installed: {', '.join(MISSING)}"),
]


@pytest.fixture
def server() -> Iterator[str]:
    """Start a server of its own; it refuses to run as root, and is then somebody else's."""
    folder = Path(tempfile.mkdtemp(prefix="titans-seq-postgres-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, quiet = folder / "data", {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": folder}
    made = subprocess.run(
        ["initdb", "-D", data, "-U", "tuner", "--auth=trust", "-E", "UTF8", "--no-sync"], check=False, **quiet, **user
    )
    assert made.returncode == 0, made.stderr.decode()
    options = ["-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F"]
    running = subprocess.Popen(["postgres", "-D", data, *options], **quiet, **user)
    try:
        wait_until(lambda: _answers(port), 60)
        yield f"postgresql://tuner:secret@127.0.0.1:{port}/postgres"
    finally:
        running.send_signal(signal.SIGINT)  # ends connections, too
        running.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    import psycopg

    try:
        psycopg.connect(f"postgresql://tuner@127.0.0.1:{port}/postgres", connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def test_four_workers_share_one_study_and_evaluate_each_trial_once(server: str, tmp_path: Path) -> None:
    write_recipe(tmp_path)
    # The tables of the study are made by both at the same time.
    arguments = ("--storage", server, "--trials", "14", "--workers", "2", "--quiet")
    processes = [start_tune(tmp_path, *arguments) for _ in range(2)]
    for process in processes:
        out, error = process.communicate(timeout=500)
        assert (process.returncode, out, error) == (0, "", "")
    study = study_in(server)
    check_complete(study, 14)
    assert len({trial.user_attrs["process"] for trial in study.trials}) == 2
    close(study)
    folder = tmp_path / "runs/tune-r"
    assert len((folder / "study.csv").read_text().splitlines()) == 1 + 14
    assert not (folder / "study.journal").exists()
    written = "".join(path.read_text() for path in folder.iterdir() if path.suffix in (".json", ".html", ".yaml"))
    assert "tuner:***@" in written
    assert "secret" not in written
