"""scikit-learn's check of array API input: SciPy reads the variable that allows it once, when it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_arrays_of_the_array_api_are_taken() -> None:
    alone = ["-n0"] if "PYTEST_XDIST_WORKER" in os.environ else []
    checks = ["-k", "array_api", str(HERE / "test_sklearn_checks.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *alone, *checks]
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, timeout=600)
    summary = (done.stdout.strip().splitlines() or [""])[-1]
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "2 passed" in summary and "skipped" not in summary, summary
