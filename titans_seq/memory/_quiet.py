"""Chunks in which nothing is written: with every gate closed and momentum spent, the memory is only read.

The rule then gives M_t = M_{t−1} for every token, so that a run of such chunks is one product f(q; M). A memory with
gates that close exactly reads its filler at this price.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from titans_seq.memory._options import MemoryOptions
from titans_seq.memory.state import Weights

if TYPE_CHECKING:
    from titans_seq.memory._segment import SegmentTokens

MOMENTUM_LASTS = 4
"""Chunks after a write that are prepared with it, as its momentum is still there; later ones singly."""


def quiet_chunks(tokens: SegmentTokens, options: MemoryOptions) -> list[bool] | None:
    """Tell chunks in which no token of any group writes or forgets; None where there are none, or errors are asked for.

    On a GPU asking would cost a synchronisation: None.
    """
    if tokens.q.device.type != "cpu" or options.return_surprise or options.surprise_threshold > 0:
        return None
    moves = ((tokens.theta != 0) | (tokens.alpha != 0)) & tokens.keep
    quiet: list[bool] = (~moves.flatten(1).any(1)).tolist()
    return quiet if any(quiet) else None


def prepared_chunks(quiet: Sequence[bool]) -> list[int]:
    """Chunks that are sure to be read in full, and those that may be because they follow one."""
    return [n for n in range(len(quiet)) if not all(quiet[max(0, n - MOMENTUM_LASTS) : n + 1])]


def quiet_run(quiet: Sequence[bool], n: int, momentum: Weights) -> int:
    """Number of chunks from ``n`` on that leave weights and momentum as they are."""
    if not quiet[n] or any(bool(s.any()) for s in momentum):
        return 0
    end = n
    while end < len(quiet) and quiet[end]:
        end += 1
    return end - n


def read_weights(q: Tensor, weights: Weights) -> Sequence[Tensor]:
    """f(q; M) of chunks (chunks, groups, chunk, head_dim), chunk by chunk."""
    x = q.transpose(0, 1).flatten(1, 2)
    for w in weights[:-1]:
        x = torch.nn.functional.silu(torch.bmm(x, w))
    return torch.bmm(x, weights[-1]).unflatten(1, (q.shape[0], -1)).unbind(1)
