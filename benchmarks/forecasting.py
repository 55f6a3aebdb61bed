"""Forecasts under the protocol of published benchmarks: every test window, choices on validation rows alone.

A cell is one process of its own, one thread, and one JSON file in results/forecasting; finished cells are skipped,
and the tables render the cells there are and show the gaps. Needs the folder that TITANS_SEQ_DATA names. A cell
takes up to 5 CPU minutes.

Run: python benchmarks/forecasting.py [--only PATTERN] [--force] [--list] [--quick] [--jobs 2]
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from _forecasting.cells import CELLS, Cell

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "forecasting"
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def select(patterns: Iterable[str]) -> list[Cell]:
    """Cells whose name holds one of the patterns or matches it as a glob; all without one."""
    wanted = list(patterns)
    return [c for c in CELLS if not wanted or any(p in c.name or fnmatch.fnmatch(c.name, p) for p in wanted)]


def cell_file(cell: Cell, folder: Path) -> Path:
    return folder / f"{cell.name}.json"


def run_child(cell: Cell, folder: Path, options: argparse.Namespace) -> bool:
    """Run a cell in a process of its own; True if it wrote its file."""
    command = [sys.executable, str(Path(__file__)), "--child", cell.name, "--output", str(folder)]
    command += ["--quick"] * options.quick
    began = time.perf_counter()
    fine = subprocess.run(command, env=os.environ | ONE_THREAD, check=False).returncode == 0
    print(f"{cell.name}: {'done' if fine else 'FAILED'} in {time.perf_counter() - began:.0f} s", flush=True)
    return fine


def measure(cell: Cell, folder: Path, *, quick: bool) -> None:
    """In the child: run the cell and write its file in one go."""
    import torch
    from _memory.provenance import provenance

    torch.set_num_threads(1)
    began, cpu = time.perf_counter(), time.process_time()
    results = cell.call(quick=quick)
    record: dict[str, Any] = {
        "benchmark": "forecasting",
        "cell": cell.name,
        "command": f"python benchmarks/forecasting.py --only {cell.name}" + " --quick" * quick,
        "data": cell.data,
        "horizon": cell.horizon,
        "model": cell.model,
        "mode": cell.mode,
        "seed": cell.seed,
        "results": results,
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "environment": provenance(),
    }
    write_json(cell_file(cell, folder), record)


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(_rounded(record), indent=2) + "\n")
    part.replace(path)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def run_all(cells: list[Cell], folder: Path, options: argparse.Namespace) -> list[str]:
    """Run what is missing; names of the cells that failed."""
    missing = [cell for cell in cells if options.force or not cell_file(cell, folder).exists()]
    print(f"{len(cells) - len(missing)} of {len(cells)} cells are there already", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        fine = list(pool.map(lambda cell: run_child(cell, folder, options), missing))
    return [cell.name for cell, good in zip(missing, fine, strict=True) if not good]


def render(folder: Path) -> None:
    """Print the tables and keep them beside the folder of results."""
    from _forecasting.report import report

    parts = {c.name: json.loads(cell_file(c, folder).read_text()) for c in CELLS if cell_file(c, folder).exists()}
    text = report(parts)
    print("\n" + text)
    folder.with_name(f"{folder.name}.md").write_text(text)


def main() -> int:
    """Run what is missing and render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", nargs="+", default=[], help="cells whose name holds one of these")
    parser.add_argument("--force", action="store_true", help="run finished cells again")
    parser.add_argument("--list", action="store_true", help="print the cells and whether they are finished")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, into a temporary folder: a smoke test")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    parser.add_argument("--output", type=Path, help="folder of the result files")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp()) if options.quick and not options.child else HERE
    folder = options.output or (scratch / "forecasting" if options.quick else RESULTS)
    if options.child:
        measure(next(c for c in CELLS if c.name == options.child), folder, quick=options.quick)
        return 0
    cells = select(options.only)
    if not cells:
        parser.error(f"no cell matches {' '.join(options.only)!r}; see --list")
    if options.list:
        for cell in cells:
            print(f"{cell.name:70} {'done' if cell_file(cell, folder).exists() else 'not run'}")
        return 0
    failed = run_all(cells, folder, options)
    render(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
