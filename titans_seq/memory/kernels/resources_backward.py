"""What the backward kernels need of a GPU: their variants, for `resources.compile_resources`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from titans_seq.memory.kernels import launches_backward as launches
from titans_seq.memory.kernels.launches_backward import WIDE_BLOCK, head_block, square_block
from titans_seq.memory.kernels.resources import SHAPES, Shape, Variant, variants
from titans_seq.memory.kernels.tuning import TunedKernel

TOKENS = frozenset({"q", "k", "y_grad", "q_grad", "k_grad", "v_grad"})  # in the caller's type
COUNTS = frozenset({"N", "G", "H", "parts", "span"})
BOUNDED_ONLY = (
    "right damping inverse motion tangent hidden_tangent hidden_kernel key_kernel norms right_back tangent_grad "
    "damping_grad feature_pairs slope_pairs path_before_grad before_grad"
).split()


def backward_variants(shapes: Iterable[Shape] = SHAPES, *, surprise: bool = False) -> Iterator[Variant]:
    """Every variant of the backward kernels that can be chosen for these shapes.

    ``surprise``: with a gradient asked of the errors' norms.
    """
    for shape in shapes:
        norms: dict[str, Any] = {"SURPRISE": True} if surprise else {"SURPRISE": False, "surprise_grad": None}
        yield from _deep(shape, norms) if shape.depth == 2 else _linear(shape, norms)
        yield from _of("queries", launches.QUERIES[shape.chunk_size], shape, _reads(shape))
        yield from _of(
            "carry", launches.CARRY[shape.chunk_size], shape, {**_second(shape), "SIZE": shape.head_dim * _width(shape)}
        )
        yield from _of("coefficients", launches.COEFFICIENTS[shape.chunk_size], shape, {})


def _width(shape: Shape) -> int:
    return int(shape.constants["E"])


def _deep(shape: Shape, norms: dict[str, Any]) -> Iterator[Variant]:
    gridded: dict[str, Any] = {"BLOCK_E": WIDE_BLOCK}
    yield from _of("features", launches.FEATURES[shape.chunk_size], shape, gridded)
    yield from _of("gram", launches.GRAM[shape.chunk_size], shape, norms)
    yield from _of("hidden", launches.HIDDEN[shape.chunk_size], shape, gridded)
    yield from _of(
        "first", launches.FIRST[shape.chunk_size], shape, {**gridded, "SURPRISE": False, "surprise_grad": None}
    )
    yield from _of("state", launches.STATE, shape, {})
    yield from _of("keys", launches.KEYS[shape.chunk_size], shape, {})
    if shape.rule == "bounded":
        yield from _initial(shape, 1, shape.head_dim, _width(shape), ("inputs_q", "inputs_k"))
        yield from _initial(shape, 2, _width(shape), shape.head_dim, ("outputs_q_grad",))


def _linear(shape: Shape, norms: dict[str, Any]) -> Iterator[Variant]:
    gridded: dict[str, Any] = {"BLOCK_E": WIDE_BLOCK}
    yield from _of("first", launches.FIRST[shape.chunk_size], shape, {**gridded, **norms}, ("z_grad",))
    yield from _of("state", launches.STATE_LINEAR[shape.chunk_size], shape, gridded)
    yield from _of("linear", launches.LINEAR[shape.chunk_size], shape, {})
    if shape.rule == "bounded":
        tokens = ("inputs_q", "inputs_k", "outputs_q_grad")
        yield from _initial(shape, 0, shape.head_dim, shape.head_dim, tokens)


def _reads(shape: Shape) -> dict[str, Any]:
    """Arguments of the queries' kernel that come from a hidden layer, absent with one layer."""
    return {} if shape.depth == 2 else dict.fromkeys(("hidden", "seen_grad", "gates_parts"))


def _second(shape: Shape) -> dict[str, Any]:
    """The second layer's arguments, absent with one layer."""
    return {} if shape.depth == 2 else dict.fromkeys(("w2", "s2", "i2", "w2_grad", "s2_grad"))


def _initial(shape: Shape, layer: int, inner: int, outer: int, tokens: tuple[str, ...]) -> Iterator[Variant]:
    constants: dict[str, Any] = {
        "INNER": inner,
        "OUTER": outer,
        "INNER_BLOCK": square_block(inner),
        "OUTER_BLOCK": square_block(outer),
        "LAYER": layer,
    }
    if layer != 1:
        constants["hidden"] = None
    yield from _of(f"initial {layer}", launches.INITIAL[shape.chunk_size], shape, constants, tokens)


def _of(
    name: str, tuned: TunedKernel, shape: Shape, constants: dict[str, Any], tokens: tuple[str, ...] = ()
) -> Iterator[Variant]:
    """Variants of one kernel; ``tokens`` are further arguments in the caller's type."""
    absent = {} if shape.rule == "bounded" else dict.fromkeys(BOUNDED_ONLY)
    tile = {"BLOCK_D": head_block(shape.chunk_size, shape.head_dim)}
    known = {**shape.constants, **tile, **absent, **constants}
    for variant in variants(f"backward {name}", tuned, shape, known):
        yield replace(variant, types={arg: _type(arg, shape, tokens) for arg in variant.types})


def _type(name: str, shape: Shape, tokens: tuple[str, ...]) -> str:
    if name in COUNTS:
        return "i32"
    if name == "keep":
        return "*i1:16"
    if name in TOKENS or name in tokens or (shape.depth == 1 and name == "z_grad"):
        return f"*{shape.dtype}:16"
    return "*fp32:16"
