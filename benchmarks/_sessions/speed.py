"""Throughput and latency of a pool, and what it costs to save, evict and restore a session."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _memory.measure import SEED, interleave, matmul_runs, peak_rss_mb

from titans_seq.nn import Backbone, BackboneState, Sessions

Result = dict[str, Any]
WARM_UP = 8


@torch.no_grad()
def pool(
    cache: Path, backbone: Result, variant: str, sessions: int, steps: int, tenths: int, singles: int
) -> Result:  # fmt: skip
    """All sessions stepping, a random tenth, and a single one: in the full pool, and in a pool of its own."""
    before, (crowd, ids) = machine(), full_pool(backbone, variant, sessions)
    random = np.random.default_rng(SEED)
    x = torch.randn(sessions, backbone["d_model"], generator=torch.Generator().manual_seed(SEED))
    tenth = max(1, sessions // 10)
    picks = (random.permutation(ids)[:tenth].tolist() for _ in range(tenths + WARM_UP))
    ones = ([int(random.choice(ids))] for _ in range(singles + WARM_UP))
    results = {
        "all": _stepped(crowd, (ids for _ in range(steps + WARM_UP)), x),
        "a random tenth": _stepped(crowd, picks, x),
        "one, in the full pool": _stepped(crowd, ones, x),
    }
    state_bytes = crowd.peek(ids[0]).nbytes
    alone = Sessions(crowd.backbone, capacity=1)
    session = alone.join(crowd.peek(ids[0]))
    results["one, alone"] = _stepped(alone, ([session] for _ in range(singles + WARM_UP)), x)
    return {
        "sessions": sessions,
        "bytes_per_session": state_bytes,
        "bytes_of_the_pool": state_bytes * crowd.capacity,
        "parameters": sum(p.numel() for p in crowd.backbone.parameters()),
        "peak_rss_mb": peak_rss_mb(),
        "steps": results,
        "machine": {"before": before, "after": machine()},
    }


def full_pool(backbone: Result, variant: str, sessions: int) -> tuple[Sessions, list[int]]:
    """Sessions at all phases of a chunk, so that no step closes the chunks of all of them."""
    torch.manual_seed(SEED)
    net = Backbone(variant=variant, **backbone).eval()
    phases = [_after(net, net.config.chunk_size + n) for n in range(min(sessions, net.config.chunk_size))]
    crowd = Sessions(net, capacity=sessions)
    return crowd, [crowd.join(phases[n % len(phases)]) for n in range(sessions)]


def _after(net: Backbone, n: int) -> BackboneState:
    return net(torch.randn(1, n, net.config.d_model))[1]


def _stepped(crowd: Sessions, turns: Iterable[list[int]], x: torch.Tensor) -> Result:
    """Latency of the steps after the first few, by the clock and in CPU time, and sessions stepped per second."""
    clock = Clock()
    done = 0
    for n, who in enumerate(turns):
        tokens = x[: len(who)]
        if n < WARM_UP:
            crowd.step(who, tokens)
        else:
            clock.time(lambda who=who, tokens=tokens: crowd.step(who, tokens))  # type: ignore[misc]
            done += len(who)
    rates = {
        "session_steps_per_wall_second": done / sum(clock.wall),
        "session_steps_per_cpu_second": done / sum(clock.cpu),
    }
    return clock.record() | rates


@torch.no_grad()
def files(cache: Path, backbone: Result, variant: str, sessions: int, moves: int) -> Result:
    """Sessions chosen at random are saved; evicted; restored: all in a full pool, some of which steps in between."""
    before, (crowd, ids) = machine(), full_pool(backbone, variant, sessions)
    random, x = np.random.default_rng(SEED), torch.randn(sessions, backbone["d_model"])
    clocks = {name: Clock() for name in ("save", "evict", "restore", "join", "forget", "leave")}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "session.safetensors"
        for _ in range(moves):
            ids = list(ids)
            n = int(random.integers(sessions))
            session = ids[n]
            crowd.step([session], x[:1])
            clocks["save"].time(lambda: crowd.save(session, file))  # noqa: B023
            clocks["evict"].time(lambda: crowd.evict(session, file))  # noqa: B023
            ids[n] = clocks["restore"].time(lambda: crowd.restore(file))
            visitor = clocks["join"].time(crowd.join)
            crowd.step([visitor], x[:1])
            clocks["forget"].time(lambda: crowd.forget(visitor))  # noqa: B023
            clocks["leave"].time(lambda: crowd.leave(visitor))  # noqa: B023
        file_bytes = file.stat().st_size
    return {
        "sessions": sessions,
        "bytes_in_the_pool": crowd.peek(ids[0]).nbytes,
        "bytes_in_the_file": file_bytes,
        "moves": {name: clock.record() for name, clock in clocks.items()},
        "machine": {"before": before, "after": machine()},
    }


def machine() -> Result:
    """What the machine gives at this moment, others being on it: products and copies per second of the clock."""
    product, flop = matmul_runs({"": (1, 512, 512, 512)})[""]
    into, numbers = torch.empty(1 << 24), torch.ones(1 << 24)
    timings = interleave({"product": product, "copy": lambda: into.copy_(numbers)}, 3)
    gflop, copied = (float(np.median(timings[name].wall)) for name in ("product", "copy"))
    return {"gflop_per_second": 1e-9 * flop / gflop, "gb_copied_per_second": 1e-9 * numbers.nbytes / copied}


class Clock:
    """Seconds of calls, by the clock and in CPU time."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def time(self, call: Callable[[], Any]) -> Any:
        """Call it and note what it took."""
        began, cpu = time.perf_counter(), time.process_time()
        found = call()
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - began)
        return found

    def record(self) -> Result:
        """Return percentiles in milliseconds."""
        out: Result = {"calls": len(self.wall)}
        for name, seconds in (("wall", self.wall), ("cpu", self.cpu)):
            ms = 1e3 * np.array(seconds)
            out |= {f"{name}_p50_ms": float(np.percentile(ms, 50)), f"{name}_p99_ms": float(np.percentile(ms, 99))}
            out[f"{name}_mean_ms"] = float(ms.mean())
        return out
