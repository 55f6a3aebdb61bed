"""Clocks and gauges: interleaved timings, resident memory, and the machine's matrix product rate."""

from __future__ import annotations

import gc
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Run = Callable[[], Any]
SEED = 0
SHORTEST = 0.1
"""CPU seconds of a timing at least: shorter ones are repeated within it."""


@dataclass
class Timing:
    """Seconds of every timed run of one contender; ``error`` if one of them failed."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    loops: int = 1
    error: str | None = None

    def warm(self, run: Run) -> None:
        """Run untimed, and choose how many runs make a timing of `SHORTEST` seconds, so that none is too short."""
        for _ in range(2):  # the first also pays for what is set up once
            began = time.process_time()
            run()
            seconds = time.process_time() - began
            if seconds > 10 * SHORTEST:
                break
        self.loops = max(1, math.ceil(SHORTEST / max(seconds, 1e-6)))

    def add(self, run: Run, round_: int) -> None:
        gc.collect()  # what another contender left behind is not this one's to clear
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(self.loops):
            run()
        self.cpu.append((time.process_time() - cpu) / self.loops)
        self.wall.append((time.perf_counter() - began) / self.loops)
        self.rounds.append(round_)

    def record(self, tokens: int | None = None) -> dict[str, Any]:
        """Return medians and extremes, and tokens per second where a run reads ``tokens``."""
        if self.error is not None or not self.cpu:
            return {"error": self.error or "no run was timed"}
        cpu, wall = statistics.median(self.cpu), statistics.median(self.wall)
        out: dict[str, Any] = {
            "timings": len(self.cpu),
            "runs_per_timing": self.loops,
            "cpu_seconds": cpu,
            "cpu_seconds_range": [min(self.cpu), max(self.cpu)],
            "wall_seconds": wall,
        }
        if tokens is not None:
            out |= {"tokens": tokens, "tokens_per_cpu_second": tokens / cpu, "tokens_per_wall_second": tokens / wall}
        return out


def interleave(runs: Mapping[str, Run], rounds: int, repeats: Mapping[str, int] | None = None) -> dict[str, Timing]:
    """Time contenders in turn (A, B, C, A, B, C, …) after one or two untimed runs of each.

    Parameters
    ----------
    runs : mapping from name to callable
    rounds : int
        Turns.
    repeats : mapping from name to int, optional
        Timed runs of slow contenders, spread evenly over the rounds; default ``rounds``.
    """
    timings = {name: Timing() for name in runs}
    for round_ in range(-1, rounds):
        for name, run in runs.items():
            timing = timings[name]
            if timing.error is None and _has_turn(round_, rounds, (repeats or {}).get(name, rounds)):
                _try(timing, run, round_)
    return timings


def _has_turn(round_: int, rounds: int, repeats: int) -> bool:
    return round_ < 0 or (round_ + 1) * repeats // rounds > round_ * repeats // rounds


def _try(timing: Timing, run: Run, round_: int) -> None:
    try:
        if round_ < 0:
            timing.warm(run)
        else:
            timing.add(run, round_)
    except (RuntimeError, MemoryError) as error:
        timing.error = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]


def ratio(slower: Timing, faster: Timing) -> float | None:
    """Return the median over rounds of how many times the CPU seconds of ``faster`` the other took."""
    theirs = dict(zip(slower.rounds, slower.cpu, strict=True))
    ours = dict(zip(faster.rounds, faster.cpu, strict=True))
    common = [theirs[r] / ours[r] for r in theirs if r in ours]
    return statistics.median(common) if common else None


def peak_rss_mb() -> float:
    """Return the most memory this process has held, in MB (10^6 bytes).

    Linux hands ``ru_maxrss`` on through exec, so a child of a large process starts with its parent's peak; the
    process that starts cells therefore imports neither torch nor numpy before they have run.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def rss_mb() -> float | None:
    """Return the memory this process holds now, in MB; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * resource.getpagesize() / 1e6


def matmul_runs(shapes: Mapping[str, tuple[int, int, int, int]]) -> dict[str, tuple[Run, float]]:
    """Return runs of products (groups, m, k) @ (groups, k, n), and the FLOP of each."""
    return {name: _matmul_run(*shape) for name, shape in shapes.items()}


def _matmul_run(groups: int, m: int, k: int, n: int) -> tuple[Run, float]:
    generator = torch.Generator().manual_seed(SEED)
    a, b = (torch.randn(groups, *side, generator=generator) for side in ((m, k), (k, n)))
    a, b = (a[0], b[0]) if groups == 1 else (a, b)
    out = a @ b
    return lambda: torch.matmul(a, b, out=out), 2.0 * groups * m * k * n


def pieces(total: int, size: int) -> Iterator[int]:
    """Yield the lengths of pieces of ``size`` that make up ``total``."""
    yield from (min(size, total - start) for start in range(0, total, size))
