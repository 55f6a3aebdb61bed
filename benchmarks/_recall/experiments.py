"""Predictive surprise as a write signal: tried here, not part of the package.

A token is written by how badly it was predicted: θ_t is multiplied by a hard gate of ‖f(x_{t−1}) − x_t‖² / ‖x_t‖²;
f learns to predict, the gate learns with everything else.
"""

from __future__ import annotations

from dataclasses import replace
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
        layer.threshold = nn.Parameter(torch.tensor([0.0, 0.5]))
        layer._gates = _Gates(layer)  # type: ignore[method-assign]
    return model


class _Gates:
    """Gates as they were, θ times the new one; what watches the layer sees the product."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.plain = layer, layer._gates

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        listener, seen = self.layer.on_gates, []
        self.layer.on_gates = seen.append if listener is not None else None
        try:
            theta, *others = self.plain(x)
        finally:
            self.layer.on_gates = listener
        made_of, loss = self._surprise(x)
        theta = _AlsoLearn.apply(theta * hard_gate(made_of), loss)
        if listener is not None:
            writing = seen[0].writing
            listener(replace(seen[0], theta=theta, writing=None if writing is None else writing.minimum(made_of)))
        return theta, *others

    def _surprise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the new gate is made of, (batch, time, 1), and the predictor's own loss."""
        token = x.detach() if x.dim() == 3 else x.detach()[:, None]
        before = torch.cat((torch.zeros_like(token[:, :1]), token[:, :-1]), 1)
        error = (self.layer.predictor(before) - token).square().mean(-1, keepdim=True)
        relative = error / token.square().mean(-1, keepdim=True).clamp(min=1e-6)
        level, slope = self.layer.threshold
        made_of = level + slope * relative.detach()
        return made_of if x.dim() == 3 else made_of[:, 0], relative.mean()


class _AlsoLearn(torch.autograd.Function):
    """Hand on a tensor; in the backward pass a loss gets the gradient of one that is added to the total."""

    @staticmethod
    def forward(context: Any, x: Tensor, loss: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient.new_ones(())
