"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BACKBONE = {
    "d_model": 64, "n_layers": 2, "n_heads": 1, "memory_expansion": 2, "chunk_size": 32, "window_size": 16,
    "gate": "hard",
}  # fmt: skip
"""Of every cell; privacy is measured with `mag`."""
SMALL = {"d_model": 16, "memory_expansion": 1}


@dataclass(frozen=True)
class Cell:
    """One measurement, in a process and a result file of its own.

    Attributes
    ----------
    name : str
        Also the name of its file.
    function : str
        "module.function" below `_sessions`; called with the cache's folder, the backbone, and the arguments.
    arguments : dict
    quick : dict
        Arguments that differ in a smoke test.
    threads : int
    """

    name: str
    function: str
    arguments: dict[str, Any]
    quick: dict[str, Any] = field(default_factory=dict)
    threads: int = 1

    def call(self, cache: Path, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        module, _, name = self.function.rpartition(".")
        function: Callable[..., dict[str, Any]] = getattr(importlib.import_module(f"_sessions.{module}"), name)
        return function(cache, BACKBONE | (SMALL if quick else {}), **self.arguments_of(quick))

    def arguments_of(self, quick: bool) -> dict[str, Any]:
        return self.arguments | (self.quick if quick else {})


def _pools() -> list[Cell]:
    arguments = {"sessions": 1000, "steps": 80, "tenths": 100, "singles": 500}
    quick = {"sessions": 10, "steps": 2, "tenths": 2, "singles": 2}
    return [
        Cell(f"pool_{variant}_{threads}", "speed.pool", {"variant": variant} | arguments, quick, threads)
        for variant in ("mag", "lmm")
        for threads in (1, 2)
    ]


def _files() -> list[Cell]:
    return [
        Cell(f"files_{variant}", "speed.files", {"variant": variant, "sessions": 1000, "moves": 200},
             {"sessions": 8, "moves": 2})
        for variant in ("mag", "lmm")
    ]  # fmt: skip


CELLS: tuple[Cell, ...] = (
    *_pools(),
    *_files(),
    Cell("train", "model.train", {"n_needles": 8, "seed": 0}, {"steps": 1}),
    Cell("asked", "asked.asked", {"pairs": 100, "rounds": 8, "length": 64}, {"pairs": 2, "rounds": 1, "length": 9}),
    Cell("probe", "probe.probe", {"pairs": 100, "rounds": 8, "length": 48, "after": 8, "values": 8, "leak": 0.1},
         {"pairs": 4, "rounds": 2, "length": 9, "after": 2, "values": 2}),
)  # fmt: skip
