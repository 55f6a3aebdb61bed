"""Reading one token: what decoding does at every step, at the same cost wherever in a stream it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import torch
from torch import Tensor

from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._segment import full_precision
from titans_seq.memory._step_build import with_cache
from titans_seq.memory._step_token import needs_graph, step_token
from titans_seq.memory.op import check_chunk_size, compute_dtype, neural_memory
from titans_seq.memory.state import MemoryState


@overload
def memory_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    chunk_size: int = 64,
    rule: str = "bounded",
    mask: Tensor | None = None,
    read: Tensor | None = None,
    surprise_threshold: float = 0.0,
    loss: str = "l2",
    decay_before_error: bool = False,
    return_surprise: Literal[False] = False,
    inplace: bool = False,
) -> tuple[Tensor, MemoryState]: ...
@overload
def memory_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    chunk_size: int = 64,
    rule: str = "bounded",
    mask: Tensor | None = None,
    read: Tensor | None = None,
    surprise_threshold: float = 0.0,
    loss: str = "l2",
    decay_before_error: bool = False,
    return_surprise: Literal[True],
    inplace: bool = False,
) -> tuple[Tensor, MemoryState, Tensor]: ...
def memory_step(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    chunk_size: int = 64,
    rule: str = "bounded",
    mask: Tensor | None = None,
    read: Tensor | None = None,
    surprise_threshold: float = 0.0,
    loss: str = "l2",
    decay_before_error: bool = False,
    return_surprise: bool = False,
    inplace: bool = False,
) -> tuple[Tensor, MemoryState] | tuple[Tensor, MemoryState, Tensor]:
    """Read one token of every row: `neural_memory` for streams that are decoded token by token.

    The result is that of `neural_memory` on one token, whose cost depends neither on how many tokens were read
    nor on where in its chunk a row stands. Rows may stand at different phases.

    Parameters
    ----------
    q, k, v : Tensor, shape (batch, heads, head_dim)
    theta, eta, alpha : Tensor, shape (batch, heads)
    state : MemoryState
        From `init_state`, from `neural_memory` or from an earlier step.
    chunk_size, rule, surprise_threshold, loss, decay_before_error
        As in `neural_memory`; the same from token to token.
    mask : Tensor of bool, shape (batch,), optional
        False for masked tokens.
    read : Tensor of bool, shape (batch,), optional
        False for rows that read nothing in this call: their output is zero, their state stays as it is.
    return_surprise : bool, default False
        Also return ‖e‖ of the rule in use, shape (batch, heads).
    inplace : bool, default False
        Write into the tensors of ``state`` (once it comes from a step: others are copied first). That state, and
        all that shares its tensors, must not be used again; only the one returned.

    Returns
    -------
    y : Tensor, shape and dtype of ``v``
    state : MemoryState
    surprise : Tensor, shape (batch, heads)
        Only with ``return_surprise=True``.

    Raises
    ------
    ValueError
        As `neural_memory` does.

    Notes
    -----
    A step has no graph. Where gradients are enabled and an input or the state asks for one, `neural_memory` reads
    the token instead, and ``inplace`` is not heeded.
    """
    options = MemoryOptions(chunk_size, rule, loss, surprise_threshold, decay_before_error, return_surprise)
    inputs = (q, k, v, theta, eta, alpha)
    _check_shapes(inputs, state)
    for name, rows in (("mask", mask), ("read", read)):
        if rows is not None and (rows.shape != q.shape[:1] or rows.dtype != torch.bool):
            found = f"{rows.dtype} of {tuple(rows.shape)}"
            raise ValueError(f"{name} must be bool of shape {tuple(q.shape[:1])}, found {found}")
    check_chunk_size(state, chunk_size)
    if needs_graph(state, *inputs):
        found = neural_memory(  # type: ignore[call-overload]
            *(x.unsqueeze(1) for x in inputs), state, chunk_size=chunk_size, rule=rule, loss=loss,
            mask=None if mask is None else mask[:, None], lengths=None if read is None else read.to(torch.int64),
            surprise_threshold=surprise_threshold, decay_before_error=decay_before_error,
            return_surprise=return_surprise,
        )  # fmt: skip
        return tuple(x.squeeze(1) if isinstance(x, Tensor) else x for x in found)  # type: ignore[return-value]
    dtype = compute_dtype(state, *inputs)
    with full_precision(q.device.type):
        y, new, surprise = step_token(
            [x.to(dtype) for x in inputs], state.to(dtype=dtype), options, keep=mask, read=read, inplace=inplace
        )
    y = y.to(v.dtype)
    return (y, new) if surprise is None else (y, new, surprise)


def ready_for_steps(
    state: MemoryState,
    *,
    chunk_size: int = 64,
    rule: str = "bounded",
    loss: str = "l2",
    decay_before_error: bool = False,
) -> MemoryState:
    """Return a state that `memory_step` with these options may write to in place; without a graph.

    It shares no tensors with ``state``, unless that is ready itself.
    """
    options = MemoryOptions(chunk_size, rule, loss, 0.0, decay_before_error, return_surprise=False)
    check_chunk_size(state, chunk_size)
    with torch.no_grad():
        return with_cache(state, options, inplace=True)


def _check_shapes(inputs: Sequence[Tensor], state: MemoryState) -> None:
    rows = tuple(state.weights[0].shape[:3])
    for name, x in zip(("q", "k", "v", "theta", "eta", "alpha"), inputs, strict=True):
        shape = rows if name in "qkv" else rows[:2]
        if x.shape != shape:
            raise ValueError(f"{name} must have shape {shape} to go with the state, found {tuple(x.shape)}")
