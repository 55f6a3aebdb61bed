"""Running the cells of a benchmark: each in a process of its own, one JSON file each, finished ones skipped."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Record = dict[str, Any]


class Cell(Protocol):
    """One measurement; its name is also that of its file."""

    @property
    def name(self) -> str: ...


def _nothing(cell: Any) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Benchmark:
    """A script with cells.

    Attributes
    ----------
    script : Path
        Its name is that of the results' folder, and of the cache.
    description : str
        For `--help`.
    cells : sequence of Cell
    call : callable
        ``call(cell, cache, quick)`` runs a cell in its process and returns its results.
    about : callable
        ``about(cell, quick)``: what its file says of it, seed and arguments among it.
    render : callable
        ``render(parts, folder)`` returns Markdown of the finished cells, and draws a figure if there is one.
    prepare : callable
        Called with the cell first thing in its process.
    threads : callable
        Threads of a cell.
    first : callable
        Whether a cell has to be done before the others.
    """

    script: Path
    description: str
    cells: Sequence[Any]
    call: Callable[[Any, Path, bool], Record]
    about: Callable[[Any, bool], Record]
    render: Callable[[Mapping[str, Any], Path], str]
    prepare: Callable[[Any], None] = _nothing
    threads: Callable[[Any], int] = lambda cell: 1
    first: Callable[[Any], bool] = lambda cell: False

    @property
    def name(self) -> str:
        return self.script.stem

    def select(self, patterns: Iterable[str]) -> list[Any]:
        """Cells whose name holds one of the patterns or matches it as a glob; all without one."""
        wanted = list(patterns)
        return [c for c in self.cells if not wanted or any(p in c.name or fnmatch.fnmatch(c.name, p) for p in wanted)]

    def main(self) -> int:
        """Run what is missing and render."""
        options = self._options()
        if options.child:
            self._measure(next(c for c in self.cells if c.name == options.child), options)
            return 0
        if options.list:
            for cell in options.cells:
                print(f"{cell.name:70} {'done' if file_of(cell, options.output).exists() else 'not run'}")
            return 0
        failed = self._run_all(options)
        self.print_report(options.output)
        return 1 if failed else 0

    def print_report(self, folder: Path) -> None:
        """Print the tables of the finished cells; keep them, and the figure, beside the folder of results."""
        there = [cell for cell in self.cells if file_of(cell, folder).exists()]
        text = self.render({cell.name: json.loads(file_of(cell, folder).read_text()) for cell in there}, folder)
        print("\n" + text)
        folder.with_name(f"{folder.name}.md").write_text(text)

    def _options(self) -> argparse.Namespace:
        form = argparse.RawDescriptionHelpFormatter
        parser = argparse.ArgumentParser(description=self.description, formatter_class=form)
        add = parser.add_argument
        add("--only", metavar="PATTERN", nargs="+", default=[], help="cells whose name holds one of these")
        add("--force", action="store_true", help="run finished cells again")
        add("--list", action="store_true", help="print the cells and whether they are finished")
        add("--quick", action="store_true", help="tiny sizes, into a temporary folder: a smoke test")
        add("--jobs", type=int, default=1, help="cells at a time")
        add("--output", type=Path, help="folder of the result files")
        add("--cache", type=Path, help="folder of the trained weights")
        add("--child", help=argparse.SUPPRESS)
        options = parser.parse_args()
        options.cells = self.select(options.only)
        if not options.cells:
            parser.error(f"no cell matches {' '.join(options.only)!r}; see --list")
        scratch = Path(tempfile.mkdtemp()) if options.quick and not options.child else None
        options.output = options.output or (scratch or HERE / "results") / self.name
        options.cache = options.cache or (scratch or HERE / ".cache") / ("cache" if scratch else self.name)
        return options

    def _run_all(self, options: argparse.Namespace) -> list[str]:
        """Run what is missing; names of the cells that failed."""
        missing = [c for c in options.cells if options.force or not file_of(c, options.output).exists()]
        for cell in options.cells:
            if cell not in missing:
                print(f"{cell.name}: there already", flush=True)
        failed: list[str] = []
        for phase in (True, False):
            now = [cell for cell in missing if self.first(cell) is phase]
            with ThreadPoolExecutor(options.jobs) as pool:
                fine = list(pool.map(lambda cell: self._run_child(cell, options), now))
            failed += [cell.name for cell, good in zip(now, fine, strict=True) if not good]
        return failed

    def _run_child(self, cell: Any, options: argparse.Namespace) -> bool:
        """Run a cell in a process of its own; True if it wrote its file."""
        command = [sys.executable, str(self.script), "--child", cell.name, "--output", str(options.output)]
        command += ["--cache", str(options.cache)] + ["--quick"] * options.quick
        # The package of this tree is measured, also by what a cell starts in another folder.
        paths = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        given = dict.fromkeys(THREADS, str(self.threads(cell))) | {"PYTHONPATH": paths}
        began = time.perf_counter()
        fine = subprocess.run(command, env=os.environ | given, check=False).returncode == 0
        print(f"{cell.name}: {'done' if fine else 'FAILED'} in {time.perf_counter() - began:.0f} s", flush=True)
        return fine

    def _measure(self, cell: Any, options: argparse.Namespace) -> None:
        """In the child: run the cell and write its file in one go."""
        self.prepare(cell)
        import torch
        from _memory.provenance import provenance

        torch.set_num_threads(self.threads(cell))
        torch.manual_seed(0)
        load = os.getloadavg()
        began, cpu = time.perf_counter(), time.process_time()
        results = self.call(cell, options.cache, options.quick)
        record = {
            "benchmark": self.name,
            "cell": cell.name,
            "command": f"python benchmarks/{self.script.name} --only {cell.name}" + " --quick" * options.quick,
            **self.about(cell, options.quick),
            "results": results,
            "wall_seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - cpu,
            "load_average": {"before": load[0], "after": os.getloadavg()[0]},
            "environment": provenance(),
        }
        write_json(file_of(cell, options.output), record)


def file_of(cell: Cell, folder: Path) -> Path:
    """File of a cell's results."""
    return folder / f"{cell.name}.json"


def write_json(path: Path, record: Record) -> None:
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
