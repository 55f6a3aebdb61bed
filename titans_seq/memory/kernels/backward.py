"""Launch of the backward kernels over one segment."""

from __future__ import annotations

from torch import Tensor

from titans_seq.memory.kernels._backward_deep import backward_deep
from titans_seq.memory.kernels._backward_linear import backward_linear
from titans_seq.memory.kernels._backward_segment import Segment, SegmentGradients, States
from titans_seq.memory.kernels.arrays import SegmentArrays
from titans_seq.memory.state import Weights


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
    segment = Segment(
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
    states = States(segment, grad_weights, grad_momentum)
    if segment.depth == 2:
        return backward_deep(segment, states)
    return backward_linear(segment, states)
