"""Gates that close exactly, and learn to open again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from titans_seq.nn.gates import hard_gate

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def gradient(z: list[float], towards: float, dtype: torch.dtype) -> Tensor:
    """Gradient of ``towards`` times the gates: a step of descent moves them by its opposite."""
    leaf = torch.tensor(z, dtype=dtype, requires_grad=True)
    (towards * hard_gate(leaf)).sum().backward()
    assert leaf.grad is not None and leaf.grad.dtype == dtype
    return leaf.grad


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_gate_is_exactly_closed_below_0_open_above_1_and_itself_between(dtype: torch.dtype) -> None:
    z = torch.tensor([-1e9, -1.0, -1e-30, 0.0, 1e-30, 0.25, 1.0, 1.5, 1e9], dtype=dtype)
    found = hard_gate(z)
    assert found.dtype == dtype
    assert found.tolist() == [0.0, 0.0, 0.0, 0.0, *z[4:6].tolist(), 1.0, 1.0, 1.0]


@pytest.mark.parametrize("towards", [3.0, -3.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_inside_and_at_the_ends_the_gradient_is_that_of_the_identity(dtype: torch.dtype, towards: float) -> None:
    assert gradient([0.0, 1e-3, 0.5, 0.75, 1.0], towards, dtype).tolist() == [towards] * 5


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_beyond_an_end_the_gradient_passes_inwards_and_stops_outwards(dtype: torch.dtype) -> None:
    upwards, downwards = gradient([-4.0, -0.25, 1.25, 6.0], -2.0, dtype), gradient([-4.0, -0.25, 1.25, 6.0], 2.0, dtype)
    assert upwards.tolist() == [-2.0, -2.0, 0.0, 0.0]
    assert downwards.tolist() == [0.0, 0.0, 2.0, 2.0]


@pytest.mark.parametrize("start", [-7.0, -0.01, 0.4, 1.2, 9.0])
@pytest.mark.parametrize("wanted", [0.0, 0.3, 1.0])
def test_a_gate_far_outside_comes_back_to_what_is_asked_of_it(start: float, wanted: float) -> None:
    z = torch.tensor(start, requires_grad=True)
    for _ in range(60):  # steps of SGD
        (gradient,) = torch.autograd.grad((hard_gate(z) - wanted).square(), z)
        z = (z - 0.4 * gradient).detach().requires_grad_()
    assert abs(hard_gate(z).item() - wanted) < 1e-3


def test_a_gate_that_is_right_where_it_stands_outside_stays_there() -> None:
    z = torch.tensor([-2.0, 3.0], requires_grad=True)
    (hard_gate(z) - torch.tensor([0.0, 1.0])).square().sum().backward()
    assert z.grad is not None and not z.grad.any()


def test_the_gradient_itself_can_be_differentiated() -> None:
    z = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    first = torch.autograd.grad((hard_gate(z) ** 2).sum(), z, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), z)[0]
    assert first.tolist() == [0.0, 1.0, 2.0]
    assert second[1] == 2.0
