"""One chunk of the op in plain differentiable torch, for memories of any depth.

Within a chunk every gradient is a rank-1 product of features at the opening weights, so M_t is read through
(chunk × chunk) coefficient matrices and no per-token weight matrix is formed. Depths 1 and 2 have a faster
path with a hand-derived adjoint (`_chunk_forward`, `_chunk_backward`), tested against this one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from titans_seq.memory._coefficients import Coefficients, chunk_coefficients
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._segment import SegmentOutput, SegmentPlace, SegmentState, SegmentTokens, grouped
from titans_seq.memory.rules import RULES, ChunkFeatures, Features, confine_hidden, features_at
from titans_seq.memory.state import Weights


def read_segment_by_autograd(
    tokens: SegmentTokens, state: SegmentState, place: SegmentPlace, options: MemoryOptions, *, recompute: bool
) -> SegmentOutput:
    """Read a segment; with ``recompute`` the backward pass keeps only its inputs."""
    if not (recompute and torch.is_grad_enabled()):
        return _read_segment(tokens, state, place, options)

    def read(*tensors: Tensor) -> SegmentOutput:
        return _read_segment(SegmentTokens(*tensors), state, place, options)

    return checkpoint(read, *tokens, use_reentrant=False, preserve_rng_state=False)


def _read_segment(
    tokens: SegmentTokens, state: SegmentState, place: SegmentPlace, options: MemoryOptions
) -> SegmentOutput:
    initial = grouped(state.initial, tokens.q.shape[1])
    weights, momentum = state.weights, state.momentum
    coefficients, laid = None, Chunk(*tokens)
    if options.surprise_threshold == 0:
        laid = laid.masked(laid.keep)
        coefficients = chunk_coefficients(laid.eta, laid.alpha, laid.keep)
    results: list[ChunkResult] = []
    for n in range(len(tokens.q)):
        chunk = Chunk(*(getattr(laid, name)[n] for name in SegmentTokens._fields))
        given = None if coefficients is None else Coefficients(*(c[n] for c in coefficients))
        results.append(_read_chunk(chunk, given, weights, momentum, initial, options))
        weights, momentum = results[-1].weights, results[-1].momentum
        if options.rule == "bounded" and len(weights) > 1:
            weights, momentum = _confine(place.completed, weights, momentum, initial)
    surprise = [r.surprise for r in results if r.surprise is not None]
    return SegmentOutput(
        torch.stack([r.y for r in results]),
        weights,
        momentum,
        torch.stack(surprise) if surprise else None,
        torch.stack([r.keep for r in results]),
    )


def _confine(rows: bool | Tensor, weights: Weights, momentum: Weights, initial: Weights) -> tuple[Weights, Weights]:
    if rows is False:
        return weights, momentum
    confined, calmed = confine_hidden(weights, momentum, initial)
    if rows is True:
        return confined, calmed

    def choose(new: Weights, old: Weights) -> Weights:
        return tuple(torch.where(rows, a, b) for a, b in zip(new, old, strict=True))

    return choose(confined, weights), choose(calmed, momentum)


@dataclass(frozen=True)
class Chunk:
    """Tokens of one chunk, (groups, chunk, …) with groups = batch × heads."""

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor

    def masked(self, keep: Tensor) -> Chunk:
        """Close the gates of tokens that are not kept: θ = α = 0, η = 1."""
        return replace(
            self,
            theta=torch.where(keep, self.theta, 0),
            eta=torch.where(keep, self.eta, 1),
            alpha=torch.where(keep, self.alpha, 0),
            keep=keep,
        )


class ChunkResult(NamedTuple):
    """What one chunk gives: reads, the state it leaves, errors, and which tokens were written."""

    y: Tensor
    weights: Weights
    momentum: Weights
    surprise: Tensor | None
    keep: Tensor


def _read_chunk(
    chunk: Chunk,
    coefficients: Coefficients | None,
    weights: Weights,
    momentum: Weights,
    initial: Weights,
    options: MemoryOptions,
) -> ChunkResult:
    features = features_at(chunk.k, weights)
    skipped = None
    if coefficients is None:
        opening = torch.linalg.vector_norm(torch.bmm(features.inputs[-1], weights[-1]) - chunk.v, dim=-1)
        skipped = torch.where(chunk.keep, opening, 0)
        chunk = chunk.masked(chunk.keep & (opening > options.surprise_threshold))
        coefficients = chunk_coefficients(chunk.eta, chunk.alpha, chunk.keep)
    seen = ChunkFeatures(
        features,
        chunk.v,
        chunk.theta,
        chunk.eta,
        chunk.alpha,
        chunk.keep,
        coefficients,
        weights,
        momentum,
        initial,
        options.loss,
        options.decay_before_error,
    )
    errors, steps, damping = RULES[options.rule](seen)
    deltas = _backpropagate(errors, damping, features, weights)
    returns_to = initial if options.rule == "bounded" else None
    path = -coefficients.path * steps.unsqueeze(-2)
    y = _read(chunk.q, path, coefficients, features, deltas, weights, momentum, returns_to)
    new_weights, new_momentum = _close(path, steps, coefficients, features, deltas, weights, momentum, returns_to)
    surprise = _surprise(errors, chunk.keep, skipped) if options.return_surprise else None
    return ChunkResult(y, new_weights, new_momentum, surprise, chunk.keep)


def _surprise(errors: Tensor, keep: Tensor, skipped: Tensor | None) -> Tensor:
    norms = torch.where(keep, torch.linalg.vector_norm(errors, dim=-1), 0)
    return norms if skipped is None else torch.where(keep, norms, skipped)


def _backpropagate(errors: Tensor, damping: Tensor | None, features: Features, weights: Weights) -> list[Tensor]:
    """Return δ_1 … δ_L of every token at the opening weights; damping scales those of the hidden layers."""
    deltas = [errors]
    back = errors if damping is None else damping.unsqueeze(-1) * errors
    for layer in range(len(weights) - 2, -1, -1):
        back = torch.bmm(back, weights[layer + 1].mT) * features.slopes[layer]
        deltas.insert(0, back)
    return deltas


def _read(
    q: Tensor,
    path: Tensor,
    c: Coefficients,
    features: Features,
    deltas: list[Tensor],
    weights: Weights,
    momentum: Weights,
    returns_to: Weights | None,
) -> Tensor:
    """y_t = f(q_t; M_t), layer by layer, without forming M_t."""
    beta, gamma = c.beta.unsqueeze(-1), c.gamma.unsqueeze(-1)
    x = q
    for layer, w in enumerate(weights):
        z = beta * torch.bmm(x, w) + gamma * torch.bmm(x, momentum[layer])
        if returns_to is not None:
            z = z + (1 - beta) * torch.bmm(x, returns_to[layer])
        z = torch.baddbmm(z, path * torch.bmm(x, features.inputs[layer].mT), deltas[layer])
        x = torch.nn.functional.silu(z) if layer + 1 < len(weights) else z
    return x


def _close(
    path: Tensor,
    steps: Tensor,
    c: Coefficients,
    features: Features,
    deltas: list[Tensor],
    weights: Weights,
    momentum: Weights,
    returns_to: Weights | None,
) -> tuple[Weights, Weights]:
    """M and S after the chunk's last token."""
    beta, gamma, decay = (
        c.beta[:, -1, None, None],
        c.gamma[:, -1, None, None],
        c.momentum_decay[:, None, None],
    )
    in_weights, in_momentum = path[:, -1, :, None], -(c.momentum_row * steps).unsqueeze(-1)
    new_weights, new_momentum = [], []
    for layer, (w, s) in enumerate(zip(weights, momentum, strict=True)):
        carried = beta * w + gamma * s
        if returns_to is not None:
            carried = carried + (1 - beta) * returns_to[layer]
        a = features.inputs[layer].mT
        new_weights.append(torch.baddbmm(carried, a, in_weights * deltas[layer]))
        new_momentum.append(torch.baddbmm(decay * s, a, in_momentum * deltas[layer]))
    return tuple(new_weights), tuple(new_momentum)
