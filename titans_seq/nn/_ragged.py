"""Rows of different length in one batch: padding stands at the right and is not read."""

from __future__ import annotations

import torch
from torch import Tensor


def valid_tokens(lengths: Tensor, width: int) -> Tensor:
    """Return a (batch, width) bool tensor, True where a token is not padding."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """Gather ``x[b, index[b, i]]`` for x of shape (batch, time, ...) and index (batch, n)."""
    batch = torch.arange(x.shape[0], device=x.device)[:, None]
    return x[batch, index]


def last_rows(buffer: Tensor, width: int, n_new: int, lengths: Tensor | None) -> Tensor:
    """Return the ``width`` most recent rows of each stream.

    Parameters
    ----------
    buffer : Tensor, shape (batch, carried + n_new, ...)
        Carried rows, then the rows of this call; ``carried >= width``.
    width : int
        Rows to keep.
    n_new : int
        Rows of this call.
    lengths : Tensor of int, shape (batch,), or None
        How many of them were read; None means all.

    Returns
    -------
    Tensor, shape (batch, width, ...)
        A copy, so that a short tail does not keep a long buffer alive.
    """
    end = buffer.shape[1]
    if lengths is None:
        return buffer[:, end - width :].clone()
    last = end - n_new + lengths[:, None]
    return take_rows(buffer, last - width + torch.arange(width, device=buffer.device))
