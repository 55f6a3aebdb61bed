"""Backward kernels against autograd of the formulas; run by test_kernels_interpreted.py under the interpreter."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
import torch
from memory_arrays import SegmentCase, SegmentTrace, make_case, run_segment, segment_arrays
from torch import Tensor

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET", "0") in ("", "0"),
        reason="kernels run on a CPU under TRITON_INTERPRET=1 only",
    ),
    # Of a sigmoid far on its flat side, which is right all the same.
    pytest.mark.filterwarnings("ignore:overflow encountered in exp"),
]

ACTING = {"value_scale": 300.0, "drift": 1.0, "forget": 0.01}  # errors beyond 4 K, and a hidden layer beyond its radius
CASES: dict[str, dict[str, Any]] = {
    "one layer": dict(depth=1, chunks=3, groups=2),
    "one layer, odd": dict(depth=1, chunks=2, groups=3, heads=3, dim=24, exact_gates=True, masked=True),
    "one layer, wide": dict(depth=1, chunks=1, groups=1, chunk=32, dim=48, masked=True),
    "one layer, titans": dict(depth=1, rule="titans", chunks=2, groups=2, heads=2, dim=24, masked=True),
    "one layer, titans, long chunk": dict(depth=1, rule="titans", chunks=1, groups=1, chunk=64, exact_gates=True),
    "titans": dict(rule="titans", chunks=3, groups=2, width=48, exact_gates=True),
    "titans, odd": dict(rule="titans", chunks=2, groups=3, heads=3, chunk=32, dim=24, width=80, masked=True),
    "plain": dict(chunks=1, groups=1, width=16),
    "gates at their ends": dict(chunks=3, groups=2, heads=2, width=48, exact_gates=True, masked=True),
    "wide head": dict(chunks=2, groups=1, dim=72, width=32, masked=True),
    "tail of a block": dict(chunks=2, groups=2, dim=24, width=80, masked=True),
    "acting": dict(chunks=3, groups=2, width=48, masked=True, **ACTING),
    "acting, some groups open": dict(chunks=2, groups=3, heads=1, dim=24, completed=(True, False, True), **ACTING),
    "acting, chunk of 32": dict(chunks=2, groups=2, heads=2, chunk=32, dim=48, width=80, masked=True, **ACTING),
    "acting, chunk of 64": dict(chunks=2, groups=1, chunk=64, width=32, exact_gates=True, **ACTING),
}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """New arrays are full of NaN, so that reading what no kernel wrote shows."""
    for name in ("empty", "empty_like"):
        new = getattr(torch, name)

        def filled(*args: Any, new: Any = new, **options: Any) -> Tensor:
            x = new(*args, **options)
            return x.fill_(float("nan")) if x.is_floating_point() else x

        monkeypatch.setattr(torch, name, filled)


class Ends:
    """Gradients asked of what a segment gives; ``only_reads`` asks nothing of its end or its errors."""

    def __init__(self, trace: SegmentTrace, *, only_reads: bool = False) -> None:
        g = torch.Generator().manual_seed(1)

        def draw(x: Tensor) -> Tensor:
            return torch.randn(x.shape, generator=g, dtype=torch.float64)

        self.y = draw(trace.y)
        self.weights = self.momentum = self.surprise = None
        if not only_reads:
            self.weights = tuple(map(draw, trace.weights))
            self.momentum = tuple(map(draw, trace.momentum))
            self.surprise = draw(trace.surprise)

    def loss(self, trace: SegmentTrace) -> Tensor:
        total = (self.y * trace.y).sum()
        if self.weights is not None and self.momentum is not None and self.surprise is not None:
            pairs = zip((*self.weights, *self.momentum), (*trace.weights, *trace.momentum), strict=True)
            total = total + sum((a * b).sum() for a, b in pairs) + (self.surprise * trace.surprise).sum()
        return total

    def given(self, dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
        def cast(x: Any) -> Any:
            if isinstance(x, tuple):
                return tuple(map(cast, x))
            return None if x is None else x.float()

        return (self.y.to(dtype), *map(cast, (self.weights, self.momentum, self.surprise)))


def expected(case: SegmentCase, ends: Ends | None = None) -> tuple[dict[str, Tensor], SegmentTrace, Ends]:
    """Gradients by autograd in float64."""
    leaf = case.to(torch.float64, requires_grad=True)
    trace = run_segment(leaf)
    ends = ends or Ends(trace)
    ends.loss(trace).backward()
    grads = {name: torch.zeros_like(x) if x.grad is None else x.grad for name, x in leaf.leaves.items()}
    for gate in ("theta", "eta", "alpha"):
        grads[gate] = grads[gate].where(case.keep, 0.0)
    return grads, trace, ends


def computed(case: SegmentCase, arrays: Any, ends: Ends, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The same from the kernels."""
    from titans_seq.memory.kernels.backward import backward_segment

    c = case.to(torch.float32)
    tokens = (x.to(dtype) for x in (c.q, c.k, c.v))
    grads = backward_segment(
        arrays,
        *tokens,
        c.theta,
        c.eta,
        c.alpha,
        c.keep,
        c.initial,
        *ends.given(dtype),
        completed=c.completed,
        rule=c.rule,
    )
    named = {name: getattr(grads, name) for name in ("q", "k", "v", "theta", "eta", "alpha")}
    for name in ("weights", "momentum", "initial"):
        named.update({f"{name}_{i}": x for i, x in enumerate(getattr(grads, name))})
    return named


def worst(got: dict[str, Tensor], want: dict[str, Tensor]) -> dict[str, float]:
    """Largest error of each gradient, relative to its largest entry."""
    assert got.keys() == want.keys()
    errors = {}
    for name, x in want.items():
        size = x.abs().max().item()
        assert got[name].shape == x.shape
        assert got[name].isfinite().all(), name
        errors[name] = (got[name].double() - x).abs().max().item() / (size or 1.0)
    return errors


@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str) -> None:
    case = make_case(**CASES[name])
    want, trace, ends = expected(case)
    if name.startswith("acting"):
        assert min(c["damping"].min().item() for c in trace.chunks) < 0.9
        assert any((c["factor"] < 1).any() for c in trace.chunks)
    errors = worst(computed(case, segment_arrays(case, trace), ends), want)
    print(name, f"{max(errors.values()):.1e}")
    assert max(errors.values()) <= 1e-4, errors


@pytest.mark.parametrize("depth", [1, 2])
def test_nothing_asked_of_the_end(depth: int) -> None:
    case = make_case(depth=depth, masked=True)
    leaf = case.to(torch.float64, requires_grad=True)
    ends = Ends(run_segment(leaf), only_reads=True)
    want, trace, _ = expected(case, ends)
    errors = worst(computed(case, segment_arrays(case, trace), ends), want)
    assert max(errors.values()) <= 1e-4, errors


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
def test_short_types(depth: int, dtype: torch.dtype, tolerance: float) -> None:
    """Tokens in 16 bits: their own gradients are rounded (by the interpreter: cut off) to them, the rest is not."""
    case = make_case(depth=depth, dim=24, width=48, masked=True)
    rounded = {name: getattr(case, name).to(dtype).double() for name in ("q", "k", "v")}
    case = replace(case, **rounded)
    want, trace, ends = expected(case)
    ends.y = ends.y.to(dtype).double()
    want, trace, ends = expected(case, ends)
    got = computed(case, segment_arrays(case, trace), ends, dtype)
    errors = worst(got, want)
    assert {got[name].dtype for name in ("q", "k", "v")} == {dtype}
    assert max(errors[name] for name in ("q", "k", "v")) <= tolerance, errors
    assert max(e for name, e in errors.items() if name not in ("q", "k", "v")) <= 1e-4, errors


def test_batch_shares_the_initial_weights() -> None:
    """Two rows of one head give the sum of what each gives alone."""
    both = make_case(chunks=2, groups=2, heads=1, **ACTING)
    want, trace, ends = expected(both)
    got = computed(both, segment_arrays(both, trace), ends)
    again = computed(both, segment_arrays(both, trace), ends)
    assert all(torch.equal(got[name], again[name]) for name in got)
    assert got["initial_0"].shape == both.initial[0].shape
    assert worst(got, want)["initial_0"] <= 1e-4


def test_equal_errors_count_once() -> None:
    """Of equal largest errors the earliest takes the damping's gradient; the sum over both is the same for all."""
    case = make_case(chunks=1, groups=1, value_scale=300.0, drift=0.0)
    for x in (case.k, case.v):
        x[:, :, 1] = x[:, :, 0]
    for gate, value in ((case.theta, 0.5), (case.eta, 0.0), (case.alpha, 0.0)):
        gate.fill_(value)
    case = replace(case, momentum=tuple(torch.zeros_like(s) for s in case.momentum))
    want, trace, ends = expected(case)
    assert trace.chunks[0]["right"][0, 0].equal(trace.chunks[0]["right"][0, 1])
    assert trace.chunks[0]["damping"].min() < 0.9
    got = computed(case, segment_arrays(case, trace), ends)
    errors = worst(got, want)
    assert max(errors[name] for name in ("weights_0", "weights_1", "momentum_0", "momentum_1", "q")) <= 1e-4, errors
    for name in ("k", "v"):
        pair = (got[name].double() - want[name])[0, 0, :2].sum(0).abs().max()
        assert pair <= 1e-4 * want[name].abs().max()


@pytest.mark.parametrize("name", ["one layer, odd", "titans, odd", "acting, some groups open"])
def test_after_the_forward_kernels(name: str) -> None:
    """From the arrays that the forward kernels leave."""
    from titans_seq.memory.kernels.forward import forward_segment

    case = make_case(**CASES[name])
    want, _, ends = expected(case)
    c = case.to(torch.float32)
    *_, arrays = forward_segment(
        c.q,
        c.k,
        c.v,
        c.theta,
        c.eta,
        c.alpha,
        c.keep,
        c.weights,
        c.momentum,
        c.initial,
        completed=c.completed,
        rule=c.rule,
        save=True,
    )
    errors = worst(computed(case, arrays, ends), want)
    print(name, f"{max(errors.values()):.1e}")
    assert max(errors.values()) <= 2e-4, errors
