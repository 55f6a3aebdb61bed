"""Pieces that the backward kernels share beyond `_blocks`: blocks of contiguous matrices, silu and its slope."""

from __future__ import annotations

import triton
import triton.language as tl

from titans_seq.memory.kernels._blocks import confined, load_tile, store_tile


@triton.constexpr_function
def sticks_out(rows: int, cols: int, block: tuple[int, int]) -> bool:
    """Whether blocks reach beyond a matrix of rows × cols."""
    return bool(rows % block[0] or cols % block[1])


@triton.jit
def load_block(base, rows, cols, ROWS: tl.constexpr, COLS: tl.constexpr):
    """``rows`` × ``cols`` of a contiguous ROWS × COLS matrix in fp32, zero beyond its edges."""
    MASKED: tl.constexpr = sticks_out(ROWS, COLS, (rows.shape[0], cols.shape[0]))
    return load_tile(base, rows, ROWS, cols, COLS, COLS, MASKED)


@triton.jit
def store_block(base, rows, cols, tile, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Write what `load_block` would read, in the array's own type."""
    MASKED: tl.constexpr = sticks_out(ROWS, COLS, (rows.shape[0], cols.shape[0]))
    store_tile(base, rows, ROWS, cols, COLS, COLS, tile, MASKED)


@triton.jit
def load_transposed(base, rows, cols, ROWS: tl.constexpr, COLS: tl.constexpr):
    """The transpose of what `load_block` would read, fp32 arrays only."""
    at = base + rows[None, :] * COLS + cols[:, None]
    MASKED: tl.constexpr = sticks_out(ROWS, COLS, (rows.shape[0], cols.shape[0]))
    if MASKED:
        return tl.load(at, mask=(rows[None, :] < ROWS) & (cols[:, None] < COLS), other=0.0)
    else:
        return tl.load(at)


@triton.jit
def store_transposed(base, rows, cols, tile, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Write what `load_transposed` would read."""
    at = base + rows[None, :] * COLS + cols[:, None]
    MASKED: tl.constexpr = sticks_out(ROWS, COLS, (rows.shape[0], cols.shape[0]))
    if MASKED:
        tl.store(at, tile, mask=(rows[None, :] < ROWS) & (cols[:, None] < COLS))
    else:
        tl.store(at, tile)


@triton.jit
def load_row(base, index):
    """A vector in fp32."""
    return tl.load(base + index).to(tl.float32)


@triton.jit
def load_hidden_weights(base, init, factor, rows, cols, ROWS: tl.constexpr, COLS: tl.constexpr):
    """The hidden layer's weights as a chunk reads them, from what is stored."""
    return confined(load_block(base, rows, cols, ROWS, COLS), load_block(init, rows, cols, ROWS, COLS), factor)


@triton.jit
def slope_of(z):
    """silu'(z)."""
    s = tl.sigmoid(z)
    return s + z * s * (1.0 - s)


@triton.jit
def silu_of(z):
    """silu(z)."""
    return z * tl.sigmoid(z)


@triton.jit
def dot(a, b, PRECISION: tl.constexpr):
    """Matrix product of fp32 tiles."""
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def main_diagonal(matrix, rows):
    """Diagonal of a square tile."""
    return tl.sum(tl.where(rows[:, None] == rows[None, :], matrix, 0.0), 1)
