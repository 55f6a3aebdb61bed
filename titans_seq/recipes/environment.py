"""Where a number came from: versions, commit, machine, time and memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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
)


def describe_environment() -> dict[str, Any]:
    """Return versions, commit and machine, ready for JSON."""
    import torch

    return {
        "titans_seq": __version__,
        "commit": source_commit(),
        "python": platform.python_version(),
        "packages": {name: _version_of(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def source_commit(folder: Path = Path(__file__).parents[2]) -> str | None:
    """Return the git commit of the source tree, None for an installed package.

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
