"""What a cell of metrics does: run a recipe in one process and in several, and compare metrics.json."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from .cells import MetricsCell
from .start import start

Result = dict[str, Any]


def measure(cell: MetricsCell, *, quick: bool) -> Result:
    """Largest absolute and relative difference of the numbers in metrics.json, seconds left out."""
    with tempfile.TemporaryDirectory() as scratch:
        alone = _run(cell, 1, (), Path(scratch) / "alone", quick)
        changed = () if cell.control is None else (cell.control,)
        together = _run(cell, cell.processes, changed, Path(scratch) / "together", quick)
    assert alone.keys() == together.keys()
    apart = {name: abs(alone[name] - together[name]) for name in alone}
    relative = {name: d / abs(alone[name]) for name, d in apart.items() if alone[name]}
    widest, worst = max(apart, key=lambda n: apart[n]), max(relative, key=lambda n: relative[n])
    return {
        "numbers": len(alone), "largest_difference": apart[widest], "of": widest,
        "largest_relative_difference": relative[worst], "relative_of": worst, "alone": alone, "together": together,
    }  # fmt: skip


def _run(cell: MetricsCell, processes: int, changed: tuple[str, ...], out: Path, quick: bool) -> dict[str, float]:
    strategy = "auto" if processes == 1 else cell.strategy
    settings = [
        *cell.settings,
        f"train.devices={processes}",
        f"train.strategy={strategy}",
        "train.device=cpu",
        *changed,
    ]
    settings += ["train.max_epochs=1"] * quick
    sets = [word for setting in settings for word in ("--set", setting)]
    command = [str(Path(__file__).with_name("in_double.py"))] if cell.double else ["-m", "titans_seq.cli"]
    arguments = [*command, "run", cell.recipe, "-q", "--output-dir", str(out), *sets]
    start(processes, *arguments, folder=out.parent)
    return _numbers(json.loads((out / "metrics.json").read_text()), "")


def _numbers(found: Any, name: str) -> dict[str, float]:
    """Numbers in what JSON held, by the path to each."""
    if isinstance(found, dict):
        parts = [_numbers(item, f"{name}.{key}".strip(".")) for key, item in found.items() if key != "seconds"]
        return {key: x for part in parts for key, x in part.items()}
    return {name: float(found)} if isinstance(found, int | float) and not isinstance(found, bool) else {}
