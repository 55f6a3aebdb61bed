"""Launch of the backward kernels over one segment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import triton
from torch import Tensor

from titans_seq.memory.kernels.arrays import SegmentArrays
from titans_seq.memory.kernels.launches_backward import (
    CARRY,
    COEFFICIENTS,
    FEATURES,
    FIRST,
    GRAM,
    HIDDEN,
    INITIAL,
    KEYS,
    LINEAR,
    QUERIES,
    STATE,
    STATE_LINEAR,
    WIDE_BLOCK,
    head_block,
    square_block,
)
from titans_seq.memory.kernels.tuning import DOT_PRECISION, TunedKernel
from titans_seq.memory.state import Weights

INITIAL_SPAN = 8  # chunks whose part of the initial weights' gradient one program adds up


@dataclass(frozen=True)
class SegmentGradients:
    """Gradients of what a segment takes.

    Attributes
    ----------
    q, k, v : Tensor, shape (N, G, b, D), in the type of each input
    theta, eta, alpha : Tensor, shape (N, G, b), fp32; zero where not kept
    weights, momentum : tuples of Tensor, each (G, in, out), fp32
        Of the state at the segment's start.
    initial : tuple of Tensor, each (H, in, out), fp32
        Summed over the batch; zero under the rule titans, which does not look at them.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    weights: Weights
    momentum: Weights
    initial: Weights


def backward_segment(
    arrays: SegmentArrays,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    keep: Tensor,
    initial: Weights,
    grad_y: Tensor,
    grad_weights: Weights | None,
    grad_momentum: Weights | None,
    grad_surprise: Tensor | None,
    *,
    completed: Tensor | bool,
    rule: str,
) -> SegmentGradients:
    """Adjoint of `titans_seq.memory.kernels.forward.forward_segment`.

    Parameters
    ----------
    arrays : SegmentArrays
        What the forward saved.
    q, k, v, theta, eta, alpha, keep, initial, rule
        As given to the forward.
    grad_y : Tensor, shape (N, G, b, D)
    grad_weights, grad_momentum : tuples of Tensor, each (G, in, out), or None
        Gradients of the state at the segment's end, as the forward returned it (confined); None for zero.
    grad_surprise : Tensor of shape (N, G, b), or None
    completed : bool or Tensor of bool
        As given to the forward; the confinement it allowed is in ``arrays.factors``.
    """
    del completed
    segment = _Segment(
        q=q.contiguous(),
        k=k.contiguous(),
        v=v.contiguous(),
        theta=theta.float().contiguous(),
        eta=eta.float().contiguous(),
        alpha=alpha.float().contiguous(),
        keep=keep.contiguous(),
        initial=tuple(w.float().contiguous() for w in initial),
        arrays=arrays,
        grad_y=grad_y.contiguous(),
        grad_surprise=None if grad_surprise is None else grad_surprise.float().contiguous(),
        bounded=rule == "bounded",
    )
    states = _States(segment, grad_weights, grad_momentum)
    if segment.depth == 2:
        return _deep(segment, states)
    return _linear(segment, states)


@dataclass(frozen=True)
class _Segment:
    """A segment's inputs and what was saved of it."""

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor
    initial: Weights
    arrays: SegmentArrays
    grad_y: Tensor
    grad_surprise: Tensor | None
    bounded: bool

    @property
    def depth(self) -> int:
        return len(self.initial)

    @property
    def groups(self) -> int:
        return self.k.shape[1]

    @property
    def heads(self) -> int:
        return self.initial[0].shape[0]

    @property
    def size(self) -> int:
        return self.k.shape[2]

    @property
    def dim(self) -> int:
        return self.k.shape[3]

    @property
    def width(self) -> int:
        """Width of the first layer's output."""
        return self.initial[0].shape[2]

    @property
    def chunks(self) -> int:
        return self.k.shape[0]

    @property
    def cells(self) -> int:
        return self.chunks * self.groups

    @property
    def blocks(self) -> int:
        """Programs a chunk takes in the kernels gridded over the width."""
        return triton.cdiv(self.width, WIDE_BLOCK)

    @cached_property
    def sizes(self) -> dict[str, Any]:
        """Constants that most kernels share."""
        return {
            "B": self.size,
            "D": self.dim,
            "BLOCK_D": head_block(self.size, self.dim),
            "E": self.width,
            "BOUNDED": self.bounded,
            "PRECISION": DOT_PRECISION,
        }

    @cached_property
    def gridded(self) -> dict[str, Any]:
        """Constants of the kernels gridded over the width."""
        return {**self.sizes, "BLOCK_E": WIDE_BLOCK}

    def new(self, *shape: int) -> Tensor:
        """Uninitialised fp32 array."""
        return torch.empty(shape, dtype=torch.float32, device=self.k.device)

    def per_cell(self, *shape: int) -> Tensor:
        """Uninitialised fp32 array with one entry per chunk and group."""
        return self.new(self.chunks, self.groups, *shape)


class _States:
    """Gradients of the states with which chunks open, (N + 1, G, in, out) per layer; the last are given."""

    def __init__(self, segment: _Segment, weights: Weights | None, momentum: Weights | None) -> None:
        self.weights = [self._array(segment, layer, weights) for layer in range(segment.depth)]
        self.momentum = [self._array(segment, layer, momentum) for layer in range(segment.depth)]

    @staticmethod
    def _array(segment: _Segment, layer: int, end: Weights | None) -> Tensor:
        array = segment.new(segment.chunks + 1, segment.groups, *segment.initial[layer].shape[1:])
        if end is None:
            array[-1].zero_()
        else:
            array[-1].copy_(end[layer])
        return array


@dataclass(frozen=True)
class _Features:
    """Of a hidden layer, per chunk: see `hidden_features_kernel` and `output_gram_kernel`."""

    hidden: Tensor
    back: Tensor
    motion: Tensor | None
    hidden_q: Tensor
    tangent: Tensor | None
    hidden_tangent: Tensor | None
    hidden_kernel: Tensor | None
    key_kernel: Tensor | None
    norms: Tensor | None


@dataclass(frozen=True)
class _Reads:
    """What the reads send to queries, keys, P, steps, β and γ, and to the errors and the first layer's δ."""

    q_grad: Tensor
    k_grad: Tensor
    path_grad: Tensor
    steps_grad: Tensor
    gates_grad: Tensor


@dataclass(frozen=True)
class _Closed:
    """What the state kernels and those after them leave for the coefficients."""

    base_grad: Tensor
    close_grad: Tensor
    path_before_grad: Tensor | None
    before_grad: Tensor | None


def _deep(segment: _Segment, states: _States) -> SegmentGradients:
    arrays, wide, square = segment.arrays, (segment.size, segment.width), (segment.size, segment.size)
    features = _features(segment)
    errors_grad, reads_grad, seen_grad = segment.per_cell(segment.size, segment.dim), *_pair(segment, square)
    _gram(segment, features, errors_grad, reads_grad, seen_grad)
    z_q_grad, feature_grad = _pair(segment, wide)
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
    delta_grad = _first_layer(segment, states, z_q_grad)
    reads = _queries(segment, z_q_grad, features, seen_grad, parts)
    z_grad, right_back = segment.per_cell(*wide), segment.per_cell(*wide) if segment.bounded else None
    right_grad = segment.per_cell(segment.size, segment.dim)
    tangent_grad = segment.per_cell(*square) if segment.bounded else None
    closed = _closed(segment)
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
        *_layer(segment, 0),
        *_layer(segment, 1),
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
        *_layer(segment, 0),
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
    initial = _no_initial(segment)
    if segment.bounded:
        hidden = _initial(segment, states, 0, 1, segment.q, segment.k, z_q_grad, right_back, features.hidden)
        output = _initial(segment, states, 1, 2, features.hidden_q, features.hidden, segment.grad_y, right_grad, None)
        initial = (_over_batch(segment, hidden + confined), _over_batch(segment, output))
    return _gather(segment, states, reads, closed, k_grad, v_grad, initial)


def _linear(segment: _Segment, states: _States) -> SegmentGradients:
    arrays = segment.arrays
    errors_grad = _first_layer(segment, states, segment.grad_y)
    reads = _queries(segment, segment.grad_y, None, None, None)
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
        **_known(STATE_LINEAR[segment.size], segment.gridded),
    )
    closed = _closed(segment)
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
        *_layer(segment, 0),
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
        **_known(LINEAR[segment.size], segment.sizes),
    )
    initial = _no_initial(segment)
    if segment.bounded:
        only = _initial(segment, states, 0, 0, segment.q, segment.k, segment.grad_y, right_grad, None)
        initial = (_over_batch(segment, only),)
    return _gather(segment, states, reads, closed, k_grad, v_grad, initial)


def _scratch(segment: _Segment) -> tuple[Tensor | None, ...]:
    """Scratch of `state_backward_kernel`."""
    groups, size = segment.groups, segment.size
    forward = segment.new(groups, size, segment.dim)
    if not segment.bounded:
        return forward, None, None, None
    return forward, segment.new(groups, 2, size), segment.new(groups, size, size), segment.new(groups, size, size)


def _known(kernel: TunedKernel, constants: dict[str, Any]) -> dict[str, Any]:
    """Those of the constants that a kernel has."""
    return {name: value for name, value in constants.items() if name in kernel.kernel.arg_names}


def _pair(segment: _Segment, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return segment.per_cell(*shape), segment.per_cell(*shape)


def _layer(segment: _Segment, layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, momentum and initial weights of a layer."""
    return segment.arrays.weights[layer], segment.arrays.momentum[layer], segment.initial[layer]


def _features(segment: _Segment) -> _Features:
    arrays, wide = segment.arrays, (segment.size, segment.width)
    square = (segment.size, segment.size)
    hidden, back = _pair(segment, wide)
    motion = segment.per_cell(*wide) if segment.bounded else None
    features = _Features(
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
        *_layer(segment, 0),
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


def _gram(segment: _Segment, features: _Features, errors_grad: Tensor, reads_grad: Tensor, seen_grad: Tensor) -> None:
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


def _first_layer(segment: _Segment, states: _States, z_grad: Tensor) -> Tensor:
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
        **_known(FIRST[segment.size], segment.gridded),
    )
    return delta_grad


def _queries(
    segment: _Segment, z_grad: Tensor, features: _Features | None, seen_grad: Tensor | None, parts: Tensor | None
) -> _Reads:
    arrays, square = segment.arrays, (segment.size, segment.size)
    reads = _Reads(
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
        *_layer(segment, 0),
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


def _closed(segment: _Segment) -> _Closed:
    size, bounded = segment.size, segment.bounded
    return _Closed(
        segment.per_cell(size),
        segment.per_cell(2, size),
        segment.per_cell(size, size) if bounded else None,
        segment.per_cell(2, size) if bounded else None,
    )


def _no_initial(segment: _Segment) -> Weights:
    return tuple(torch.zeros_like(w) for w in segment.initial)


def _over_batch(segment: _Segment, grad: Tensor) -> Tensor:
    """Sum of the parts of groups that share a head."""
    return grad.unflatten(0, (-1, segment.heads)).sum(0)


def _initial(
    segment: _Segment,
    states: _States,
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


def _gather(
    segment: _Segment,
    states: _States,
    reads: _Reads,
    closed: _Closed,
    k_grad: Tensor,
    v_grad: Tensor,
    initial: Weights,
) -> SegmentGradients:
    arrays, carry_grad = segment.arrays, segment.per_cell(3)
    second: tuple[Tensor | None, ...] = (None,) * 5
    if segment.depth == 2:
        second = (*_layer(segment, 1), states.weights[1], states.momentum[1])
    CARRY[segment.size](
        (segment.cells,),
        *_layer(segment, 0),
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
