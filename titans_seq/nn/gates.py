"""Gates in [0, 1] that can close exactly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _HardGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return z.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        outwards = ((z < 0) & (grad > 0)) | ((z > 1) & (grad < 0))
        return torch.where(outwards, 0, grad)


def hard_gate(z: Tensor) -> Tensor:
    """Clamp to [0, 1]; a gate beyond an end still learns to come back.

    Unlike a sigmoid it is exactly 0 or 1 there, and unlike a plain clamp its gradient does not die: it is that of
    the identity wherever a step of gradient descent would lead back into the interval, and 0 where it would lead
    further out.

    Parameters
    ----------
    z : Tensor

    Returns
    -------
    Tensor, shaped like ``z``
    """
    return _HardGate.apply(z)
