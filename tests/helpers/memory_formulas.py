"""One segment of the memory op by its formulas, chunk by chunk in float64: independent of the package's own code."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

Matrices = list[Tensor]


@dataclass
class Segment:
    """What the formulas give for a segment, and whether damping and confinement acted."""

    y: Tensor
    weights: Matrices
    momentum: Matrices
    surprise: Tensor
    damping: list[Tensor] = field(default_factory=list)
    confined: list[Tensor] = field(default_factory=list)


def spans(gate: Tensor) -> Tensor:
    """D[t, j] = Π_{m=j+1..t} gate_m for t >= j, else 0."""
    size = gate.shape[-1]
    out = gate.new_zeros(*gate.shape, size)
    for t in range(size):
        for j in range(t + 1):
            out[..., t, j] = gate[..., j + 1 : t + 1].prod(-1)
    return out


def col(x: Tensor) -> Tensor:
    return x.unsqueeze(-1)


def row(x: Tensor) -> Tensor:
    return x.unsqueeze(-2)


def segment_by_formulas(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    keep: Tensor,
    weights: Matrices,
    momentum: Matrices,
    initial: Matrices,
    *,
    completed: Tensor,
    rule: str,
) -> Segment:
    """Arguments as in `titans_seq.memory.kernels.forward.forward_segment`; everything is computed in float64."""
    q, k, v, theta, eta, alpha = (x.double() for x in (q, k, v, theta, eta, alpha))
    weights, momentum = [w.double() for w in weights], [s.double() for s in momentum]
    repeats = k.shape[1] // initial[0].shape[0]
    initial = [w.double().repeat(repeats, 1, 1) for w in initial]
    parts, damping, confined = [], [], []
    for n in range(k.shape[0]):
        tokens = (q[n], k[n], v[n], theta[n], eta[n], alpha[n], keep[n])
        y, weights, momentum, surprise, rho = _chunk(*tokens, weights, momentum, initial, rule=rule)
        parts.append((y, surprise))
        if rho is not None:
            damping.append(rho)
            weights, momentum, acted = _confine(weights, momentum, initial, completed)
            confined.append(acted)
    ys, surprises = zip(*parts, strict=True)
    return Segment(torch.stack(ys), weights, momentum, torch.stack(surprises), damping, confined)


def _chunk(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    keep: Tensor,
    weights: Matrices,
    momentum: Matrices,
    initial: Matrices,
    *,
    rule: str,
) -> tuple[Tensor, Matrices, Matrices, Tensor, Tensor | None]:
    bounded, deep = rule == "bounded", len(weights) == 2
    if not bounded:  # forgets toward zero
        initial = [torch.zeros_like(w) for w in initial]
    m = keep.double()
    forget, spread = spans(1 - alpha), spans(eta)
    carried = (1 - alpha).cumprod(-1)
    kept_momentum = eta.cumprod(-1)
    path = forget @ (col(m) * spread)
    beta, gamma = carried, (forget @ col(m * kept_momentum)).squeeze(-1)
    last_row = spread[:, -1]
    path_before = torch.cat((torch.zeros_like(path[:, :1]), path[:, :-1]), 1)
    beta_before = torch.cat((torch.ones_like(beta[:, :1]), beta[:, :-1]), 1)
    gamma_before = torch.cat((torch.zeros_like(gamma[:, :1]), gamma[:, :-1]), 1)

    a, slope = k, None
    if deep:
        z = k @ weights[0]
        sigmoid = z.sigmoid()
        a, slope = z * sigmoid, sigmoid + z * sigmoid * (1 - sigmoid)
    rho = None
    if bounded:
        b, c = col(beta_before), col(gamma_before)
        right = b * (a @ weights[-1]) + (1 - b) * (a @ initial[-1]) + c * (a @ momentum[-1]) - v
        output = a @ a.mT
        kernel = output
        if deep:
            motion = (c * (k @ momentum[0]) + (1 - b) * (k @ (initial[0] - weights[0]))) * slope
            right = right + motion @ weights[1]
            norms = weights[1].square().sum(-1)
            hidden = ((slope * row(norms)) @ slope.mT) * (k @ k.mT)
            n = (output + hidden).diagonal(dim1=-2, dim2=-1)
            x = (right.norm(dim=-1) * m).cummax(-1).values.clamp(min=1e-30)
            rho = (4 * n / x).clamp(max=1) ** 2
            kernel = output + hidden * row(rho)
        steps = theta * (1 - eta) / (kernel.diagonal(dim1=-2, dim2=-1) + 1e-6)
        lower = (path_before * row(steps) * kernel).tril(-1)
        errors = torch.linalg.solve(torch.eye(k.shape[1], dtype=k.dtype) + lower, right)
    else:
        steps, errors = theta, a @ weights[-1] - v

    deltas = [errors]
    if deep:
        back = errors if rho is None else col(rho) * errors
        deltas = [(back @ weights[1].mT) * slope, errors]
    x = q
    taken = path * row(steps)
    for layer, inputs in enumerate([k, a] if deep else [k]):
        read = col(beta) * (x @ weights[layer]) + col(1 - beta) * (x @ initial[layer])
        read = read + col(gamma) * (x @ momentum[layer]) - (taken * (x @ inputs.mT)) @ deltas[layer]
        x = read * read.sigmoid() if deep and layer == 0 else read

    end_weights, end_momentum = [], []
    for layer, inputs in enumerate([k, a] if deep else [k]):
        w = beta[:, -1, None, None] * weights[layer] + (1 - beta[:, -1, None, None]) * initial[layer]
        w = w + gamma[:, -1, None, None] * momentum[layer]
        end_weights.append(w - inputs.mT @ (col(path[:, -1] * steps) * deltas[layer]))
        s = kept_momentum[:, -1, None, None] * momentum[layer]
        end_momentum.append(s - inputs.mT @ (col(last_row * steps) * deltas[layer]))
    return x, end_weights, end_momentum, errors.norm(dim=-1) * m, rho


def _confine(
    weights: Matrices, momentum: Matrices, initial: Matrices, completed: Tensor
) -> tuple[Matrices, Matrices, Tensor]:
    moved = weights[0] - initial[0]
    distance = moved.norm(dim=(-2, -1))
    radius = 0.5 * initial[0].norm(dim=(-2, -1))
    acted = (distance > 1.001 * radius) & completed
    factor = torch.where(acted, radius / distance, 1)[:, None, None]
    return [initial[0] + factor * moved, weights[1]], [factor * momentum[0], momentum[1]], acted
