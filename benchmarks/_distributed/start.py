"""Starting a program in several processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def start(processes: int, *arguments: str, folder: Path) -> None:
    """Run Python in a folder, by torchrun if there is to be more than one process; a RuntimeError if it fails."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else ()), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
