"""Tokens scaled by the coefficients with which the first layer's matrices enter, and the adjoint of it.

z = β x W_0 + γ x S_0 + (1−β) x W_init is read by queries at M_t and by keys at the weights before them: scaled and
stacked beforehand, each matrix takes one product for both.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from titans_seq.memory._coefficients import Coefficients
from titans_seq.memory._gates import Before


class ScaledTokens(NamedTuple):
    """What multiplies the first layer's opening weights, opening momentum and initial weights: (…, rows, head_dim).

    ``weights`` stacks queries over keys, the others keys over queries: the keys' gradients come last and first.
    Under the rule "titans" no key reads momentum, and nothing reads the initial weights.
    """

    weights: Tensor
    momentum: Tensor
    initial: Tensor | None


def scale_tokens(q: Tensor, k: Tensor, c: Coefficients, before: Before, *, bounded: bool, hidden: bool) -> ScaledTokens:
    """Scale and stack tokens (…, chunk, head_dim); a hidden layer's features are those at the opening weights."""
    beta, gamma = c.beta.unsqueeze(-1), c.gamma.unsqueeze(-1)
    if not bounded:
        return ScaledTokens(torch.cat((beta * q, k), -2), gamma * q, None)
    earlier, moved = before.beta.unsqueeze(-1), before.gamma.unsqueeze(-1)
    keys = k if hidden else earlier * k
    return ScaledTokens(
        torch.cat((beta * q, keys), -2),
        torch.cat((moved * k, gamma * q), -2),
        torch.cat(((1 - earlier) * k, (1 - beta) * q), -2),
    )


class ScaleGradients(NamedTuple):
    """Gradients that `scale_tokens` passes on; those of ``before`` are None under the rule "titans"."""

    q: Tensor
    k: Tensor
    beta: Tensor
    gamma: Tensor
    before_beta: Tensor | None
    before_gamma: Tensor | None


def scale_backward(
    grad: ScaledTokens, q: Tensor, k: Tensor, c: Coefficients, before: Before, *, hidden: bool
) -> ScaleGradients:
    """Adjoint of `scale_tokens`."""
    size = q.shape[-2]
    by_w, keys_w = grad.weights[..., :size, :], grad.weights[..., size:, :]
    beta, gamma = c.beta.unsqueeze(-1), c.gamma.unsqueeze(-1)
    if grad.initial is None:
        dq = torch.addcmul(beta * by_w, gamma, grad.momentum)
        return ScaleGradients(dq, keys_w, _rowdot(q, by_w), _rowdot(q, grad.momentum), None, None)
    keys_s, by_s = grad.momentum[..., :size, :], grad.momentum[..., size:, :]
    keys_i, by_i = grad.initial[..., :size, :], grad.initial[..., size:, :]
    earlier, moved = before.beta.unsqueeze(-1), before.gamma.unsqueeze(-1)
    dq = torch.addcmul(by_i, beta, by_w - by_i).addcmul_(gamma, by_s)
    dk = torch.addcmul(keys_w if hidden else earlier * keys_w, moved, keys_s).addcmul_(1 - earlier, keys_i)
    dearlier = -_rowdot(k, keys_i) if hidden else _rowdot(k, keys_w - keys_i)
    return ScaleGradients(dq, dk, _rowdot(q, by_w - by_i), _rowdot(q, by_s), dearlier, _rowdot(k, keys_s))


def _rowdot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)
