"""What a cell does: one run that is left alone, and others that are killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from titans_seq.training.checkpoint import Checkpoint

from .cells import Cell

CHILD = Path(__file__).with_name("child.py")
SHORT_STAGES = ("reading data", "writing a checkpoint", "evaluating", "writing results")
TIMES = ("seconds", "costs", "fit_seconds", "cpu_seconds")
Result = dict[str, Any]


def measure(cell: Cell, *, quick: bool) -> Result:
    """How many of the runs that were killed ended like the one that was not."""
    if quick:
        cell = replace(cell, runs=1)
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        _finish(cell, Path(scratch) / "whole")
        took, whole = time.perf_counter() - began, _content(Path(scratch) / "whole")
        random = np.random.default_rng(cell.seed)
        runs = [_killed(cell, Path(scratch) / f"run{i}", 1 + i % 3, took, whole, random) for i in range(cell.runs)]
    return {"seconds": took, "runs": runs, "equal": sum(run["equal"] for run in runs)}


def _killed(
    cell: Cell, folder: Path, kills: int, took: float, whole: Result, random: np.random.Generator
) -> dict[str, Any]:
    """Kill a run so many times in a row, then let it end: at a time drawn uniformly, then in stages that few times hit.

    A process that is over before it can be killed has its time taken instead: the machine may be faster by now.
    """
    found: list[dict[str, Any]] = []
    while not found:
        shutil.rmtree(folder, ignore_errors=True)
        began = time.perf_counter()
        if killed := _kill_after(cell, folder, float(random.uniform(0, took))):
            found.append(killed)
        else:
            took = time.perf_counter() - began
    for _ in range(1, kills):
        wanted = str(random.choice(SHORT_STAGES))
        if not folder.exists() and (killed := _kill_at(cell, folder, wanted, float(random.uniform(0, 0.2)))):
            found.append(killed)
    said = "" if folder.exists() else _finish(cell, folder)
    left = folder.with_name(f".{folder.name}.partial").exists()
    content = _content(folder)
    differ = [name for name in whole if content[name] != whole[name]]
    return {"kills": found, "went_on": "going on" in said, "equal": not differ, "differ": differ, "left": left}


def _kill_after(cell: Cell, folder: Path, seconds: float) -> dict[str, Any] | None:
    """Kill a run that many seconds after its start; None if it was over before."""
    process = _start(cell, folder)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return _kill(process, folder) | {"after": seconds}
    return None


def _kill_at(cell: Cell, folder: Path, stage: str, later: float) -> dict[str, Any] | None:
    """Kill a run a moment after it is seen doing something; None if it was never seen doing it."""
    process = _start(cell, folder)
    while process.poll() is None:
        if _stage(folder) == stage:
            time.sleep(later)
            if process.poll() is None:
                return _kill(process, folder) | {"awaited": stage}
        time.sleep(0.01)
    process.communicate()
    return None


def _kill(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    os.killpg(process.pid, signal.SIGKILL)  # all processes of the run
    process.communicate()
    return {"stage": _stage(folder)}


def _start(cell: Cell, folder: Path) -> subprocess.Popen[str]:
    changes = [word for change in cell.changes for word in ("--set", change)]
    command = [sys.executable, str(CHILD), "run", cell.recipe, *changes, "--output-dir", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _finish(cell: Cell, folder: Path) -> str:
    process = _start(cell, folder)
    _, said = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(said)
    return said


def _stage(folder: Path) -> str:
    """Tell from what there is of a run what it is doing."""
    partial = folder.with_name(f".{folder.name}.partial")
    kept = partial / ".titans-seq" / "checkpoint"
    if folder.exists():
        return "after its end"
    if not partial.exists():
        return "importing"
    if not kept.exists():
        return "reading data"
    if any(kept.glob("*.part")):
        return "writing a checkpoint"
    try:
        if any(path.name != ".titans-seq" for path in partial.iterdir()):
            return "writing results"
        return "evaluating" if _trained(kept) else "training"
    except (OSError, ValueError):  # put in its place just now
        return "after its end" if folder.exists() else "writing results"


def _trained(kept: Path) -> bool:
    """Whether the last network to be trained is done."""
    checkpoint = Checkpoint(kept)
    saved = checkpoint.at("network").load() or checkpoint.at("member1").load()
    if saved is not None:
        return bool(saved.facts["finished"])
    return checkpoint.at("scores_swa").load() is not None


def _content(folder: Path) -> Result:
    """Everything of a finished run in which two runs of one seed must not differ."""
    found: Result = {
        "metrics": _without_times(json.loads((folder / "metrics.json").read_text())),
        "weights": (folder / "model" / "model.safetensors").read_bytes(),
        "model": _without_times(json.loads((folder / "model" / "model.json").read_text())),
    }
    for file in sorted(folder.glob("*.parquet")):
        found[file.name] = pl.read_parquet(file).drop(TIMES, strict=False).rows()
    return found


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value
