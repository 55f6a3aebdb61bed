"""Where a result came from: commit, versions, machine."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
PEERS = ("titans-pytorch", "tensordict", "flash-linear-attention", "neuralforecast", "statsforecast")


def provenance() -> dict[str, Any]:
    """Return versions, commit and machine; "-dirty" says that files other than results differ from the commit."""
    return _environment() | {"commit": commit(), "peers": {name: _version_of(name) for name in PEERS}}


def _environment() -> dict[str, Any]:
    try:
        from titans_seq.recipes.environment import describe_environment
    except ImportError:  # the layers need torch only; a bare GPU machine may have nothing else
        packages = {name: _version_of(name) for name in ("torch", "triton", "numpy")}
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        return {"python": platform.python_version(), "packages": packages, "platform": platform.platform(), "gpu": gpu}
    return describe_environment()


def commit() -> str | None:
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None
    return f"{head}-dirty" if _git("status", "--porcelain", "--", ".", ":!benchmarks/results") else head


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
