"""Predictive surprise as a write signal: tried here, not part of the package.

A token is written by how badly it was predicted: θ_t is multiplied by a hard gate of ‖f(x_{t−1}) − x_t‖², with f and
the gate learned.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from titans_seq.nn import NeuralMemory
from titans_seq.nn.gates import hard_gate


def gate_by_prediction(model: nn.Module) -> nn.Module:
    """Give every memory layer a predictor of its input; the first token of a call counts as unpredicted."""
    for layer in [m for m in model.modules() if isinstance(m, NeuralMemory)]:
        width = layer.project_in.in_features
        layer.predictor = nn.Linear(width, width)
        layer.threshold = nn.Parameter(torch.tensor([0.5, 0.0]))
        layer._gates = _Gates(layer)  # type: ignore[method-assign]
    return model


class _Gates:
    def __init__(self, layer: Any) -> None:
        self.layer, self.plain = layer, layer._gates

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        theta, *others = self.plain(x)
        predicted = self.layer.predictor(torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), 1))
        surprise = (predicted - x.detach()).square().mean(-1, keepdim=True)
        level, slope = self.layer.threshold
        return theta * hard_gate(level + slope * surprise), *others
