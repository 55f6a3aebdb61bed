"""Starting a program in two processes, as torchrun does it or as it does it itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HELPERS, ROOT = Path(__file__).parent, Path(__file__).parents[2]
STARTED_BY = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def run_python(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, on one thread, as a program that nobody has started as one of several."""
    own = {name: value for name, value in os.environ.items() if name not in STARTED_BY}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    path = os.pathsep.join(filter(None, (str(ROOT), str(HELPERS), own.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=900, check=False,
        env=own | threads | {"PYTHONPATH": path} | environment,
    )  # fmt: skip


def our_lines(text: str) -> list[str]:
    """Lines of what was printed, without those of torchrun when a process has failed or threads are not set."""
    theirs = ("W1", "E1", "*", "Setting OMP", "Traceback", "  ", "torch.distributed.elastic", "=", "-", "[", "Failures",
              "Root Cause")  # fmt: skip
    return [line for line in text.splitlines() if line.strip() and not line.startswith(theirs)]
