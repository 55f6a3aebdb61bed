"""Where a number came from: versions, commit, machine, time and memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from titans_seq._version import __version__

_PACKAGES = (
    "torch",
    "triton",
    "lightning",
    "numpy",
    "pandas",
    "polars",
    "narwhals",
    "scikit-learn",
    "gluonts",
    "optuna",
)


def describe_environment() -> dict[str, Any]:
    """Return versions, commit and machine, ready for JSON."""
    import torch

    return {
        "titans_seq": __version__,
        "commit": package_commit(),
        "python": platform.python_version(),
        "packages": {name: _version_of(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def describe_run(command: str | None, random_state: Any, started: float) -> dict[str, Any]:
    """Return `describe_environment` with a run's command and seed before it, and its costs behind it.

    Parameters
    ----------
    command : str or None
    random_state : int or None
    started : float
        What `time.perf_counter` said when the run began; less what earlier processes of the run had spent.
    """
    facts = {"command": command, "random_state": random_state, **describe_environment()}
    return facts | {"seconds": round(time.perf_counter() - started, 2), "peak_memory_mb": peak_memory_mb()}


def package_commit() -> str | None:
    """Return the git commit the package was made from, None where that is not known.

    It is that of the source tree the package runs from, else of the one it was installed from, which must
    still be there; "-dirty" is appended when files differ from the commit, those of the package included.
    """
    here = Path(__file__).parents[1]
    origin = _installation()
    if "vcs_info" in origin:
        return str(origin["vcs_info"]["commit_id"])
    commit, folder = source_commit(here.parent), _local_folder(origin.get("url", ""))
    if commit or folder is None:
        return commit
    commit = source_commit(folder)
    changed = commit and not commit.endswith("-dirty") and not _same_code(here, folder / here.name)
    return f"{commit}-dirty" if changed else commit


def source_commit(folder: Path) -> str | None:
    """Return the git commit of a source tree, None for another folder.

    "-dirty" is appended when files differ from the commit.
    """
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if _git(folder, "status", "--porcelain") else commit


def peak_memory_mb() -> float | None:
    """Return the most memory the process has held in MB (10^6 bytes), None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _installation() -> dict[str, Any]:
    """Return what the installer noted of the package's origin (direct_url.json, PEP 610)."""
    try:
        text = distribution("titans-seq").read_text("direct_url.json")
    except PackageNotFoundError:
        return {}
    return json.loads(text) if text else {}


def _local_folder(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _same_code(installed: Path, source: Path) -> bool:
    files = [path.relative_to(source) for path in source.rglob("*.py")]
    return all((installed / f).is_file() and (source / f).read_bytes() == (installed / f).read_bytes() for f in files)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
