"""One token of every row, from checked arguments to a state: what `neural_memory` and `memory_step` share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._step_build import with_cache
from titans_seq.memory._step_rows import step_rows
from titans_seq.memory._step_rules import Token
from titans_seq.memory.state import MemoryState


def needs_graph(state: MemoryState, *inputs: Tensor) -> bool:
    """Whether a gradient may be asked of what is read; a step has none."""
    if not torch.is_grad_enabled():
        return False
    stacks = (state.initial, state.weights, state.momentum, state.opening_weights, state.opening_momentum)
    pending = (getattr(state.pending, name) for name in ("k", "v", "theta", "eta", "alpha"))
    return any(x.requires_grad for xs in (*stacks, pending, inputs) for x in xs)


def step_token(
    inputs: Sequence[Tensor],
    state: MemoryState,
    options: MemoryOptions,
    *,
    keep: Tensor | None = None,
    read: Tensor | None = None,
    inplace: bool = False,
) -> tuple[Tensor, MemoryState, Tensor | None]:
    """Read one token per row.

    Parameters
    ----------
    inputs : sequence of Tensor
        q, k, v (batch, heads, head_dim), theta, eta, alpha (batch, heads), in the state's dtype.
    state : MemoryState
    options : MemoryOptions
    keep : Tensor of bool, shape (batch,), optional
        False for masked tokens.
    read : Tensor of bool, shape (batch,), optional
        False for rows that read nothing: their output is zero and their state stays as it is.
    inplace : bool, default False
        Write into the tensors of ``state``.

    Returns
    -------
    y : Tensor, shape (batch, heads, head_dim)
    state : MemoryState
    surprise : Tensor of shape (batch, heads), or None
    """
    batch, heads, head_dim = inputs[0].shape
    groups = batch * heads
    token = Token(*(x.reshape(groups, 1, -1) for x in inputs))
    moving = read if keep is None else keep if read is None else keep & read
    if moving is not None:
        token = token.masked(moving.repeat_interleave(heads)[:, None, None])
    state = with_cache(state, options, inplace=inplace)
    y, surprise = step_rows(token, state, options, read)
    y = y.view(batch, heads, head_dim)
    if read is not None:
        y = torch.where(read[:, None, None], y, 0)
    return y, state, None if surprise is None else surprise.view(batch, heads)
