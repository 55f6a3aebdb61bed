"""Arrays of one segment's backward: what it takes, what its launches hand on, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import triton
from torch import Tensor

from titans_seq.memory.kernels.arrays import SegmentArrays
from titans_seq.memory.kernels.launches_backward import (
    WIDE_BLOCK,
    head_block,
)
from titans_seq.memory.kernels.tuning import DOT_PRECISION
from titans_seq.memory.state import Weights


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


@dataclass(frozen=True)
class Segment:
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


class States:
    """Gradients of the states with which chunks open, (N + 1, G, in, out) per layer; the last are given."""

    def __init__(self, segment: Segment, weights: Weights | None, momentum: Weights | None) -> None:
        self.weights = [self._array(segment, layer, weights) for layer in range(segment.depth)]
        self.momentum = [self._array(segment, layer, momentum) for layer in range(segment.depth)]

    @staticmethod
    def _array(segment: Segment, layer: int, end: Weights | None) -> Tensor:
        array = segment.new(segment.chunks + 1, segment.groups, *segment.initial[layer].shape[1:])
        if end is None:
            array[-1].zero_()
        else:
            array[-1].copy_(end[layer])
        return array


@dataclass(frozen=True)
class Features:
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
class Reads:
    """What the reads send to queries, keys, P, steps, β and γ, and to the errors and the first layer's δ."""

    q_grad: Tensor
    k_grad: Tensor
    path_grad: Tensor
    steps_grad: Tensor
    gates_grad: Tensor


@dataclass(frozen=True)
class Closed:
    """What the state kernels and those after them leave for the coefficients."""

    base_grad: Tensor
    close_grad: Tensor
    path_before_grad: Tensor | None
    before_grad: Tensor | None
