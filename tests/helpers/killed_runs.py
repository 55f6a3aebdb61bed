"""Runs of recipes in processes of their own, which are killed, and what can be compared of what they leave.

As a script it is the command line of titans-seq, with a checkpoint after every step, each of which takes its time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

import titans_seq

FORECAST = """
schema: 1
task: {kind: forecast, horizon: 8}
data: {name: co2, split: [1200, 200, 100]}
model: {d_model: 16, n_layers: 1, n_heads: 1, patch_length: 8, sequence_length: 256, dropout: 0.1}
train: {max_epochs: 3, batch_size: 16, early_stopping_patience: 3, random_state: 0}
"""
CONTIGUOUS = FORECAST.replace("train: {", "train: {training_mode: contiguous, ")
CLASSIFY = """
schema: 1
task: {kind: classify}
data: {simulated: {name: motif_grammar, n: 300, length: 56, seed: 0}, split: {by: random, test: 0.2, seed: 0}}
model: {channels: 8, d_model: 16, n_members: 2}
train: {max_epochs: 4, batch_size: 16, random_state: 0}
evaluate: {metrics: [accuracy, log_loss], baselines: [majority], positive: module}
"""
RECALL = """
schema: 1
task: {kind: recall, name: pairs, n_pairs: 2}
model: {d_model: 16, n_layers: 1, n_heads: 1, chunk_size: 8, dropout: 0.1}
train: {curriculum: [[32, 25], [64, 15]], tokens_per_step: 512}
evaluate: {lengths: [{length: 64, trials: 16}, {length: 256, trials: 16}], controls: [swa]}
"""
RECIPES = {"forecast": FORECAST, "contiguous": CONTIGUOUS, "classify": CLASSIFY, "recall": RECALL}
TIMES = ("seconds", "costs", "fit_seconds", "cpu_seconds")


def start(recipe: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start a run of a recipe file, one thread wide."""
    command = [sys.executable, __file__, "run", str(recipe), "--output-dir", str(folder), *options]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hears_ctrl_c
    )


def _hears_ctrl_c() -> None:
    """Undo what a shell does to commands in its background, whose children would ignore SIGINT, too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def environment() -> dict[str, str]:
    """Return that of a run: the package of this process, one thread."""
    paths = os.pathsep.join([str(Path(titans_seq.__file__).parents[1]), str(Path(__file__).parent)])
    return os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": paths}


def finish(recipe: Path, folder: Path, *options: str) -> str:
    """Run to the end; returns what was said on stderr."""
    return _ended(start(recipe, folder, *options), 0)


def refused(recipe: Path, folder: Path) -> str:
    """Run where a finished run stands already; returns what was said on stderr."""
    return _ended(start(recipe, folder), 2)


def _ended(run: subprocess.Popen[str], code: int) -> str:
    _, said = run.communicate(timeout=300)
    assert run.returncode == code, said
    return said


def kill_after(seconds: float, recipe: Path, folder: Path) -> bool:
    """Kill a run that many seconds after its start; False if it was over before."""
    run = start(recipe, folder)
    try:
        run.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        run.communicate()
        return True
    return False


def content(folder: Path) -> dict[str, Any]:
    """Return everything of a finished run in which two runs of one seed must not differ."""
    tables = [pl.read_parquet(file).drop(TIMES, strict=False) for file in sorted(folder.glob("*.parquet"))]
    return {
        "metrics": _without_times(json.loads((folder / "metrics.json").read_text())),
        "weights": (folder / "model" / "model.safetensors").read_bytes(),
        "model": _without_times(json.loads((folder / "model" / "model.json").read_text())),
        "tables": [table.rows() for table in tables],
        "files": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")),
    }


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def main() -> None:
    """Run the command line; writes of checkpoints are frequent, and slow enough to be killed in."""
    from titans_seq import cli
    from titans_seq.training import checkpoint

    replace = checkpoint._replace

    def slow(file: Path, content: bytes) -> None:
        file.with_suffix(".part").write_bytes(content[: len(content) // 2])
        time.sleep(0.02)
        replace(file, content)

    checkpoint.EVERY, checkpoint.SHARE, checkpoint._replace = 0.0, 1e9, slow
    cli.main()


if __name__ == "__main__":
    main()
