"""Launches of the backward kernels over a segment of a memory of one layer."""

from __future__ import annotations

import torch

from titans_seq.memory.kernels._backward_common import (
    first_layer,
    gather,
    initial_grad,
    known_constants,
    layer_arrays,
    new_closed,
    no_initial,
    over_batch,
    read_queries,
)
from titans_seq.memory.kernels._backward_segment import Segment, SegmentGradients, States
from titans_seq.memory.kernels.launches_backward import (
    LINEAR,
    STATE_LINEAR,
)


def backward_linear(segment: Segment, states: States) -> SegmentGradients:
    arrays = segment.arrays
    errors_grad = first_layer(segment, states, segment.grad_y)
    reads = read_queries(segment, segment.grad_y, None, None, None)
    right_grad = segment.per_cell(segment.size, segment.dim)
    STATE_LINEAR[segment.size](
        (segment.groups, segment.blocks),
        segment.k,
        arrays.path,
        arrays.inverse,
        arrays.beta,
        arrays.gamma,
        arrays.momentum_row,
        arrays.momentum_decay,
        arrays.steps,
        errors_grad,
        states.weights[0],
        states.momentum[0],
        right_grad,
        segment.chunks,
        segment.groups,
        **known_constants(STATE_LINEAR[segment.size], segment.gridded),
    )
    closed = new_closed(segment)
    k_grad, v_grad = torch.empty_like(segment.k), torch.empty_like(segment.v)
    LINEAR[segment.size](
        (segment.cells,),
        segment.k,
        arrays.errors,
        arrays.path,
        arrays.beta,
        arrays.gamma,
        arrays.momentum_row,
        arrays.steps,
        *layer_arrays(segment, 0),
        right_grad,
        reads.k_grad,
        reads.steps_grad,
        states.weights[0],
        states.momentum[0],
        k_grad,
        v_grad,
        closed.base_grad,
        closed.close_grad,
        closed.path_before_grad,
        closed.before_grad,
        segment.groups,
        segment.heads,
        **known_constants(LINEAR[segment.size], segment.sizes),
    )
    initial = no_initial(segment)
    if segment.bounded:
        only = initial_grad(segment, states, 0, 0, segment.q, segment.k, segment.grad_y, right_grad, None)
        initial = (over_batch(segment, only),)
    return gather(segment, states, reads, closed, k_grad, v_grad, initial)
