"""Features, uncorrected errors and kernel of tokens at the opening weights of their chunks.

Tensors of tokens are (groups, tokens, width) with groups = batch × heads: one token where a stream is read token by
token, a chunk where the cache is made anew. Those of a state are (batch, heads, …).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from titans_seq.memory._step_cache import StepCache
from titans_seq.memory.state import MemoryState, Weights


class Features(NamedTuple):
    """Inputs a_0 … a_{L−1} of every layer; z_l and silu'(z_l) of every hidden layer, at the opening weights."""

    inputs: list[Tensor]
    hidden: list[Tensor]
    slopes: list[Tensor]


def through(x: Tensor, rows: Tensor) -> Tensor:
    """Multiply each group's x (groups, n, in) with its own matrix of (batch, heads, in, out)."""
    return torch.bmm(x, rows.flatten(0, 1))


def through_shared(x: Tensor, weights: Tensor) -> Tensor:
    """Multiply with matrices (heads, in, out) that the batch shares, without repeating them."""
    heads, _, width = weights.shape
    by_head = x.unflatten(0, (-1, heads)).transpose(0, 1)
    found = torch.bmm(by_head.flatten(1, 2), weights)
    return found.view(*by_head.shape[:-1], width).transpose(0, 1).flatten(0, 1)


def features_at(k: Tensor, weights: Weights) -> Features:
    """Features of keys at weights (batch, heads, in, out)."""
    found = Features([k], [], [])
    for w in weights[:-1]:
        z = through(found.inputs[-1], w)
        sigmoid = torch.sigmoid(z)
        a = z * sigmoid
        found.inputs.append(a)
        found.hidden.append(z)
        found.slopes.append(torch.addcmul(sigmoid, a, 1 - sigmoid))
    return found


def carried_motion(seen: Features, state: MemoryState, beta: Tensor, gamma: Tensor) -> Tensor:
    """How far the opening momentum and forgetting moved a_{L−1}, to first order, (groups, n, width)."""
    moved: Tensor | None = None
    for layer, (a, z, slope) in enumerate(zip(seen.inputs, seen.hidden, seen.slopes, strict=False)):
        drift = (through_shared(a, state.initial[layer]) - z).mul_(1 - beta)
        drift.addcmul_(gamma, through(a, state.opening_momentum[layer]))
        if moved is not None:
            drift += through(moved, state.opening_weights[layer])
        moved = drift.mul_(slope)
    assert moved is not None
    return moved


class Uncorrected(NamedTuple):
    """R, the error before the chunk's own corrections, and the part of it that moved hidden layers add."""

    errors: Tensor
    moved: Tensor


def uncorrected_errors(seen: Features, v: Tensor, state: MemoryState, beta: Tensor, gamma: Tensor) -> Uncorrected:
    """R of tokens that find β of the opening weights and γ of the opening momentum, each (groups, n, 1)."""
    last = seen.inputs[-1]
    both = torch.cat((last, carried_motion(seen, state, beta, gamma)), 1)
    read, moved = through(both, state.opening_weights[-1]).chunk(2, 1)
    errors = torch.addcmul(moved - v, beta, read)
    errors.addcmul_(1 - beta, through_shared(last, state.initial[-1]))
    return Uncorrected(errors.addcmul_(gamma, through(last, state.opening_momentum[-1])), moved)


class Kernel(NamedTuple):
    """Kernel of one token: with itself, in the output layer's part and the hidden layers', and with every slot.

    The first two are (groups, 1, 1); with the slots it is the hidden layers' part only, (groups, 1, chunk).
    """

    output: Tensor
    hidden: Tensor
    slots: Tensor


def kernel_at(seen: Features, cache: StepCache) -> Kernel:
    """Kernel of one token, whose features are (groups, 1, width)."""
    assert cache.kernel is not None
    hidden: list[tuple[Tensor, Tensor]] = []
    kappa: tuple[Tensor, Tensor] | None = None
    inputs = (cache.keys, *cache.kernel.inputs)
    for layer in range(len(seen.slopes) - 1, -1, -1):
        a, slope = seen.inputs[layer], seen.slopes[layer]
        scaled = slope * cache.kernel.row_norms[layer].flatten(0, 1)
        step = _dot(scaled, slope), through(scaled, cache.kernel.slopes[layer].mT)
        kappa = step if kappa is None else (kappa[0] * step[0], kappa[1] * step[1])
        hidden.append((kappa[0] * _dot(a, a), kappa[1] * through(a, inputs[layer].mT)))
    own, slots = (parts[0] if len(parts) == 1 else sum(parts[1:], parts[0]) for parts in zip(*hidden, strict=True))
    return Kernel(_dot(seen.inputs[-1], seen.inputs[-1]), own, slots)


def row_norms(weights: Weights) -> Weights:
    """‖W[j, :]‖² of the weights (…, in, out) that follow each hidden layer, (…, 1, in)."""
    return tuple(w.square().sum(-1).unsqueeze(-2) for w in weights[1:])


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)
