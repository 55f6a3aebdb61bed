"""Forward kernels compiled for GPUs that need not be there: registers, spills and shared memory."""

from __future__ import annotations

import os
from typing import Any

import pytest
from kernel_resources import note_resources

pytest.importorskip("triton", reason="there is no Triton for this platform")
pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"), reason="an interpreted kernel cannot be compiled"
)


def compiled(
    capability: int, shapes: list[Any], *, every: bool, surprise: bool = False
) -> list[tuple[Any, dict[str, Any]]]:
    """Variants with what they need; the table of it is printed at the end of the run."""
    from titans_seq.memory.kernels.resources import compile_resources, forward_variants

    found = []
    for variant in forward_variants(shapes, surprise=surprise):
        if every or variant.default:
            needs = compile_resources(variant, capability)
            note_resources(capability, variant, needs)
            found.append((variant, needs))
    return found


def check_shared(capability: int, found: list[tuple[Any, dict[str, Any]]]) -> None:
    from titans_seq.memory.kernels.resources import SHARED_LIMITS

    too_large = [v.name for v, needs in found if v.default and needs["shared"] > SHARED_LIMITS[capability]]
    assert not too_large


def check_spills(found: list[tuple[Any, dict[str, Any]]]) -> None:
    spilling = {v.name: needs["spill_bytes"] for v, needs in found if v.default and needs["spill_bytes"]}
    assert not spilling


@pytest.mark.parametrize(("chunk_size", "width"), [(16, 64), (32, 64), (64, 64), (64, 256)])
def test_defaults_do_not_spill_on_hopper(chunk_size: int, width: int) -> None:
    from titans_seq.memory.kernels.resources import Shape

    found = compiled(90, [Shape(chunk_size, 64, width)], every=False)
    assert len(found) == 3
    check_spills(found)
    check_shared(90, found)


def test_defaults_fit_on_ampere() -> None:
    from titans_seq.memory.kernels.resources import Shape

    check_shared(80, compiled(80, [Shape(64, 64, 64)], every=False))


@pytest.mark.slow
def test_every_variant() -> None:
    from titans_seq.memory.kernels.resources import SHAPES

    found = compiled(90, list(SHAPES), every=True)
    check_shared(90, found)
    check_spills([(v, needs) for v, needs in found if v.constants.get("D", 64) <= 64])


@pytest.mark.slow
def test_defaults_with_surprise() -> None:
    from titans_seq.memory.kernels.resources import Shape

    shapes = [Shape(size, 64, width) for size in (16, 32, 64) for width in (64, 256)]
    check_spills(compiled(90, shapes, every=False, surprise=True))


@pytest.mark.slow
def test_every_default_fits_on_ampere() -> None:
    from titans_seq.memory.kernels.resources import SHAPES

    check_shared(80, compiled(80, list(SHAPES), every=False))
