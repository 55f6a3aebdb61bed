"""Sizes of the GPU benchmark, and the clock of its device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

Run = Callable[[], Any]


@dataclass(frozen=True)
class Setup:
    """Where and how large.

    Attributes
    ----------
    device : str
    d_model, n_heads : int
    time : int
        Tokens per stream.
    batches : tuple of int
        Streams; the last is the least that gives 264 heads (two for each of 132 multiprocessors) or more.
    lengths : tuple of int
        Of the comparison with attention.
    length_batches : tuple of int
        Streams of that comparison.
    stream, piece : int
        Tokens of one long stream, and of a piece of it.
    matmul : int
        Side of the square product that sets the roofline.
    rounds, warm_up : int
        Timed and untimed runs.
    epochs : int
        Of the forecaster.
    """

    device: str
    d_model: int = 896
    n_heads: int = 14
    time: int = 2048
    batches: tuple[int, ...] = (4, 19)
    lengths: tuple[int, ...] = (4096, 8192, 16384, 32768, 65536)
    length_batches: tuple[int, ...] = (1, 8)
    stream: int = 1 << 20
    piece: int = 1 << 16
    matmul: int = 8192
    rounds: int = 12
    warm_up: int = 3
    epochs: int = 12

    @classmethod
    def tiny(cls, device: str) -> Setup:
        """Sizes that a CPU reads in a second, to see that everything runs."""
        return cls(
            device, d_model=32, n_heads=2, time=64, batches=(1, 2), lengths=(64, 128), length_batches=(1,), stream=512,
            piece=128, matmul=64, rounds=2, warm_up=1, epochs=1,
        )  # fmt: skip

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads

    @property
    def backends(self) -> tuple[str, ...]:
        return ("triton", "torch") if self.device == "cuda" else ("torch",)


def interleave(
    runs: Mapping[str, Run], setup: Setup, tokens: int, rounds: int | None = None, warm_up: int | None = None
) -> dict[str, Any]:
    """Time contenders in turn; a contender that fails is recorded with its error and left out from then on."""
    out: dict[str, Any] = {}
    milliseconds: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(-(warm_up or setup.warm_up), rounds or setup.rounds):
        for name, run in runs.items():
            if name in out:
                continue
            try:
                elapsed = timed(run, setup.device)
            except Exception as error:  # whatever a kernel or a peer fails with belongs into the record
                out[name] = {"error": error_text(error)}
                _empty_cache(setup.device)
                continue
            if round_ >= 0:
                milliseconds[name].append(elapsed)
    memory = {name: _peak_mb(run, setup.device) for name, run in runs.items() if name not in out}
    for name, ms in milliseconds.items():
        if name not in out:
            median = statistics.median(ms)
            out[name] = {
                "runs": len(ms), "milliseconds": median, "milliseconds_range": [min(ms), max(ms)],
                "tokens": tokens, "tokens_per_second": 1e3 * tokens / median, "peak_memory_mb": memory[name],
            }  # fmt: skip
    return {name: out[name] for name in runs}


def timed(run: Run, device: str) -> float:
    """Return milliseconds of one run, by the device's own clock."""
    if device != "cuda":
        began = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - began)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def _peak_mb(run: Run, device: str) -> float | None:
    """Return the peak of one more run above what was held before it (all contenders' weights, say)."""
    if device != "cuda":
        return None
    _empty_cache(device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _empty_cache(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()


def error_text(error: BaseException) -> str:
    """Return the type and first lines of an error."""
    return f"{type(error).__name__}: {error}"[:1000]


def attempt(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a part gives, or its error."""
    try:
        return part()
    except Exception as error:  # as in `interleave`
        return {"error": error_text(error)}


def prepared(make: Callable[[], Run]) -> Run:
    """Return a contender, or, where it cannot be made, a run that raises the reason: `interleave` records it."""
    try:
        return make()
    except Exception as error:  # as in `interleave`
        reason = error

        def fail() -> None:
            raise reason

        return fail
