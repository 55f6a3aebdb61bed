"""Launches of the backward kernels that memories of one and of two layers share."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from titans_seq.memory.kernels._backward_segment import Closed, Features, Reads, Segment, SegmentGradients, States
from titans_seq.memory.kernels.launches_backward import (
    CARRY,
    COEFFICIENTS,
    FIRST,
    INITIAL,
    QUERIES,
    square_block,
)
from titans_seq.memory.kernels.tuning import DOT_PRECISION, TunedKernel
from titans_seq.memory.state import Weights

INITIAL_SPAN = 8  # chunks whose part of the initial weights' gradient one program adds up


def first_layer(segment: Segment, states: States, z_grad: Tensor) -> Tensor:
    """Gradient of the first layer's δ from the reads, and of the states that chunks open with."""
    arrays = segment.arrays
    surprise = segment.grad_surprise if segment.depth == 1 else None
    delta_grad = segment.per_cell(segment.size, segment.width)
    FIRST[segment.size](
        (segment.cells, segment.blocks),
        segment.q,
        segment.k,
        arrays.path,
        arrays.beta,
        arrays.gamma,
        arrays.steps,
        z_grad,
        arrays.errors,
        segment.keep,
        surprise,
        delta_grad,
        states.weights[0],
        states.momentum[0],
        SURPRISE=surprise is not None,
        **known_constants(FIRST[segment.size], segment.gridded),
    )
    return delta_grad


def read_queries(
    segment: Segment, z_grad: Tensor, features: Features | None, seen_grad: Tensor | None, parts: Tensor | None
) -> Reads:
    arrays, square = segment.arrays, (segment.size, segment.size)
    reads = Reads(
        torch.empty_like(segment.q),
        segment.per_cell(segment.size, segment.dim),
        segment.per_cell(*square),
        segment.per_cell(segment.size),
        segment.per_cell(2, segment.size),
    )
    QUERIES[segment.size](
        (segment.cells,),
        segment.q,
        segment.k,
        arrays.path,
        arrays.beta,
        arrays.gamma,
        arrays.steps,
        z_grad,
        None if features is None else features.hidden,
        arrays.errors if features is None else features.back,
        *layer_arrays(segment, 0),
        arrays.factors,
        seen_grad,
        parts,
        reads.q_grad,
        reads.k_grad,
        reads.path_grad,
        reads.steps_grad,
        reads.gates_grad,
        segment.groups,
        segment.heads,
        0 if parts is None else parts.shape[0],
        DEPTH=segment.depth,
        **segment.sizes,
    )
    return reads


def new_closed(segment: Segment) -> Closed:
    size, bounded = segment.size, segment.bounded
    return Closed(
        segment.per_cell(size),
        segment.per_cell(2, size),
        segment.per_cell(size, size) if bounded else None,
        segment.per_cell(2, size) if bounded else None,
    )


def no_initial(segment: Segment) -> Weights:
    return tuple(torch.zeros_like(w) for w in segment.initial)


def over_batch(segment: Segment, grad: Tensor) -> Tensor:
    """Sum of the parts of groups that share a head."""
    return grad.unflatten(0, (-1, segment.heads)).sum(0)


def initial_grad(
    segment: Segment,
    states: States,
    layer: int,
    kind: int,
    inputs_q: Tensor,
    inputs_k: Tensor,
    outputs_q_grad: Tensor,
    outputs_k_grad: Tensor | None,
    hidden: Tensor | None,
) -> Tensor:
    """Gradient of one layer's initial weights, (G, in, out); ``kind`` as in `rest_initial_kernel`."""
    inner, outer = segment.initial[layer].shape[1:]
    blocks = (square_block(inner), square_block(outer))
    spans = triton.cdiv(segment.chunks, INITIAL_SPAN)
    parts = segment.new(spans, segment.groups, inner, outer)
    INITIAL[segment.size](
        (segment.groups, triton.cdiv(inner, blocks[0]) * triton.cdiv(outer, blocks[1]), spans),
        inputs_q,
        inputs_k,
        outputs_q_grad,
        outputs_k_grad,
        hidden,
        segment.arrays.beta,
        states.weights[layer],
        parts,
        segment.chunks,
        segment.groups,
        INITIAL_SPAN,
        B=segment.size,
        INNER=inner,
        OUTER=outer,
        INNER_BLOCK=blocks[0],
        OUTER_BLOCK=blocks[1],
        LAYER=kind,
        PRECISION=DOT_PRECISION,
    )
    return parts.sum(0)


def gather(
    segment: Segment,
    states: States,
    reads: Reads,
    closed: Closed,
    k_grad: Tensor,
    v_grad: Tensor,
    initial: Weights,
) -> SegmentGradients:
    arrays, carry_grad = segment.arrays, segment.per_cell(3)
    second: tuple[Tensor | None, ...] = (None,) * 5
    if segment.depth == 2:
        second = (*layer_arrays(segment, 1), states.weights[1], states.momentum[1])
    CARRY[segment.size](
        (segment.cells,),
        *layer_arrays(segment, 0),
        states.weights[0],
        states.momentum[0],
        *second,
        arrays.factors,
        carry_grad,
        segment.groups,
        segment.heads,
        SIZE=segment.initial[0][0].numel(),
        DEPTH=segment.depth,
        BOUNDED=segment.bounded,
    )
    theta_grad, eta_grad, alpha_grad = (segment.per_cell(segment.size) for _ in range(3))
    COEFFICIENTS[segment.size](
        (segment.cells,),
        segment.theta,
        segment.eta,
        segment.alpha,
        segment.keep,
        arrays.momentum_row,
        arrays.steps,
        reads.path_grad,
        closed.path_before_grad,
        reads.gates_grad,
        closed.before_grad,
        closed.close_grad,
        carry_grad,
        closed.base_grad,
        theta_grad,
        eta_grad,
        alpha_grad,
        B=segment.size,
        BOUNDED=segment.bounded,
        PRECISION=DOT_PRECISION,
    )
    return SegmentGradients(
        q=reads.q_grad,
        k=k_grad,
        v=v_grad,
        theta=theta_grad,
        eta=eta_grad,
        alpha=alpha_grad,
        weights=tuple(w[0].clone() for w in states.weights),
        momentum=tuple(s[0].clone() for s in states.momentum),
        initial=initial,
    )


def known_constants(kernel: TunedKernel, constants: dict[str, Any]) -> dict[str, Any]:
    """Those of the constants that a kernel has."""
    return {name: value for name, value in constants.items() if name in kernel.kernel.arg_names}


def new_pair(segment: Segment, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return segment.per_cell(*shape), segment.per_cell(*shape)


def layer_arrays(segment: Segment, layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, momentum and initial weights of a layer."""
    return segment.arrays.weights[layer], segment.arrays.momentum[layer], segment.initial[layer]
