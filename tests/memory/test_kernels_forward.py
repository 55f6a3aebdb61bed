"""Forward kernels against the formulas in float64; run by test_kernels_interpreted.py under Triton's interpreter."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from memory_formulas import Segment, segment_by_formulas
from torch import Tensor

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET", "0") in ("", "0"),
        reason="kernels run on a CPU under TRITON_INTERPRET=1 only",
    ),
    # Of a sigmoid far on its flat side, which is right all the same.
    pytest.mark.filterwarnings("ignore:overflow encountered in exp"),
]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """New arrays are full of NaN, so that reading what no kernel wrote shows."""
    empty, empty_like = torch.empty, torch.empty_like

    def fill(x: Tensor) -> Tensor:
        return x.fill_(float("nan")) if x.is_floating_point() else x

    monkeypatch.setattr(torch, "empty", lambda *a, **k: fill(empty(*a, **k)))
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: fill(empty_like(*a, **k)))
    new_empty = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda self, *a, **k: fill(new_empty(self, *a, **k)))


@dataclass(frozen=True)
class Case:
    """Random inputs of one segment."""

    chunks: int = 2
    heads: int = 1
    batch: int = 1
    size: int = 16
    dim: int = 16
    width: int = 32
    depth: int = 2
    rule: str = "bounded"
    scale: float = 1.0  # of the values
    momentum: float = 0.1  # of the opening momentum
    ends: float = 0.1  # share of gates at 0, and at 1
    forget: float = 0.2  # largest of the other alphas
    dtype: torch.dtype = torch.float32

    def inputs(self) -> dict[str, Any]:
        g = torch.Generator().manual_seed(hash((self.chunks, self.size, self.dim, self.width)) % 1000)
        groups = self.heads * self.batch
        cells = (self.chunks, groups, self.size)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=g)

        q, k = (torch.nn.functional.normalize(draw(*cells, self.dim), dim=-1) for _ in range(2))
        keep = torch.rand(cells, generator=g) > 0.2
        gates = torch.rand((3, *cells), generator=g)
        ends = torch.rand(gates.shape, generator=g)
        gates[ends < self.ends], gates[ends > 1 - self.ends] = 0.0, 1.0
        theta, eta, alpha = gates[0], gates[1], torch.where(gates[2] < 1, self.forget * gates[2], 1)
        sizes = [self.dim] + [self.width] * (self.depth - 1) + [self.dim]
        initial = tuple(draw(self.heads, i, o) / i**0.5 for i, o in zip(sizes, sizes[1:], strict=False))
        weights = tuple(w.repeat(self.batch, 1, 1) for w in initial)
        weights = tuple(w + 0.1 * draw(*w.shape) / w.shape[1] ** 0.5 for w in weights)
        return {
            "q": q.to(self.dtype),
            "k": torch.where(keep[..., None], k, 0).to(self.dtype),
            "v": torch.where(keep[..., None], self.scale * draw(*cells, self.dim), 0).to(self.dtype),
            "theta": torch.where(keep, theta, 0),
            "eta": torch.where(keep, eta, 1),
            "alpha": torch.where(keep, alpha, 0),
            "keep": keep,
            "weights": weights,
            "momentum": tuple(self.momentum * draw(*w.shape) / w.shape[1] ** 0.5 for w in weights),
            "initial": initial,
            "completed": torch.arange(groups) % 2 == 0,
            "rule": self.rule,
        }


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm().clamp(min=1e-30))


def check(inputs: dict[str, Any], tolerance: float, of_y: float | None = None) -> Segment:
    from titans_seq.memory.kernels.forward import forward_segment

    y, weights, momentum, surprise, arrays = forward_segment(**inputs, return_surprise=True, save=True)
    expected = segment_by_formulas(**inputs)
    assert arrays is not None and surprise is not None
    assert y.dtype == inputs["v"].dtype
    assert error(y, expected.y) < (of_y or tolerance)
    assert error(surprise, expected.surprise) < tolerance
    for found, wanted in zip((*weights, *momentum), (*expected.weights, *expected.momentum), strict=True):
        assert error(found, wanted) < tolerance
    return expected


CASES = [
    Case(chunks=3, heads=2, size=16, dim=16, width=32),
    Case(chunks=2, heads=1, batch=3, size=16, dim=24, width=80),
    Case(chunks=1, heads=2, batch=1, size=32, dim=48, width=16),
    Case(chunks=2, heads=1, batch=2, size=32, dim=24, width=48),
    Case(chunks=2, heads=1, size=64, dim=16, width=48),
    Case(chunks=1, heads=1, size=64, dim=48, width=80),
    Case(chunks=3, heads=2, size=16, dim=16, width=32, rule="titans"),
    Case(chunks=2, heads=1, batch=2, size=32, dim=24, width=16, rule="titans"),
    Case(chunks=1, heads=1, size=64, dim=24, width=48, rule="titans"),
    Case(chunks=3, heads=1, batch=2, size=16, dim=24, depth=1),
    Case(chunks=2, heads=2, size=32, dim=48, depth=1),
    Case(chunks=1, heads=1, size=64, dim=16, depth=1),
    Case(chunks=2, heads=2, size=16, dim=48, depth=1, rule="titans"),
    Case(chunks=2, heads=1, size=64, dim=24, depth=1, rule="titans"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reads_and_states_follow_the_formulas(case: Case) -> None:
    check(case.inputs(), 2e-6)


@pytest.mark.parametrize("size", [16, 64])
def test_damping_and_confinement(size: int) -> None:
    violent = Case(chunks=3, heads=1, batch=3, size=size, dim=24, width=48, scale=30.0, momentum=2.0)
    inputs = replace(violent, ends=0.0, forget=0.01).inputs()
    expected = check(inputs, 5e-6)
    damping = torch.stack(expected.damping)
    assert (damping < 0.5).any() and (damping == 1).any()
    confined = torch.stack(expected.confined)
    assert confined[:, inputs["completed"]].any() and not confined[:, ~inputs["completed"]].any()
    assert not confined[0].all()


@pytest.mark.parametrize("completed", [True, False])
def test_all_or_none_of_the_groups_are_completed(completed: bool) -> None:
    inputs = Case(heads=2, scale=30.0, momentum=2.0, ends=0.0, forget=0.01).inputs()
    given = inputs["completed"]
    inputs["completed"] = torch.full_like(given, completed)
    expected = segment_by_formulas(**inputs)
    assert bool(torch.stack(expected.confined).any()) == completed

    from titans_seq.memory.kernels.forward import forward_segment

    _, weights, momentum, surprise, arrays = forward_segment(**{**inputs, "completed": completed})
    assert surprise is None and arrays is None
    assert error(weights[0], expected.weights[0]) < 5e-6
    assert error(momentum[0], expected.momentum[0]) < 5e-6


@pytest.mark.parametrize(("radii", "acts"), [(1.0005, False), (1.05, True)])
def test_confinement_starts_at_its_radius(radii: float, acts: bool) -> None:
    from titans_seq.memory.kernels.forward import forward_segment

    inputs = Case(chunks=1).inputs()
    for name in ("theta", "eta", "alpha"):
        inputs[name] = torch.zeros_like(inputs[name])
    inputs["momentum"] = tuple(torch.zeros_like(s) for s in inputs["momentum"])
    start, away = inputs["initial"][0], torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(0))
    inputs["weights"] = (start + radii * 0.5 * start.norm() * away / away.norm(), inputs["weights"][1])
    _, weights, _, _, _ = forward_segment(**inputs)
    if acts:
        assert float((weights[0] - start).norm() / start.norm()) == pytest.approx(0.5, rel=1e-6)
    else:
        assert torch.equal(weights[0], inputs["weights"][0])


@pytest.mark.parametrize("gate", ["theta", "eta", "alpha"])
@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("rule", ["bounded", "titans"])
def test_gates_held_at_their_ends(gate: str, value: float, rule: str) -> None:
    inputs = Case(chunks=2, rule=rule).inputs()
    inputs[gate] = torch.where(inputs["keep"], value, inputs[gate])
    check(inputs, 2e-6)


def test_nothing_is_kept() -> None:
    inputs = Case().inputs()
    inputs["keep"] = torch.zeros_like(inputs["keep"])
    inputs.update(k=torch.zeros_like(inputs["k"]), v=torch.zeros_like(inputs["v"]))
    inputs.update(theta=torch.zeros_like(inputs["theta"]), alpha=torch.zeros_like(inputs["alpha"]))
    inputs["eta"] = torch.ones_like(inputs["eta"])

    from titans_seq.memory.kernels.forward import forward_segment

    inputs["completed"] = False
    _, weights, momentum, _, _ = forward_segment(**inputs)
    for found, given in zip((*weights, *momentum), (*inputs["weights"], *inputs["momentum"]), strict=True):
        assert torch.equal(found, given)


@pytest.mark.parametrize("depth", [1, 2])
def test_repeated_key(depth: int) -> None:
    """The system's inverse is then full of ones; computed as a product of powers it would overflow."""
    inputs = Case(chunks=2, size=64, dim=16, width=32, depth=depth).inputs()
    inputs["keep"] = torch.ones_like(inputs["keep"])
    inputs["k"] = inputs["k"][:1, :, 1:2].expand_as(inputs["k"]).contiguous()
    inputs["k"] = torch.nn.functional.normalize(inputs["k"] + 1e-3, dim=-1)
    inputs["theta"] = torch.full_like(inputs["theta"], 0.999)
    inputs["eta"] = torch.full_like(inputs["eta"], 0.01)
    inputs["alpha"] = torch.zeros_like(inputs["alpha"])
    for name in ("weights", "initial"):
        inputs[name] = (*inputs[name][:-1], 1e-6 * inputs[name][-1])
    check(inputs, 1e-4)


@pytest.mark.parametrize(("dtype", "of_y"), [(torch.bfloat16, 5e-3), (torch.float16, 2e-3)])
def test_half_precision(dtype: torch.dtype, of_y: float) -> None:
    # The interpreter rounds a bfloat16 toward zero, hence the width of its bound.
    check(Case(chunks=2, size=32, dim=24, width=48, dtype=dtype).inputs(), 5e-6, of_y)


def test_inputs_need_not_be_contiguous() -> None:
    inputs = Case(chunks=2, heads=2).inputs()
    for name in ("q", "k", "v", "theta"):
        inputs[name] = inputs[name].transpose(1, 2).contiguous().transpose(1, 2)
    check(inputs, 2e-6)


def test_saved_arrays() -> None:
    """What the adjoint reads: each chunk's opening state, and a system that its errors solve."""
    from titans_seq.memory.kernels.forward import forward_segment

    inputs = Case(chunks=3, heads=1, batch=3, size=16, dim=24, width=48, scale=30.0, momentum=2.0).inputs()
    *_, arrays = forward_segment(**inputs, save=True)
    assert arrays is not None and arrays.right is not None and arrays.inverse is not None
    assert torch.equal(arrays.factors[0], torch.ones_like(arrays.factors[0]))
    for n in range(1, 4):
        first = {name: x[:n] if x.shape[0] == 3 and x.dim() > 2 else x for name, x in _tokens(inputs).items()}
        expected = segment_by_formulas(**{**inputs, **first})
        factor = arrays.factors[n, :, None, None]
        start = inputs["initial"][0]
        assert error(start + factor * (arrays.weights[0][n] - start), expected.weights[0]) < 5e-6
        assert error(factor * arrays.momentum[0][n], expected.momentum[0]) < 5e-6
        assert error(arrays.weights[1][n], expected.weights[1]) < 5e-6
    assert (arrays.factors != 1).any()
    assert torch.allclose(arrays.inverse @ arrays.right, arrays.errors, rtol=1e-4, atol=1e-4)
    assert torch.equal(arrays.inverse.triu(1), torch.zeros_like(arrays.inverse))


def _tokens(inputs: dict[str, Any]) -> dict[str, Tensor]:
    return {name: inputs[name] for name in ("q", "k", "v", "theta", "eta", "alpha", "keep")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"size": 48}, "chunk sizes"),
        ({"depth": 3}, "layers"),
        ({"dim": 129}, "head dimensions"),
        ({"width": 513}, "hidden widths"),
        ({"dtype": torch.float64}, "float64"),
    ],
)
def test_why_not(change: dict[str, Any], reason: str | None) -> None:
    from titans_seq.memory.kernels.limits import why_not

    case = replace(Case(), **change)
    inputs = case.inputs()
    found = why_not(inputs["q"], inputs["initial"], chunk_size=case.size)
    assert found is None if reason is None else reason in str(found)
