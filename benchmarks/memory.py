"""What the memory costs: speed, memory held and latency on a CPU, beside titans-pytorch, attention and an LSTM.

A cell is one process of its own, one thread, fp32, and one JSON file in results/memory; finished cells are skipped.
The table and the figure render the cells there are and show the gaps. The peer needs `pip install '.[bench]'`, the
genome the folder that TITANS_SEQ_DATA names. About 20 minutes in all on a quiet machine.

Run: python benchmarks/memory.py [--only PATTERN] [--force] [--list] [--quick]
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
from pathlib import Path
from typing import Any

from _memory.cells import CELLS, Cell

RESULTS = Path(__file__).parent / "results" / "memory"
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def select(pattern: str | None) -> list[Cell]:
    """Cells whose name holds the pattern or matches it as a glob; all without one."""
    if pattern is None:
        return list(CELLS)
    return [cell for cell in CELLS if pattern in cell.name or fnmatch.fnmatch(cell.name, pattern)]


def cell_file(cell: Cell, folder: Path) -> Path:
    return folder / f"{cell.name}.json"


def run_child(cell: Cell, folder: Path, quick: bool) -> bool:
    """Run a cell in a process of its own; True if it wrote its file."""
    command = [sys.executable, str(Path(__file__)), "--child", cell.name, "--output", str(folder)]
    done = subprocess.run(command + ["--quick"] * quick, env=os.environ | ONE_THREAD, check=False)
    return done.returncode == 0


def measure(cell: Cell, folder: Path, quick: bool) -> None:
    """In the child: run the cell and write its file in one go."""
    _limit_address_space(cell.address_space_gb)
    import torch
    from _memory.provenance import provenance

    torch.set_num_threads(1)
    torch.manual_seed(0)
    load = os.getloadavg()
    began, cpu = time.perf_counter(), time.process_time()
    results = cell.call(quick)
    record: dict[str, Any] = {
        "benchmark": "memory",
        "cell": cell.name,
        "command": f"python benchmarks/memory.py --only {cell.name}" + " --quick" * quick,
        "seed": 0,
        "arguments": cell.arguments_of(quick),
        "results": results,
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "load_average": {"before": load[0], "after": os.getloadavg()[0]},
        "environment": provenance(),
    }
    write_json(cell_file(cell, folder), record)


def _limit_address_space(gigabytes: float) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = int(gigabytes * 1e9)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


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


def run_all(cells: list[Cell], folder: Path, *, quick: bool, force: bool) -> list[str]:
    """Run what is missing, one after the other; names of the cells that failed."""
    failed = []
    for cell in cells:
        if cell_file(cell, folder).exists() and not force:
            print(f"{cell.name}: there already", flush=True)
            continue
        began = time.perf_counter()
        fine = run_child(cell, folder, quick)
        print(f"{cell.name}: {'done' if fine else 'FAILED'} in {time.perf_counter() - began:.0f} s", flush=True)
        failed += [] if fine else [cell.name]
    return failed


def render(folder: Path) -> None:
    """Print the table; keep it, and the figure, beside the folder of results."""
    from _memory.figure import draw
    from _memory.report import report

    parts = {
        cell.name: json.loads(cell_file(cell, folder).read_text()) for cell in CELLS if cell_file(cell, folder).exists()
    }
    text = report(parts)
    print("\n" + text)
    folder.with_name(f"{folder.name}.md").write_text(text)
    draw(parts, folder.with_name(f"{folder.name}.png"))


def main() -> int:
    """Run what is missing and render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="PATTERN", help="cells whose name holds this, or matches it as a glob")
    parser.add_argument("--force", action="store_true", help="run finished cells again")
    parser.add_argument("--list", action="store_true", help="print the cells and whether they are finished")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, into a temporary folder: a smoke test")
    parser.add_argument("--output", type=Path, help="folder of the result files")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = options.output or (Path(tempfile.mkdtemp()) / "memory" if options.quick else RESULTS)
    if options.child:
        measure(next(cell for cell in CELLS if cell.name == options.child), folder, options.quick)
        return 0
    cells = select(options.only)
    if not cells:
        parser.error(f"no cell matches {options.only!r}; see --list")
    if options.list:
        for cell in cells:
            print(f"{cell.name:34}{'done' if cell_file(cell, folder).exists() else 'not run'}")
        return 0
    failed = run_all(cells, folder, quick=options.quick, force=options.force)
    render(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
