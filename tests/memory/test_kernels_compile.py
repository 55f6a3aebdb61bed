"""Forward kernels compiled for GPUs that need not be there: registers, spills and shared memory.

Of all variants those are compiled in which every two settings (kernel, sizes, rule, types, configuration) meet; with
TITANS_SEQ_EVERY_VARIANT=1 in the environment all are.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from kernel_resources import note_resources
from kernel_variants import default_shape, every_wanted, some_of

pytest.importorskip("triton", reason="there is no Triton for this platform")
pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"), reason="an interpreted kernel cannot be compiled"
)


HOPPER = [(16, 64), (32, 64), (64, 64), (64, 256)]
AMPERE = [(64, 64)]


def variants(shapes: list[Any], *, every: bool = False, surprise: bool = False) -> list[Any]:
    from titans_seq.memory.kernels.resources import forward_variants

    return [v for v in forward_variants(shapes, surprise=surprise) if every or v.default]


def compiled(capability: int, chosen: list[Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Variants with what they need; the table of it is printed at the end of the run."""
    from titans_seq.memory.kernels.resources import compile_resources

    found = []
    for variant in chosen:
        needs = compile_resources(variant, capability)
        note_resources(capability, variant, needs)
        found.append((variant, needs))
    return found


def of_sizes(sizes: list[tuple[int, int]]) -> list[Any]:
    """Shapes of chunk sizes and widths."""
    from titans_seq.memory.kernels.resources import Shape

    return [Shape(chunk_size, 64, width) for chunk_size, width in sizes]


def check_shared(capability: int, found: list[tuple[Any, dict[str, Any]]]) -> None:
    from titans_seq.memory.kernels.resources import SHARED_LIMITS

    too_large = [v.name for v, needs in found if v.default and needs["shared"] > SHARED_LIMITS[capability]]
    assert not too_large


def check_spills(found: list[tuple[Any, dict[str, Any]]]) -> None:
    spilling = {v.name: needs["spill_bytes"] for v, needs in found if v.default and needs["spill_bytes"]}
    assert not spilling


@pytest.mark.parametrize(("chunk_size", "width"), HOPPER)
def test_defaults_do_not_spill_on_hopper(chunk_size: int, width: int) -> None:
    found = compiled(90, variants(of_sizes([(chunk_size, width)])))
    assert len(found) == 3
    check_spills(found)
    check_shared(90, found)


def test_the_memory_of_an_estimator_that_was_told_nothing_does_not_spill_on_hopper() -> None:
    found = compiled(90, variants([default_shape()]))
    assert len(found) == 3
    check_spills(found)
    check_shared(90, found)


def test_defaults_fit_on_ampere() -> None:
    check_shared(80, compiled(80, variants(of_sizes(AMPERE))))


@pytest.mark.slow
def test_every_two_settings_together() -> None:
    from titans_seq.memory.kernels.resources import SHAPES

    chosen = some_of(variants(list(SHAPES), every=True), variants(of_sizes(HOPPER)))
    found = compiled(90, chosen)
    check_shared(90, found)
    check_spills([(v, needs) for v, needs in found if v.constants.get("D", 64) <= 64])


@pytest.mark.slow
def test_defaults_with_surprise() -> None:
    """Only kernels that surprise is asked of are others than without it."""
    shapes = of_sizes([(size, width) for size in (16, 32, 64) for width in (64, 256)])
    chosen = [v for v in variants(shapes, surprise=True) if v.constants.get("SURPRISE") or every_wanted()]
    assert len(chosen) >= 6
    check_spills(compiled(90, chosen))


@pytest.mark.slow
def test_every_two_settings_of_defaults_fit_on_ampere() -> None:
    from titans_seq.memory.kernels.resources import SHAPES

    check_shared(80, compiled(80, some_of(variants(list(SHAPES)), variants(of_sizes(AMPERE)))))
