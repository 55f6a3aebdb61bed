"""Many sessions in one pool: throughput, latency, bytes; saving, evicting, restoring; and whether secrets stay secret.

A cell is one process of its own and one JSON file in results/sessions; finished cells are skipped. The cell `train`
comes before `asked` and `probe` and keeps its weights in a cache (`--cache`). The table renders the cells there are
and shows the gaps. About ten CPU minutes in all.

Run: python benchmarks/sessions.py [--only PATTERN ...] [--force] [--list] [--quick]
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
from pathlib import Path
from typing import Any

from _sessions.cells import BACKBONE, CELLS, Cell
from memory import ONE_THREAD, cell_file, write_json

HERE = Path(__file__).parent
RESULTS, CACHE = HERE / "results" / "sessions", HERE / ".cache" / "sessions"


def select(patterns: Iterable[str]) -> list[Cell]:
    """Cells whose name holds one of the patterns or matches it as a glob; all without one."""
    wanted = list(patterns)
    return [c for c in CELLS if not wanted or any(p in c.name or fnmatch.fnmatch(c.name, p) for p in wanted)]


def run_child(cell: Cell, folder: Path, cache: Path, quick: bool) -> bool:
    """Run a cell in a process of its own; True if it wrote its file."""
    command = [sys.executable, str(Path(__file__)), "--child", cell.name, "--output", str(folder)]
    command += ["--cache", str(cache)] + ["--quick"] * quick
    threads = dict.fromkeys(ONE_THREAD, str(cell.threads))
    began = time.perf_counter()
    fine = subprocess.run(command, env=os.environ | threads, check=False).returncode == 0
    print(f"{cell.name}: {'done' if fine else 'FAILED'} in {time.perf_counter() - began:.0f} s", flush=True)
    return fine


def measure(cell: Cell, folder: Path, cache: Path, quick: bool) -> None:
    """In the child: run the cell and write its file in one go."""
    import torch
    from _memory.provenance import provenance

    torch.set_num_threads(cell.threads)
    load = os.getloadavg()
    began, cpu = time.perf_counter(), time.process_time()
    results = cell.call(cache, quick=quick)
    record: dict[str, Any] = {
        "benchmark": "sessions",
        "cell": cell.name,
        "command": f"python benchmarks/sessions.py --only {cell.name}" + " --quick" * quick,
        "seed": 0,
        "backbone": BACKBONE,
        "threads": cell.threads,
        "arguments": cell.arguments_of(quick),
        "results": results,
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "load_average": {"before": load[0], "after": os.getloadavg()[0]},
        "environment": provenance(),
    }
    write_json(cell_file(cell, folder), record)


def run_all(cells: list[Cell], folder: Path, options: argparse.Namespace) -> list[str]:
    """Run what is missing, one after the other; names of the cells that failed."""
    missing = [cell for cell in cells if options.force or not cell_file(cell, folder).exists()]
    print(f"{len(cells) - len(missing)} of {len(cells)} cells are there already", flush=True)
    return [cell.name for cell in missing if not run_child(cell, folder, options.cache, options.quick)]


def render(folder: Path) -> None:
    """Print the table, and keep it beside the folder of results."""
    from _sessions.report import report

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
    parser.add_argument("--output", type=Path, help="folder of the result files")
    parser.add_argument("--cache", type=Path, help="folder of the trained weights")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp()) if options.quick and not options.child else HERE
    folder = options.output or (scratch / "sessions" if options.quick else RESULTS)
    options.cache = options.cache or (scratch / "cache" if options.quick else CACHE)
    if options.child:
        measure(next(c for c in CELLS if c.name == options.child), folder, options.cache, options.quick)
        return 0
    cells = select(options.only)
    if not cells:
        parser.error(f"no cell matches {' '.join(options.only)!r}; see --list")
    if options.list:
        for cell in cells:
            print(f"{cell.name:20}{'done' if cell_file(cell, folder).exists() else 'not run'}")
        return 0
    failed = run_all(cells, folder, options)
    render(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
