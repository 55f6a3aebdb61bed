"""The kernels as a segment engine of the op: forward, and gradients from a segment's inputs alone."""

from __future__ import annotations

import torch
from torch import Tensor

from titans_seq.memory._chunk_backward import EndGradients
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._segment import (
    SegmentGradients,
    SegmentOutput,
    SegmentPlace,
    SegmentState,
    SegmentTokens,
)
from titans_seq.memory.kernels.backward import backward_segment
from titans_seq.memory.kernels.forward import forward_segment


class TritonEngine:
    """Reads segments with the kernels of this package; shapes must have been found fit by `why_not`."""

    def forward(
        self, tokens: SegmentTokens, state: SegmentState, place: SegmentPlace, options: MemoryOptions
    ) -> SegmentOutput:
        """Read a segment."""
        y, weights, momentum, surprise, _ = forward_segment(
            *_closed(tokens), *state,
            completed=_groups_completed(place), rule=options.rule, return_surprise=options.return_surprise,
        )  # fmt: skip
        return SegmentOutput(y, weights, momentum, surprise, tokens.keep)

    def backward(
        self,
        tokens: SegmentTokens,
        state: SegmentState,
        place: SegmentPlace,
        options: MemoryOptions,
        end: EndGradients,
        *,
        initial_needed: bool,
    ) -> SegmentGradients:
        """Recompute the segment, then run the backward kernels over it."""
        completed, closed = _groups_completed(place), _closed(tokens)
        *_, arrays = forward_segment(*closed, *state, completed=completed, rule=options.rule, save=True)
        assert arrays is not None
        grads = backward_segment(
            arrays, *closed, state.initial, end.y, end.weights, end.momentum, end.surprise,
            completed=completed, rule=options.rule,
        )  # fmt: skip
        return SegmentGradients(
            grads.q, grads.k, grads.v, grads.theta, grads.eta, grads.alpha,
            grads.weights, grads.momentum, grads.initial if initial_needed else None,
        )  # fmt: skip


def _closed(tokens: SegmentTokens) -> SegmentTokens:
    """Tokens with the gates of those under a mask closed."""
    keep = tokens.keep
    return tokens._replace(
        theta=torch.where(keep, tokens.theta, 0),
        eta=torch.where(keep, tokens.eta, 1),
        alpha=torch.where(keep, tokens.alpha, 0),
    )


def _groups_completed(place: SegmentPlace) -> bool | Tensor:
    return place.completed if isinstance(place.completed, bool) else place.completed.flatten()
