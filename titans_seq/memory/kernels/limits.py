"""Which memories the kernels can read; known without importing triton."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CHUNK_SIZES = (16, 32, 64)
LARGEST_HEAD_DIM = 128
LARGEST_WIDTH = 512
TOKEN_TYPES = (torch.float32, torch.bfloat16, torch.float16)


def why_not(q: Tensor, weights: Sequence[Tensor], *, chunk_size: int) -> str | None:
    """Say in a sentence why the kernels cannot read tokens like ``q`` with a memory of these weights.

    Parameters
    ----------
    q : Tensor, shape (…, head_dim)
    weights : sequence of Tensor, each (…, in, out)
        One matrix per layer.
    chunk_size : int

    Returns
    -------
    str, or None if they can
    """
    if chunk_size not in CHUNK_SIZES:
        return f"the kernels have chunk sizes 16, 32 and 64, not {chunk_size}"
    if len(weights) > 2:
        return f"the kernels have memories of one or two layers, not {len(weights)}"
    if q.shape[-1] > LARGEST_HEAD_DIM:
        return f"the kernels have head dimensions up to {LARGEST_HEAD_DIM}, not {q.shape[-1]}"
    width = weights[-1].shape[-2]
    if width > LARGEST_WIDTH:
        return f"the kernels have hidden widths up to {LARGEST_WIDTH}, not {width}"
    if q.dtype not in TOKEN_TYPES:
        return f"the kernels read float32, bfloat16 and float16, not {_named(q.dtype)}"
    wider = [w.dtype for w in weights if w.dtype != torch.float32]
    if wider:
        return f"the kernels keep the memory in float32, not {_named(wider[0])}"
    if q.device.type == "cuda" and torch.cuda.get_device_capability(q.device) < (8, 0):
        return "the kernels need a GPU of compute capability 8.0 or later"
    return None


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
