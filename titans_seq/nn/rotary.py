"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864)."""

from __future__ import annotations

import torch
from torch import Tensor

Table = tuple[Tensor, Tensor]


def rotary_table(positions: Tensor, head_dim: int, dtype: torch.dtype, *, base: float = 10_000.0) -> Table:
    """Return cosines and sines of the angle of every position and frequency.

    Parameters
    ----------
    positions : Tensor of int, shape (..., n)
        Only their differences count; they may start anywhere.
    head_dim : int
        Size of a head; with an odd one the last entry is not rotated.
    dtype : torch.dtype
        Dtype of the result. Angles are computed in float64, so that position 10 million is as exact as 0.
    base : float, default 10000
        Wavelengths run from 2 pi to 2 pi times ``base``.

    Returns
    -------
    tuple of Tensor, each (..., n, 1, head_dim // 2)
        With an axis of size 1 for the heads.
    """
    half = head_dim // 2
    frequency = base ** (-torch.arange(half, dtype=torch.float64) / max(half, 1))
    angle = (positions.cpu().double()[..., None] * frequency)[..., None, :]
    return angle.cos().to(positions.device, dtype), angle.sin().to(positions.device, dtype)


def rotate(x: Tensor, table: Table) -> Tensor:
    """Rotate x of shape (..., n, heads, head_dim) by its positions' angles."""
    cos, sin = table
    half = cos.shape[-1]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat((first * cos - second * sin, second * cos + first * sin, rest), -1)


def table_from(table: Table, start: int) -> Table:
    """Return the angles of the positions from ``start`` on."""
    return table[0][start:], table[1][start:]


def table_at(table: Table, places: Tensor) -> Table:
    """Return the angles of ``places``, a tensor of indices of any shape."""
    return table[0][places], table[1][places]
