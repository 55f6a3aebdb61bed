"""The end of a chunk, for the rows whose token was its last."""

from __future__ import annotations

from torch import Tensor

from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._step_cache import StepCache, combine
from titans_seq.memory._step_kernel import row_norms
from titans_seq.memory.rules import confine_hidden
from titans_seq.memory.state import MemoryState, Weights

BLOCK = 64
"""Rows that are written at a time: their weights and momentum then stay in a core's cache from product to product."""


def close_chunks(state: MemoryState, options: MemoryOptions, read: Tensor | None) -> None:
    """Confine the rows that stand at a chunk's end, and open their next chunk, in place."""
    closed = state.position % options.chunk_size == 0
    rows = (closed if read is None else closed & read).nonzero().flatten()
    if len(rows):
        for some in rows.split(BLOCK):
            _close_rows(some, state, options)


def _close_rows(rows: Tensor, state: MemoryState, options: MemoryOptions) -> None:
    weights, momentum = (tuple(w[rows] for w in ws) for ws in (state.weights, state.momentum))
    if options.rule == "bounded" and state.depth > 1:
        weights, momentum = confine_hidden(weights, momentum, state.initial)
        _write((*state.weights[:-1], *state.momentum[:-1]), rows, (*weights[:-1], *momentum[:-1]))
    _write((*state.opening_weights, *state.opening_momentum), rows, (*weights, *momentum))
    assert state.cache is not None
    _empty(state.cache, rows, weights)


def _write(into: Weights, rows: Tensor, values: Weights) -> None:
    for w, x in zip(into, values, strict=True):
        w.index_copy_(0, rows, x)


def _empty(cache: StepCache, rows: Tensor, weights: Weights) -> None:
    """Clear the slots of rows whose chunk opens with ``weights``."""
    combine(lambda x: x[0].index_fill_(0, rows, 0), [cache])
    if cache.kernel is not None:
        cache.kernel.beta.index_fill_(0, rows, 1)
        cache.kernel.gamma_momentum.index_fill_(0, rows, 1)
        _write(cache.kernel.row_norms, rows, row_norms(weights))
