"""Update rules: how the errors and steps of one chunk follow from its features.

A rule is one function ``(chunk: ChunkFeatures) -> Write``; adding a rule means adding it to `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from titans_seq.memory._coefficients import Coefficients
from titans_seq.memory.state import Weights


class Features(NamedTuple):
    """Features of a chunk's tokens at fixed weights: inputs a_0 … a_{L−1} and slopes silu'(z_1) … silu'(z_{L−1})."""

    inputs: list[Tensor]
    slopes: list[Tensor]


@dataclass(frozen=True)
class ChunkFeatures:
    """Everything a rule may look at; groups = batch × heads.

    Attributes
    ----------
    features : Features, each (groups, chunk, width)
        Of the keys, at the opening weights.
    values : Tensor, shape (groups, chunk, head_dim)
    theta, eta, alpha : Tensor, shape (groups, chunk)
    keep : Tensor of bool, shape (groups, chunk)
        False where a token is masked.
    coefficients : Coefficients
    weights, momentum, initial : tuples of Tensor, each (groups, in, out)
        Opening weights W_0, opening momentum S_0 and initial weights.
    loss : {"l2", "dot"}
    decay_before_error : bool
        Whether a token's error is taken after its own forgetting.
    """

    features: Features
    values: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor
    coefficients: Coefficients
    weights: Weights
    momentum: Weights
    initial: Weights
    loss: str
    decay_before_error: bool


class Write(NamedTuple):
    """What a rule decides for each token: its error, its step, and a factor on its hidden layers' gradients."""

    errors: Tensor
    steps: Tensor
    damping: Tensor | None = None


Rule = Callable[[ChunkFeatures], Write]
HIDDEN_RADIUS = 0.5
STEP_FLOOR = 1e-6
DAMPING_REACH = 4.0
"""Errors up to this many times K leave the hidden layer of a memory of depth 2 undamped."""


def features_at(x: Tensor, weights: Weights) -> Features:
    """Features of ``x`` (groups, chunk, head_dim) at ``weights``."""
    inputs, slopes = [x], []
    for w in weights[:-1]:
        z = torch.bmm(inputs[-1], w)
        sigmoid = torch.sigmoid(z)
        a = z * sigmoid
        inputs.append(a)
        slopes.append(sigmoid + a * (1 - sigmoid))
    return Features(inputs, slopes)


def titans(chunk: ChunkFeatures) -> Write:
    """The paper's rule (arXiv 2501.00663, eq. 9–14): errors at the opening weights, steps as gated.

    It has no bound: similar keys within one chunk each take a full step from the same point.
    """
    if chunk.loss == "dot":
        return Write(-chunk.values, chunk.theta)
    return Write(_opening_errors(chunk), chunk.theta)


def bounded(chunk: ChunkFeatures) -> Write:
    """Normalised steps and errors that see what earlier tokens of the chunk corrected, in every layer.

    θ̂_t = θ_t (1 − η_t) / (K[t,t] + 1e-6), and E solves
    (I − tril₋₁(C⁻ ∘ K)) E = β⁻ F_{W_0} + (1−β⁻) F_init + γ⁻ F_{S_0} − V.
    For depth 1 this is the token-by-token delta rule with momentum (normalised least mean squares).

    In deeper memories the right-hand side also sees, to first order, where the opening momentum and forgetting
    carry the hidden layers (`_hidden_motion`); the hidden layers of tokens whose error is out of proportion are
    damped (`_hidden_damping`); and at each chunk's end hidden layers are brought back to within half their
    initial norm (shared out among them) of the initial weights (`confine_hidden`). Without these three, single
    repeated or alternating keys at momentum 0.9 to 0.99 reached outputs of 1e5 to 1e19 × the largest value
    within 30,000 tokens.
    """
    output, hidden = tangent_kernel(chunk.features, chunk.weights)
    path, beta, gamma = _before_each_token(chunk)
    right = _uncorrected_errors(chunk, beta.unsqueeze(-1), gamma.unsqueeze(-1))
    damping = None if hidden is None else _hidden_damping(chunk, output + hidden, right)
    k = output if hidden is None or damping is None else output + damping.unsqueeze(-2) * hidden
    steps = chunk.theta * (1 - chunk.eta) / (k.diagonal(dim1=-2, dim2=-1) + STEP_FLOOR)
    # C = −path diag(τ), so I − tril₋₁(C⁻ ∘ K) has +path⁻ τ K below its (unread) unit diagonal.
    system = (path * steps.unsqueeze(-2) * k).tril(-1)
    errors = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    return Write(errors, steps, damping)


def _hidden_motion(chunk: ChunkFeatures, direction: Weights) -> Tensor:
    """First-order change of f(k_t; W_0) as the hidden layers move along ``direction``, (groups, chunk, head_dim)."""
    inputs, slopes = chunk.features
    moved = torch.bmm(inputs[0], direction[0]) * slopes[0]
    for layer in range(1, len(chunk.weights) - 1):
        moved = (torch.bmm(inputs[layer], direction[layer]) + torch.bmm(moved, chunk.weights[layer])) * slopes[layer]
    return torch.bmm(moved, chunk.weights[-1])


def _opening_errors(chunk: ChunkFeatures) -> Tensor:
    return torch.bmm(chunk.features.inputs[-1], chunk.weights[-1]) - chunk.values


def _uncorrected_errors(chunk: ChunkFeatures, beta: Tensor, gamma: Tensor) -> Tensor:
    """Errors before the chunk's own corrections, R: right-hand side of the solve, (groups, chunk, head_dim)."""
    last = chunk.features.inputs[-1]
    read = beta * torch.bmm(last, chunk.weights[-1]) + (1 - beta) * torch.bmm(last, chunk.initial[-1])
    right = read + gamma * torch.bmm(last, chunk.momentum[-1]) - chunk.values
    if len(chunk.weights) == 1:
        return right
    back = tuple(i - w for i, w in zip(chunk.initial, chunk.weights, strict=True))
    return right + gamma * _hidden_motion(chunk, chunk.momentum) + (1 - beta) * _hidden_motion(chunk, back)


def _hidden_damping(chunk: ChunkFeatures, k: Tensor, errors: Tensor) -> Tensor:
    """ρ_t = min(1, 4^(3−L) K[t,t] / max_{i≤t} ‖R_i‖)^(2(L−1)), shape (groups, chunk); R from `_uncorrected_errors`.

    The kernel linearises the memory at the opening weights. An error far beyond K moves hidden and output
    layers at once, and their product, which the linearisation does not see, grows with the error's square:
    bursts of 1e4 drove outputs to 1e4 × the largest value. 1 (no effect) for errors up to 4 K at depth 2.
    """
    norms = torch.linalg.vector_norm(errors, dim=-1)
    largest = torch.cummax(torch.where(chunk.keep, norms, 0), -1).values
    depth = len(chunk.weights)
    ratio = DAMPING_REACH ** (3 - depth) * k.diagonal(dim1=-2, dim2=-1) / largest.clamp(min=1e-30)
    return ratio.clamp(max=1) ** (2 * (depth - 1))


def _before_each_token(chunk: ChunkFeatures) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients of the weights each token finds: those of M_t shifted down one row."""
    c = chunk.coefficients
    path = torch.nn.functional.pad(c.path[..., :-1, :], (0, 0, 1, 0))
    beta = torch.nn.functional.pad(c.beta[..., :-1], (1, 0), value=1.0)
    gamma = torch.nn.functional.pad(c.gamma[..., :-1], (1, 0))
    if chunk.decay_before_error:
        decay = 1 - chunk.alpha
        return decay.unsqueeze(-1) * path, decay * beta, decay * gamma
    return path, beta, gamma


def tangent_kernel(features: Features, weights: Weights) -> tuple[Tensor, Tensor | None]:
    """K[t, i] = Σ_l κ_l(t, i) (a_{l−1,t} · a_{l−1,i}), shape (groups, chunk, chunk), in two parts.

    Returns the output layer's term (for depth 1, K Kᵀ of the keys) and the hidden layers' sum (None for depth 1).
    """
    output = torch.bmm(features.inputs[-1], features.inputs[-1].mT)
    hidden: Tensor | None = None
    kappa: Tensor | None = None
    for layer in range(len(weights) - 2, -1, -1):
        slopes = features.slopes[layer]
        row_norms = weights[layer + 1].square().sum(-1).unsqueeze(-2)
        step = torch.bmm(slopes * row_norms, slopes.mT)
        kappa = step if kappa is None else kappa * step
        term = kappa * torch.bmm(features.inputs[layer], features.inputs[layer].mT)
        hidden = term if hidden is None else hidden + term
    return output, hidden


def confine_hidden(weights: Weights, momentum: Weights, initial: Weights) -> tuple[Weights, Weights]:
    """Bring hidden layers back to within `HIDDEN_RADIUS` / (L − 1) × ‖W_init‖ of W_init, and their momentum alike.

    Only the output layer has to grow with the values; hidden layers that wander without bound are what lets a
    deep memory diverge. Weights within a thousandth of the radius are left as they are, to the last bit.
    """
    new_weights, new_momentum = list(weights), list(momentum)
    for layer in range(len(weights) - 1):
        radius = (
            HIDDEN_RADIUS / (len(weights) - 1) * torch.linalg.vector_norm(initial[layer], dim=(-2, -1), keepdim=True)
        )
        moved = weights[layer] - initial[layer]
        distance = torch.linalg.vector_norm(moved, dim=(-2, -1), keepdim=True)
        outside = distance > 1.001 * radius
        factor = radius / torch.where(outside, distance, 1)
        new_weights[layer] = torch.where(outside, initial[layer] + factor * moved, weights[layer])
        new_momentum[layer] = torch.where(outside, factor * momentum[layer], momentum[layer])
    return tuple(new_weights), tuple(new_momentum)


RULES: dict[str, Rule] = {"titans": titans, "bounded": bounded}
