"""The command line of titans-seq, with checkpoints twice a second, each of which is written slowly."""

from __future__ import annotations

import time
from pathlib import Path

from titans_seq import cli
from titans_seq.training import checkpoint

replace = checkpoint._replace


def slow(file: Path, content: bytes) -> None:
    """Let half of the file stand there for a while before it is written whole."""
    file.with_suffix(".part").write_bytes(content[: len(content) // 2])
    time.sleep(0.1)
    replace(file, content)


checkpoint.EVERY, checkpoint.SHARE, checkpoint._replace = 0.5, 1e9, slow

if __name__ == "__main__":
    cli.main()
