"""What a rule decides for one token: its error, its step and its damping.

The same rules as those of whole chunks in `titans_seq.memory.rules`. Where an error there sees what earlier tokens
of the chunk corrected in the output layer through the kernel, it is read here from the weights themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._step_kernel import (
    Features,
    Kernel,
    kernel_at,
    through,
    through_shared,
    uncorrected_errors,
)
from titans_seq.memory.rules import DAMPING_REACH, STEP_FLOOR, Write
from titans_seq.memory.state import MemoryState


@dataclass(frozen=True)
class Token:
    """One token per row: q, k, v (groups, 1, head_dim), gates (groups, 1, 1), with groups = batch × heads.

    ``keep`` (groups, 1, 1) is False where it is masked; its gates are then closed. None: all are kept.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor | None = None

    def masked(self, keep: Tensor) -> Token:
        """Close the gates where ``keep`` is False, and let nothing of what stands there through."""
        k, v, theta, alpha = (torch.where(keep, x, 0) for x in (self.k, self.v, self.theta, self.alpha))
        return Token(self.q, k, v, theta, torch.where(keep, self.eta, 1), alpha, keep)


def titans(token: Token, seen: Features, state: MemoryState, options: MemoryOptions) -> Write:
    """Errors at the opening weights, steps as gated."""
    if options.loss == "dot":
        return Write(-token.v, token.theta)
    return Write(opening_errors(token, seen, state), token.theta)


def bounded(token: Token, seen: Features, state: MemoryState, options: MemoryOptions) -> Write:
    """Normalised steps, and errors that see what earlier tokens of the chunk corrected, in every layer.

    Errors are (groups, 1, head_dim), steps and damping (groups, 1, 1).
    """
    assert state.cache is not None
    found = _found_by_output_layer(token, seen, state, options)
    base, rows = token.theta * (1 - token.eta), state.cache.kernel
    if rows is None:
        power = token.k.square().sum(-1, keepdim=True)
        return Write(found.sub_(token.v), base / (power + STEP_FLOOR))
    beta, gamma, in_weights = (x.flatten(0, 1) for x in (rows.beta, rows.gamma, rows.in_weights))
    if options.decay_before_error:
        decay = 1 - token.alpha
        beta, gamma, in_weights = decay * beta, decay * gamma, decay * in_weights
    uncorrected = uncorrected_errors(seen, token.v, state, beta, gamma)
    kernel = kernel_at(seen, state.cache)
    damping = _damping(uncorrected.errors, kernel, rows.largest.flatten(0, 1), token.keep, state.depth)
    errors = found.add_(uncorrected.moved).sub_(token.v)
    errors += through(in_weights * kernel.slots, state.cache.pulls)
    return Write(errors, base / (kernel.output + damping * kernel.hidden + STEP_FLOOR), damping)


def opening_errors(token: Token, seen: Features, state: MemoryState) -> Tensor:
    """f(k; W_0) − v."""
    return through(seen.inputs[-1], state.opening_weights[-1]) - token.v


def _found_by_output_layer(token: Token, seen: Features, state: MemoryState, options: MemoryOptions) -> Tensor:
    """Apply M_{t−1}'s output layer, or that after the token's own forgetting, to the token's features."""
    found = through(seen.inputs[-1], state.weights[-1])
    if options.decay_before_error:
        found.lerp_(through_shared(seen.inputs[-1], state.initial[-1]), token.alpha)
    return found


def _damping(errors: Tensor, kernel: Kernel, largest: Tensor, keep: Tensor | None, depth: int) -> Tensor:
    """ρ_t, after taking note of the token's error in ``largest``, the chunk's largest so far."""
    norms = torch.linalg.vector_norm(errors, dim=-1, keepdim=True)
    if keep is not None:
        norms = torch.where(keep, norms, 0)
    torch.maximum(largest, norms, out=largest)
    ratio = DAMPING_REACH ** (3 - depth) * (kernel.output + kernel.hidden) / largest.clamp(min=1e-30)
    return ratio.clamp_(max=1).pow_(2 * (depth - 1))
