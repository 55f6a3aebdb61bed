"""Confinement of hidden layers at a chunk's end, and its adjoint, for the hand-derived path (depth 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from titans_seq.memory.rules import HIDDEN_RADIUS
from titans_seq.memory.state import Weights


class Confinement(NamedTuple):
    """Where a hidden layer stood before it was brought back: its move from W_init, momentum, and distance.

    ``factor`` (groups, 1, 1) is 1 where nothing was done.
    """

    factor: Tensor
    moved: Tensor
    momentum: Tensor
    distance: Tensor
    radius: Tensor


def hidden_radius(initial: Weights) -> Tensor:
    """Distance from its initial weights that the hidden layer is held within, (groups, 1, 1)."""
    return HIDDEN_RADIUS * _norm(initial[0])


def confine(
    rows: bool | Tensor, weights: Weights, momentum: Weights, initial: Weights, radius: Tensor
) -> tuple[Weights, Weights, Confinement | None]:
    """Bring the hidden layer back as `titans_seq.memory.rules.confine_hidden` does, in the named groups."""
    if rows is False or len(weights) == 1:
        return weights, momentum, None
    moved = weights[0] - initial[0]
    distance = _norm(moved)
    outside = distance > 1.001 * radius
    if rows is not True:
        outside = outside & rows
    # On a GPU asking would cost a synchronisation at every chunk.
    if outside.device.type == "cpu" and not bool(outside.any()):
        return weights, momentum, None
    factor = torch.where(outside, radius / torch.where(outside, distance, 1), 1)
    record = Confinement(factor, moved, momentum[0], distance, radius)
    hidden = torch.where(outside, initial[0] + factor * moved, weights[0])
    return (hidden, *weights[1:]), (factor * momentum[0], *momentum[1:]), record


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True)


def confine_backward(
    record: Confinement | None,
    weights: Weights,
    momentum: Weights,
    initial: Weights,
    initial_grads: list[Tensor] | None,
) -> tuple[Weights, Weights]:
    """Gradients before confinement from those after it; that of W_init is added in place."""
    if record is None:
        return weights, momentum
    factor, moved, raw, distance, radius = record
    dw, ds = weights[0], momentum[0]
    acted = factor != 1
    dfactor = (moved * dw).sum((-2, -1), keepdim=True) + (raw * ds).sum((-2, -1), keepdim=True)
    along = torch.where(acted, factor * dfactor / distance.square().clamp(min=1e-30), 0)
    dmoved = factor * dw - along * moved
    if initial_grads is not None:
        by_radius = torch.where(acted, HIDDEN_RADIUS**2 * dfactor / (distance * radius).clamp(min=1e-30), 0)
        initial_grads[0] += torch.where(acted, dw - dmoved + by_radius * initial[0], 0)
    return (dmoved, *weights[1:]), (factor * ds, *momentum[1:])
