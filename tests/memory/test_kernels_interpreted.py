"""Runs the kernels' tests under Triton's interpreter, which must be asked for before the kernels are imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = ("test_kernels_forward.py", "test_kernels_backward.py", "test_kernels_op.py")
HERE = Path(__file__).parent
pytest.importorskip("triton", reason="there is no Triton for this platform")


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"), reason="this process already interprets")
@pytest.mark.parametrize("file", FILES)
def test_interpreted(file: str) -> None:
    # The files themselves run side by side where there are workers: more of them would only start twice.
    alone = ["-n0"] if "PYTEST_XDIST_WORKER" in os.environ else []
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *alone, str(HERE / file)]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, timeout=600)
    summary = (done.stdout.strip().splitlines() or [""])[-1]
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "passed" in summary and "skipped" not in summary, summary
