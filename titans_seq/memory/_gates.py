"""What follows from the gates of a chunk alone, and its adjoint; leading dimensions are free."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.memory._coefficients import (
    CoefficientMatrices,
    Coefficients,
    coefficient_matrices,
    coefficients_backward,
)
from titans_seq.memory._options import MemoryOptions


class Before(NamedTuple):
    """Coefficients of the weights each token finds: (…, chunk, chunk), (…, chunk), (…, chunk)."""

    path: Tensor
    beta: Tensor
    gamma: Tensor


class Gates(NamedTuple):
    """Gates of tokens (…, chunk), closed where not kept, with their coefficients.

    ``base`` is each token's step before it is normalised: θ (1 − η) under the rule "bounded", θ under "titans".
    """

    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor
    base: Tensor
    made: CoefficientMatrices
    before: Before


def close_gates(theta: Tensor, eta: Tensor, alpha: Tensor, keep: Tensor, options: MemoryOptions) -> Gates:
    """Close the gates of tokens that are not kept (θ = α = 0, η = 1) and make their coefficients."""
    theta, eta, alpha = torch.where(keep, theta, 0), torch.where(keep, eta, 1), torch.where(keep, alpha, 0)
    base = theta * (1 - eta) if options.rule == "bounded" else theta
    made = coefficient_matrices(eta, alpha, keep)
    return Gates(theta, eta, alpha, keep, base, made, _before(made.coefficients, alpha, options))


def _before(c: Coefficients, alpha: Tensor, options: MemoryOptions) -> Before:
    """Coefficients of the weights that tokens find are those of M_t shifted down one row."""
    path = F.pad(c.path[..., :-1, :], (0, 0, 1, 0))
    beta = F.pad(c.beta[..., :-1], (1, 0), value=1.0)
    gamma = F.pad(c.gamma[..., :-1], (1, 0))
    if options.decay_before_error:
        decay = 1 - alpha
        return Before(decay.unsqueeze(-1) * path, decay * beta, decay * gamma)
    return Before(path, beta, gamma)


def gates_backward(
    gates: Gates, base: Tensor, coefficients: Coefficients, before: Before | None, options: MemoryOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of θ, η and α from those of what was made of them; zero where not kept."""
    extra = torch.zeros_like(base)
    if before is not None:
        if options.decay_before_error:
            before, extra = _decayed_backward(gates, before)
        coefficients = coefficients._replace(
            path=coefficients.path + F.pad(before.path[..., 1:, :], (0, 0, 0, 1)),
            beta=coefficients.beta + F.pad(before.beta[..., 1:], (0, 1)),
            gamma=coefficients.gamma + F.pad(before.gamma[..., 1:], (0, 1)),
        )
    eta, alpha = coefficients_backward(gates.made, gates.keep, coefficients)
    alpha = alpha + extra
    theta = base
    if options.rule == "bounded":
        theta, eta = base * (1 - gates.eta), eta - base * gates.theta
    return tuple(torch.where(gates.keep, x, 0) for x in (theta, eta, alpha))  # type: ignore[return-value]


def _decayed_backward(gates: Gates, grad: Before) -> tuple[Before, Tensor]:
    """Undo the forgetting before the error: gradients before it, and that of α."""
    decay = 1 - gates.alpha
    plain = _before(gates.made.coefficients, gates.alpha, _PLAIN)
    ddecay = (grad.path * plain.path).sum(-1) + grad.beta * plain.beta + grad.gamma * plain.gamma
    return Before(decay.unsqueeze(-1) * grad.path, decay * grad.beta, decay * grad.gamma), -ddecay


_PLAIN = MemoryOptions(1, "bounded", "l2", 0.0, False, False)
