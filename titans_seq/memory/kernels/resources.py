"""What the kernels need of a GPU, from the compiler: registers, spills and shared memory. No GPU is needed."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from titans_seq.memory.kernels.forward import COEFFICIENTS, OUTPUT, STATE
from titans_seq.memory.kernels.tuning import TunedKernel, block_width

SHARED_LIMITS = {80: 163 << 10, 90: 227 << 10}
INPUTS = frozenset({"q", "k", "v", "y"})  # in the caller's type; everything else is fp32
FLAGS = frozenset({"keep", "completed"})


@dataclass(frozen=True)
class Shape:
    """Sizes and kind of one memory, and the type of its tokens as Triton names it."""

    chunk_size: int = 64
    head_dim: int = 64
    width: int = 64
    depth: int = 2
    rule: str = "bounded"
    dtype: str = "bf16"

    @property
    def constants(self) -> dict[str, Any]:
        """Constants of the kernels for this shape."""
        return {
            "B": self.chunk_size,
            "D": self.head_dim,
            "BLOCK_D": block_width(self.head_dim),
            "E": self.width if self.depth == 2 else self.head_dim,
            "DEPTH": self.depth,
            "BOUNDED": self.rule == "bounded",
            "PRECISION": "tf32",
        }

    def __str__(self) -> str:
        return f"b{self.chunk_size} D{self.head_dim} E{self.width} depth {self.depth} {self.rule} {self.dtype}"


@dataclass(frozen=True)
class Variant:
    """One kernel as it may be launched.

    Attributes
    ----------
    name : str
    kernel : triton.JITFunction
    types : dict
        Type of each run-time argument, ``":16"`` appended where it is divisible by 16.
    constants : dict
        Value of every other argument.
    options : dict
        Of the compiler: num_warps, num_stages.
    default : bool
        Whether it is the first choice, which runs before anything was measured.
    """

    name: str
    kernel: Any
    types: dict[str, str]
    constants: dict[str, Any]
    options: dict[str, Any]
    default: bool


SHAPES = (
    *(Shape(b, 64, e) for b in (16, 32, 64) for e in (64, 128, 256)),
    Shape(64, 128, 128),
    Shape(64, 24, 48, dtype="fp32"),
    Shape(64, 64, 64, rule="titans"),
    Shape(64, 64, depth=1),
    Shape(64, 64, depth=1, rule="titans", dtype="fp16"),
)


def forward_variants(shapes: Iterable[Shape] = SHAPES, *, surprise: bool = False) -> Iterator[Variant]:
    """Every variant of the forward kernels that can be chosen for these shapes."""
    asked: dict[str, Any] = {"SURPRISE": True} if surprise else {"SURPRISE": False, "surprise": None}
    for shape in shapes:
        absent = _absent(shape)
        sizes = shape.constants
        yield from variants("coefficients", COEFFICIENTS, shape, {"B": shape.chunk_size})
        yield from variants("state", STATE[shape.chunk_size], shape, {**sizes, **absent})
        yield from variants("output", OUTPUT[shape.chunk_size], shape, {**sizes, **absent, **asked})


def _absent(shape: Shape) -> dict[str, None]:
    """Arrays that a memory of this shape does not have."""
    names: list[str] = []
    if shape.depth == 1:
        names += ["w1", "s1", "i1", "damping"]
    if shape.rule != "bounded":
        names += ["right", "damping", "inverse"]
    return dict.fromkeys(names)


def variants(name: str, tuned: TunedKernel, shape: Shape, constants: dict[str, Any]) -> Iterator[Variant]:
    """Variants of one kernel; ``constants`` are all its constexprs but those that configurations set."""
    names = tuned.kernel.arg_names
    constants = {key: value for key, value in constants.items() if key in names}
    for i, config in enumerate(tuned.configs(constants)):
        chosen = {**constants, **config.kwargs}
        options = {"num_warps": config.num_warps, "num_stages": config.num_stages}
        settings = " ".join(f"{key} {value}" for key, value in {**config.kwargs, **options}.items())
        types = {arg: _type(arg, shape.dtype) for arg in names if arg not in chosen}
        yield Variant(f"{name} {shape} | {settings}", tuned.kernel, types, chosen, options, default=i == 0)


def _type(name: str, dtype: str) -> str:
    if name in ("N", "G", "H"):
        return "i32"
    if name in FLAGS:
        return "*i1:16"
    return f"*{dtype if name in INPUTS else 'fp32'}:16"


def compile_resources(variant: Variant, capability: int) -> dict[str, Any]:
    """Compile for an NVIDIA GPU of this compute capability (80, 90).

    Returns
    -------
    dict
        ``registers`` per thread, ``spill_bytes`` per thread (stores and loads), ``shared`` bytes per program and
        the ``seconds`` it took.
    """
    start = time.perf_counter()
    signature, attributes = {}, {}
    for i, name in enumerate(variant.kernel.arg_names):
        if name in variant.constants:
            signature[name] = "constexpr"
            continue
        signature[name], _, divisor = variant.types[name].partition(":")
        if divisor:
            attributes[(i,)] = [["tt.divisibility", int(divisor)]]
    source = ASTSource(variant.kernel, signature, variant.constants, attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=variant.options)
    registers, spilled = _assemble(compiled.asm["ptx"])
    return {
        "registers": registers,
        "spill_bytes": spilled,
        "shared": compiled.metadata.shared,
        "seconds": time.perf_counter() - start,
    }


def _assemble(ptx: str) -> tuple[int, int]:
    """Registers and spilled bytes per thread, as the assembler reports them."""
    found = re.search(r"\.target\s+(sm_\w+)", ptx)
    assert found is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.ptx")
        path.write_text(ptx)
        assembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
        command = [str(assembler), "-v", f"--gpu-name={found[1]}", str(path), "-o", str(path.with_suffix(".cubin"))]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    registers = max(map(int, re.findall(r"Used (\d+) registers", report)))
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", report)
    return registers, max(int(stores) + int(loads) for stores, loads in spills)
