"""Launches of the backward kernels over a segment of a memory of two layers."""

from __future__ import annotations

import torch
from torch import Tensor

from titans_seq.memory.kernels._backward_common import (
    first_layer,
    gather,
    initial_grad,
    layer_arrays,
    new_closed,
    new_pair,
    no_initial,
    over_batch,
    read_queries,
)
from titans_seq.memory.kernels._backward_segment import Features, Segment, SegmentGradients, States
from titans_seq.memory.kernels.launches_backward import (
    FEATURES,
    GRAM,
    HIDDEN,
    KEYS,
    STATE,
)


def backward_deep(segment: Segment, states: States) -> SegmentGradients:
    arrays, wide, square = segment.arrays, (segment.size, segment.width), (segment.size, segment.size)
    features = _features(segment)
    errors_grad, reads_grad, seen_grad = segment.per_cell(segment.size, segment.dim), *new_pair(segment, square)
    _gram(segment, features, errors_grad, reads_grad, seen_grad)
    z_q_grad, feature_grad = new_pair(segment, wide)
    parts = segment.new(segment.blocks, segment.cells, 2, segment.size)
    HIDDEN[segment.size](
        (segment.cells, segment.blocks),
        segment.grad_y,
        arrays.beta,
        arrays.gamma,
        features.hidden,
        features.hidden_q,
        reads_grad,
        arrays.weights[1],
        arrays.momentum[1],
        segment.initial[1],
        z_q_grad,
        feature_grad,
        states.weights[1],
        states.momentum[1],
        parts,
        segment.groups,
        segment.heads,
        **segment.gridded,
    )
    delta_grad = first_layer(segment, states, z_q_grad)
    reads = read_queries(segment, z_q_grad, features, seen_grad, parts)
    z_grad, right_back = segment.per_cell(*wide), segment.per_cell(*wide) if segment.bounded else None
    right_grad = segment.per_cell(segment.size, segment.dim)
    tangent_grad = segment.per_cell(*square) if segment.bounded else None
    closed = new_closed(segment)
    confined = torch.zeros_like(states.weights[0][0])
    STATE(
        (segment.groups,),
        segment.k,
        arrays.errors,
        arrays.right,
        arrays.path,
        arrays.inverse,
        arrays.beta,
        arrays.gamma,
        arrays.momentum_row,
        arrays.momentum_decay,
        arrays.steps,
        arrays.damping,
        *layer_arrays(segment, 0),
        *layer_arrays(segment, 1),
        arrays.factors,
        features.hidden,
        features.back,
        features.motion,
        features.tangent,
        features.hidden_tangent,
        features.key_kernel,
        features.norms,
        errors_grad,
        delta_grad,
        feature_grad,
        reads.steps_grad,
        states.weights[0],
        states.momentum[0],
        states.weights[1],
        states.momentum[1],
        confined,
        right_grad,
        right_back,
        z_grad,
        closed.base_grad,
        closed.close_grad,
        closed.path_before_grad,
        tangent_grad,
        *_scratch(segment),
        segment.chunks,
        segment.groups,
        segment.heads,
        **segment.sizes,
    )
    k_grad, v_grad = torch.empty_like(segment.k), torch.empty_like(segment.v)
    KEYS[segment.size](
        (segment.cells,),
        segment.k,
        arrays.path,
        arrays.beta,
        arrays.gamma,
        arrays.momentum_row,
        arrays.steps,
        *layer_arrays(segment, 0),
        arrays.momentum[1],
        segment.initial[1],
        arrays.factors,
        features.hidden,
        features.back,
        right_grad,
        right_back,
        z_grad,
        tangent_grad,
        features.hidden_kernel,
        reads.k_grad,
        states.weights[0],
        states.momentum[0],
        k_grad,
        v_grad,
        closed.before_grad,
        segment.groups,
        segment.heads,
        **segment.sizes,
    )
    initial = no_initial(segment)
    if segment.bounded:
        hidden = initial_grad(segment, states, 0, 1, segment.q, segment.k, z_q_grad, right_back, features.hidden)
        output = initial_grad(
            segment, states, 1, 2, features.hidden_q, features.hidden, segment.grad_y, right_grad, None
        )
        initial = (over_batch(segment, hidden + confined), over_batch(segment, output))
    return gather(segment, states, reads, closed, k_grad, v_grad, initial)


def _features(segment: Segment) -> Features:
    arrays, wide = segment.arrays, (segment.size, segment.width)
    square = (segment.size, segment.size)
    hidden, back = new_pair(segment, wide)
    motion = segment.per_cell(*wide) if segment.bounded else None
    features = Features(
        hidden=hidden,
        back=back,
        motion=motion,
        hidden_q=segment.per_cell(*wide),
        tangent=segment.per_cell(*square) if segment.bounded else None,
        hidden_tangent=segment.per_cell(*square) if segment.bounded else None,
        hidden_kernel=segment.per_cell(*square) if segment.bounded else None,
        key_kernel=segment.per_cell(*square) if segment.bounded else None,
        norms=segment.per_cell(4, segment.size) if segment.bounded else None,
    )
    FEATURES[segment.size](
        (segment.cells, segment.blocks),
        segment.q,
        segment.k,
        arrays.errors,
        arrays.path,
        arrays.beta,
        arrays.gamma,
        arrays.steps,
        arrays.damping,
        *layer_arrays(segment, 0),
        arrays.weights[1],
        arrays.factors,
        hidden,
        back,
        motion,
        features.hidden_q,
        segment.groups,
        segment.heads,
        **segment.gridded,
    )
    return features


def _gram(segment: Segment, features: Features, errors_grad: Tensor, reads_grad: Tensor, seen_grad: Tensor) -> None:
    arrays = segment.arrays
    GRAM[segment.size](
        (segment.cells,),
        segment.k,
        arrays.errors,
        arrays.path,
        arrays.steps,
        arrays.right,
        arrays.damping,
        segment.keep,
        segment.grad_y,
        segment.grad_surprise,
        arrays.weights[1],
        features.hidden,
        features.hidden_q,
        errors_grad,
        reads_grad,
        seen_grad,
        features.tangent,
        features.hidden_tangent,
        features.hidden_kernel,
        features.key_kernel,
        features.norms,
        SURPRISE=segment.grad_surprise is not None,
        **segment.sizes,
    )


def _scratch(segment: Segment) -> tuple[Tensor | None, ...]:
    """Scratch of `state_backward_kernel`."""
    groups, size = segment.groups, segment.size
    forward = segment.new(groups, size, segment.dim)
    if not segment.bounded:
        return forward, None, None, None
    return forward, segment.new(groups, 2, size), segment.new(groups, size, size), segment.new(groups, size, size)
