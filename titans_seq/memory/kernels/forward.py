"""Launch of the forward kernels over one segment."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from titans_seq.memory.kernels.arrays import SegmentArrays
from titans_seq.memory.kernels.coefficients import coefficients_kernel
from titans_seq.memory.kernels.output import output_kernel
from titans_seq.memory.kernels.state import state_kernel
from titans_seq.memory.kernels.tuning import DOT_PRECISION, TunedKernel, block_width
from titans_seq.memory.rules import HIDDEN_RADIUS
from titans_seq.memory.state import Weights

KEY = ("B", "D", "E", "DEPTH", "BOUNDED")


def _config(block: int, warps: int, stages: int = 1) -> triton.Config:
    return triton.Config({"BLOCK_E": block}, num_warps=warps, num_stages=stages)


def _block_fits(config: triton.Config, constants: dict[str, Any]) -> bool:
    return bool(config.kwargs["BLOCK_E"] <= max(16, triton.next_power_of_2(constants["E"])))


# By chunk size. Defaults are clean of spills at head_dim 64; the others spill little or nothing there.
COEFFICIENTS = TunedKernel(coefficients_kernel, [triton.Config({}, num_warps=1, num_stages=1)], ("B",))
STATE = {
    16: TunedKernel(state_kernel, [_config(16, 4), _config(32, 8), _config(64, 8)], KEY, _block_fits),
    32: TunedKernel(state_kernel, [_config(32, 8), _config(16, 4), _config(64, 8)], KEY, _block_fits),
    64: TunedKernel(state_kernel, [_config(16, 8), _config(32, 8), _config(16, 4)], KEY, _block_fits),
}
OUTPUT = {
    16: TunedKernel(output_kernel, [_config(32, 4), _config(32, 4, 2)], KEY, _block_fits),
    32: TunedKernel(output_kernel, [_config(32, 8, 2), _config(32, 4)], KEY, _block_fits),
    64: TunedKernel(output_kernel, [_config(16, 8, 2), _config(16, 8), _config(16, 4)], KEY, _block_fits),
}


def forward_segment(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    keep: Tensor,
    weights: Weights,
    momentum: Weights,
    initial: Weights,
    *,
    completed: Tensor | bool,
    rule: str,
    return_surprise: bool = False,
    save: bool = False,
) -> tuple[Tensor, Weights, Weights, Tensor | None, SegmentArrays | None]:
    """Read the chunks of one segment.

    Parameters
    ----------
    q, k, v : Tensor, shape (N, G, b, D)
        N chunks of b tokens in G = batch × heads groups, group g of head g % H; fp32, bf16 or fp16. Rows of k and
        v that are not kept are zero.
    theta, eta, alpha : Tensor, shape (N, G, b)
        Closed where not kept: 0, 1, 0.
    keep : Tensor of bool, shape (N, G, b)
    weights, momentum : tuples of Tensor, each (G, in, out), fp32
        State with which the first chunk opens.
    initial : tuple of Tensor, each (H, in, out), fp32
    completed : bool or Tensor of bool, shape (G,)
        Groups whose hidden layer is confined at every chunk's end (rule bounded, two layers).
    rule : {"bounded", "titans"}
    return_surprise, save : bool

    Returns
    -------
    y : Tensor, shape (N, G, b, D), in v's type
    weights, momentum : tuples of Tensor, each (G, in, out)
        At the segment's end.
    surprise : Tensor of shape (N, G, b), or None
    arrays : SegmentArrays, or None
        What the adjoint needs, if ``save``.
    """
    chunks, groups, size, _ = k.shape
    q, k, v, theta, eta, alpha, keep = (x.contiguous() for x in (q, k, v, theta, eta, alpha, keep))
    initial = tuple(w.float().contiguous() for w in initial)
    arrays = _allocate(k, weights, momentum, bounded=rule == "bounded")
    surprise = k.new_empty((chunks, groups, size), dtype=torch.float32) if return_surprise else None
    _coefficients(eta, alpha, keep, arrays)
    if isinstance(completed, bool):
        completed = torch.full((groups,), completed, device=k.device)
    _state(k, v, theta, eta, keep, completed, initial, arrays)
    y = torch.empty_like(v)
    _output(q, k, keep, y, surprise, initial, arrays)
    end_weights, end_momentum = _end(arrays, initial)
    return y, end_weights, end_momentum, surprise, arrays if save else None


def _end(arrays: SegmentArrays, initial: Weights) -> tuple[Weights, Weights]:
    """Weights and momentum after the last chunk, confined; copies, so that the segment's arrays can go."""
    weights, momentum = [w[-1].clone() for w in arrays.weights], [s[-1].clone() for s in arrays.momentum]
    if arrays.damping is not None:
        factor = arrays.factors[-1, :, None, None]
        start = initial[0].repeat(weights[0].shape[0] // initial[0].shape[0], 1, 1)
        weights[0] = torch.where(factor == 1, weights[0], start + factor * (weights[0] - start))
        momentum[0] *= factor
    return tuple(weights), tuple(momentum)


def _allocate(k: Tensor, weights: Weights, momentum: Weights, *, bounded: bool) -> SegmentArrays:
    chunks, groups, size, dim = k.shape

    def new(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.float32, device=k.device)

    def opened(parts: Weights) -> Weights:
        stored = tuple(new(chunks + 1, *w.shape) for w in parts)
        for array, w in zip(stored, parts, strict=True):
            array[0].copy_(w)
        return stored

    return SegmentArrays(
        path=new(chunks, groups, size, size),
        beta=new(chunks, groups, size),
        gamma=new(chunks, groups, size),
        momentum_row=new(chunks, groups, size),
        momentum_decay=new(chunks, groups),
        weights=opened(weights),
        momentum=opened(momentum),
        factors=torch.ones((chunks + 1, groups), dtype=torch.float32, device=k.device),
        errors=new(chunks, groups, size, dim),
        steps=new(chunks, groups, size),
        right=new(chunks, groups, size, dim) if bounded else None,
        damping=new(chunks, groups, size) if bounded and len(weights) == 2 else None,
        inverse=new(chunks, groups, size, size) if bounded else None,
    )


def _coefficients(eta: Tensor, alpha: Tensor, keep: Tensor, out: SegmentArrays) -> None:
    chunks, groups, size = eta.shape
    COEFFICIENTS(
        (chunks * groups,),
        eta,
        alpha,
        keep,
        out.path,
        out.beta,
        out.gamma,
        out.momentum_row,
        out.momentum_decay,
        B=size,
    )


def _layers(arrays: SegmentArrays, initial: Weights) -> tuple[Tensor | None, ...]:
    """Arguments w1, s1, i1, w2, s2, i2: hidden layer (None at depth 1), then output layer."""
    hidden: tuple[Tensor | None, ...] = (None, None, None)
    if len(initial) == 2:
        hidden = (arrays.weights[0], arrays.momentum[0], initial[0])
    return (*hidden, arrays.weights[-1], arrays.momentum[-1], initial[-1])


def _sizes(k: Tensor, arrays: SegmentArrays) -> dict[str, Any]:
    return {
        "B": k.shape[2],
        "D": k.shape[3],
        "BLOCK_D": block_width(k.shape[3]),
        "E": arrays.weights[-1].shape[2],
        "DEPTH": len(arrays.weights),
        "BOUNDED": arrays.inverse is not None,
        "PRECISION": DOT_PRECISION,
    }


def _state(
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    keep: Tensor,
    completed: Tensor,
    initial: Weights,
    arrays: SegmentArrays,
) -> None:
    chunks, groups = k.shape[:2]
    STATE[k.shape[2]](
        (groups,),
        k,
        v,
        theta,
        eta,
        keep,
        completed,
        _radii(initial),
        arrays.path,
        arrays.beta,
        arrays.gamma,
        arrays.momentum_row,
        arrays.momentum_decay,
        *_layers(arrays, initial),
        arrays.factors,
        arrays.errors,
        arrays.right,
        arrays.steps,
        arrays.damping,
        arrays.inverse,
        chunks,
        groups,
        initial[0].shape[0],
        **_sizes(k, arrays),
    )


def _radii(initial: Weights) -> Tensor:
    """How far a hidden layer may go from its initial weights, (H,)."""
    return HIDDEN_RADIUS * torch.linalg.vector_norm(initial[0], dim=(-2, -1))


def _output(
    q: Tensor,
    k: Tensor,
    keep: Tensor,
    y: Tensor,
    surprise: Tensor | None,
    initial: Weights,
    arrays: SegmentArrays,
) -> None:
    chunks, groups = k.shape[:2]
    OUTPUT[k.shape[2]](
        (chunks * groups,),
        q,
        k,
        keep,
        y,
        surprise,
        arrays.path,
        arrays.beta,
        arrays.gamma,
        *_layers(arrays, initial),
        arrays.factors,
        arrays.errors,
        arrays.steps,
        arrays.damping,
        groups,
        initial[0].shape[0],
        SURPRISE=surprise is not None,
        **_sizes(k, arrays),
    )
