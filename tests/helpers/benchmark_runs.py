"""The benchmark scripts run as programs, and their modules loaded."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

needs_data = pytest.mark.skipif("TITANS_SEQ_DATA" not in os.environ, reason="needs the folder TITANS_SEQ_DATA")
needs_peers = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("neuralforecast", "statsforecast")),
    reason="needs neuralforecast and statsforecast, of the extra bench",
)


def run(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
