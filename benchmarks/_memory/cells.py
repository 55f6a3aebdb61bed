"""The list of cells. This module imports neither torch nor numpy: see `measure.peak_rss_mb`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

K = 1024


@dataclass(frozen=True)
class Cell:
    """One measurement, in a process and a result file of its own.

    Attributes
    ----------
    name : str
        Also the name of its file.
    function : str
        "module.function" below `_memory`.
    arguments : dict
    quick : dict
        Arguments that differ in a smoke test.
    address_space_gb : float
        Most address space its process may take, so that a contender cannot exhaust the machine.
    """

    name: str
    function: str
    arguments: dict[str, Any]
    quick: dict[str, Any] = field(default_factory=dict)
    address_space_gb: float = 16.0

    def call(self, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        module, _, name = self.function.rpartition(".")
        function: Callable[..., dict[str, Any]] = getattr(importlib.import_module(f"_memory.{module}"), name)
        return function(**self.arguments_of(quick))

    def arguments_of(self, quick: bool) -> dict[str, Any]:
        return self.arguments | (self.quick if quick else {})


def _rate() -> list[Cell]:
    return [
        Cell(f"rate_{mode}", "speed.rate", {"mode": mode, "time": 4 * K, "d_model": 128, "rounds": 7},
             {"time": 128, "d_model": 16, "rounds": 1})
        for mode in ("forward", "train")
    ]  # fmt: skip


def _roofline() -> list[Cell]:
    shapes = {
        "1x128_expansion4": {"batch": 1, "time": 4 * K, "n_heads": 1, "head_dim": 128, "expansion": 4},
        "4x64_expansion2": {"batch": 8, "time": K, "n_heads": 4, "head_dim": 64, "expansion": 2},
        "4x64_expansion4": {"batch": 8, "time": K, "n_heads": 4, "head_dim": 64, "expansion": 4},
    }
    quick = {"batch": 1, "time": 128, "head_dim": 16, "rounds": 1}
    return [Cell(f"roofline_{name}", "speed.roofline", shape | {"rounds": 9}, quick) for name, shape in shapes.items()]


def _flat() -> list[Cell]:
    quick = {"lengths": [128, 256], "repeats": [1, 1], "d_model": 16}
    lengths = [4 * K, 16 * K, 64 * K]
    return [
        Cell("flat_forward", "speed.flat", {"mode": "forward", "lengths": lengths, "repeats": [9, 9, 5]}, quick),
        Cell("flat_train", "speed.flat", {"mode": "train", "lengths": lengths, "repeats": [9, 5, 3]}, quick),
    ]


def _memory() -> list[Cell]:
    lengths = {"16k": 16 * K, "64k": 64 * K, "256k": 256 * K, "1m": K * K}
    reading = [
        Cell(f"memory_inference_{name}", "streams.inference_memory", {"n_tokens": n, "piece": 4 * K},
             {"n_tokens": n // 64, "piece": 64})
        for name, n in lengths.items()
    ]  # fmt: skip
    training = [
        Cell(f"memory_training_{name}", "streams.training_memory", {"contender": name, "time": 16 * K, "batch": 4},
             {"time": 256, "batch": 1, "d_model": 16})
        for name in ("ours", "titans_pytorch")
    ]  # fmt: skip
    return reading + training


def _attention() -> list[Cell]:
    rounds = {1: 11, 4: 11, 16: 7, 64: 2}
    return [
        Cell(f"attention_{k}k", "speed.attention", {"time": k * K, "rounds": n}, {"time": 4 * k, "rounds": 1})
        for k, n in rounds.items()
    ]


def _decode() -> list[Cell]:
    arguments = {"sessions": 1000, "steps": 64, "single_steps": 1600, "position": 100_000}
    quick = {"sessions": 4, "steps": 2, "single_steps": 2, "position": 64}
    return [Cell(f"decode_{v}", "streams.decode", {"variant": v} | arguments, quick) for v in ("lmm", "mag")]


CELLS: tuple[Cell, ...] = (
    *_rate(),
    *_roofline(),
    *_flat(),
    *_memory(),
    *_attention(),
    Cell("share", "speed.share", {"time": 4 * K, "rounds": 15}, {"time": 64, "rounds": 1, "d_model": 16}),
    *_decode(),
    Cell(
        "genome",
        "streams.genome",
        {"piece": 8 * K, "n_cuts": 20, "n_bases": None, "d_model": 32, "n_heads": 2, "expansion": 1, "chunk_size": 64},
        {"piece": 128, "n_cuts": 3, "n_bases": 1000},
    ),
)
