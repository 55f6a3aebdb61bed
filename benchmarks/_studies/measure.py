"""What a cell does: search a recipe, then run it with the values chosen by hand and those found, three seeds each."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .cells import Cell

SEEDS = (0, 1, 2)
WORKERS = 2
Result = dict[str, Any]


def measure(cell: Cell, *, quick: bool) -> Result:
    """Every trial, the best, and scores on the test rows, which the search has not seen."""
    few = ["--set", "train.max_epochs=1"] if quick else []
    recipe, drawn = [cell.recipe, *cell.by_hand, *few], list(SEEDS[:2] if quick else SEEDS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        trials = ["--trials", "2"] if quick else []
        _command(["tune", *recipe, "--workers", str(WORKERS), *trials, "--output-dir", "study"], folder)
        facts = json.loads((folder / "study" / "study.json").read_text())
        with open(folder / "study" / "study.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        seeds = ["--set", f"evaluate.seeds={drawn}"]
        before = _scores([*recipe, *seeds], folder, "before", cell.score)
        after = _scores(["study/best.yaml", *seeds, *few], folder, "after", cell.score)
        best = (folder / "study" / "best.yaml").read_text()
    return {
        "trials": facts["trials"], "objectives": facts["objectives"], "best": facts["best"], "rows": rows,
        "study_seconds": facts["seconds"], "workers": WORKERS, "seeds": drawn, "by_hand": before,
        "best_on_test": after, "best_recipe": best,
    }  # fmt: skip


def _scores(words: list[str], folder: Path, output: str, score: str) -> Result:
    began = time.perf_counter()
    _command(["run", *words, "--output-dir", output], folder)
    found = json.loads((folder / output / "metrics.json").read_text())["seeds"]
    return {"score": score, **found["model"][score], "wall_seconds": time.perf_counter() - began}


def _command(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "titans_seq.cli", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"titans-seq {' '.join(words)} failed:\n{done.stderr[-3000:]}")
