"""Pieces that several kernels share: tiles, the hidden layer's nonlinearity, and the inverse of the solve."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def opaque_zero(index):
    """0 for every loop index that occurs, which the compiler does not know; a multiple of 16, which it does.

    Offsets that start from it are computed anew in the loop. Otherwise they are hoisted, whatever the loop is
    told, and hold registers all along.
    """
    return (index >> 30) << 4


@triton.jit
def load_tile(base, rows, ROWS, cols, COLS, stride, MASKED: tl.constexpr):
    """fp32 tile of a matrix of ROWS × COLS whose columns are contiguous; 0 outside. MASKED: the tile may stick out.

    The cast comes before any arithmetic: the interpreter computes bfloat16 on its bit patterns.
    """
    at = base + rows[:, None] * stride + cols[None, :]
    if MASKED:
        return tl.load(at, mask=(rows[:, None] < ROWS) & (cols[None, :] < COLS), other=0.0).to(tl.float32)
    else:
        return tl.load(at).to(tl.float32)


@triton.jit
def store_tile(base, rows, ROWS, cols, COLS, stride, tile, MASKED: tl.constexpr):
    """Store a tile in the array's own type; counterpart of `load_tile`."""
    at = base + rows[:, None] * stride + cols[None, :]
    value = tile.to(base.dtype.element_ty)
    if MASKED:
        tl.store(at, value, mask=(rows[:, None] < ROWS) & (cols[None, :] < COLS))
    else:
        tl.store(at, value)


@triton.jit
def silu_and_slope(z):
    """silu(z) = z σ(z) and its slope."""
    sigmoid = tl.sigmoid(z)
    a = z * sigmoid
    return a, sigmoid + a * (1 - sigmoid)


@triton.jit
def silu_curvature(z):
    """Second derivative of silu."""
    sigmoid = tl.sigmoid(z)
    return sigmoid * (1 - sigmoid) * (2 + z * (1 - 2 * sigmoid))


@triton.jit
def before(row, rows, FIRST: tl.constexpr):
    """Entries rows − 1 of a row in memory, FIRST for the first: what stood before each token."""
    return tl.load(row + rows - 1, mask=rows > 0, other=FIRST)


@triton.jit
def confined(stored, initial, factor):
    """Hidden weights as they are, from what is stored; to the last bit where nothing was confined."""
    return tl.where(factor == 1.0, stored, initial + factor * (stored - initial))


@triton.jit
def diagonal(x, rows, cols):
    """Diagonal of a square tile."""
    return tl.sum(tl.where(rows[:, None] == cols[None, :], x, 0.0), 1)


@triton.jit
def row_norms(x):
    """Euclidean norm of every row."""
    return tl.sqrt(tl.sum(x * x, 1))


@triton.jit
def larger(a, b):
    """Larger of two, for scans."""
    return tl.maximum(a, b)


@triton.jit
def unit_lower_inverse(at, rows, SIZE: tl.constexpr, PRECISION: tl.constexpr):
    """(I − M)^-1 of a strictly lower triangular matrix M in memory, SIZE 16, 32 or 64; `at` are its addresses.

    Blocks on the diagonal double in size. Each intermediate is the inverse of diagonal blocks, so nothing grows;
    the product (I + M)(I + M²)(I + M⁴)… has the same number of matmuls and overflows for repeated keys.
    """
    LEVELS: tl.constexpr = 6 if SIZE == 64 else (5 if SIZE == 32 else 4)
    # Blocks 2i and 2i + 1 of width 2^level are joined where row and column differ in bit `level` and none above.
    apart = rows[:, None] ^ rows[None, :]
    x = tl.load(at, mask=apart == 1, other=(apart == 0).to(tl.float32))
    # A rolled loop: unrolled, the compiler keeps tiles of several levels alive and spills.
    for level in tl.range(1, LEVELS, disable_licm=True):
        joined = tl.dot(x, tl.load(at, mask=(apart >> level) == 1, other=0.0), input_precision=PRECISION)
        x += tl.dot(joined, x, input_precision=PRECISION)
    return x
