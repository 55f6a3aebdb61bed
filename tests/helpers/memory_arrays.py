"""One segment of the memory op written straight from its formulas, in any dtype, with the arrays a backward reads."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

Weights = tuple[Tensor, ...]


@dataclass
class SegmentCase:
    """Inputs of one segment; depth is the number of weights.

    q, k, v : (N, G, b, D); theta, eta, alpha, keep : (N, G, b); weights, momentum : (G, in, out) per layer;
    initial : (H, in, out) per layer; completed : (G,).
    """

    q: Tensor
    k: Tensor
    v: Tensor
    theta: Tensor
    eta: Tensor
    alpha: Tensor
    keep: Tensor
    weights: Weights
    momentum: Weights
    initial: Weights
    completed: Tensor
    rule: str

    @property
    def leaves(self) -> dict[str, Tensor]:
        named = {name: getattr(self, name) for name in ("q", "k", "v", "theta", "eta", "alpha")}
        for name in ("weights", "momentum", "initial"):
            named.update({f"{name}_{i}": x for i, x in enumerate(getattr(self, name))})
        return named

    def to(self, dtype: torch.dtype, *, requires_grad: bool = False) -> SegmentCase:
        def cast(x: Any) -> Any:
            if isinstance(x, tuple):
                return tuple(cast(y) for y in x)
            if isinstance(x, Tensor) and x.is_floating_point():
                return x.detach().to(dtype).requires_grad_(requires_grad)
            return x

        return SegmentCase(*(cast(getattr(self, f.name)) for f in fields(self)))


@dataclass
class SegmentTrace:
    """What the forward leaves behind: results, and per chunk everything named in the formulas."""

    y: Tensor
    surprise: Tensor
    weights: Weights
    momentum: Weights
    chunks: list[dict[str, Any]] = field(default_factory=list)


def make_case(
    *,
    chunks: int = 2,
    groups: int = 2,
    heads: int = 1,
    chunk: int = 16,
    dim: int = 16,
    width: int = 32,
    depth: int = 2,
    rule: str = "bounded",
    exact_gates: bool = False,
    masked: bool = False,
    completed: tuple[bool, ...] | None = None,
    value_scale: float = 1.0,
    drift: float = 0.05,
    speed: float = 0.1,
    forget: float = 0.2,
    seed: int = 0,
) -> SegmentCase:
    """Random inputs; ``drift`` is how far the state stands from the initial weights, ``speed`` its momentum, both
    relative to their norm; ``forget`` is the largest alpha.
    """
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    def unit(x: Tensor) -> Tensor:
        return x / x.norm(dim=-1, keepdim=True)

    rows = (chunks, groups, chunk)
    q, k, v = unit(draw(*rows, dim)), unit(draw(*rows, dim)), value_scale * draw(*rows, dim)
    theta, eta, alpha = torch.rand(3, *rows, generator=g, dtype=torch.float64)
    alpha = alpha * forget
    if exact_gates:
        for gate in (theta, eta, alpha):
            ends = torch.rand(rows, generator=g)
            gate[ends < 0.2] = 0.0
            gate[ends > 0.8] = 1.0
    keep = torch.rand(rows, generator=g) > 0.25 if masked else torch.ones(rows, dtype=torch.bool)
    theta, eta, alpha = theta.where(keep, 0.0), eta.where(keep, 1.0), alpha.where(keep, 0.0)
    k, v = k.where(keep[..., None], 0.0), v.where(keep[..., None], 0.0)
    sizes = [dim] + [width] * (depth - 1) + [dim]
    shapes = list(zip(sizes, sizes[1:], strict=False))
    initial = tuple(draw(heads, i, o) / i**0.5 for i, o in shapes)
    spread = [initial[layer].repeat(groups // heads, 1, 1) for layer in range(depth)]
    weights = tuple(w + drift * draw(*w.shape) / w.shape[1] ** 0.5 for w in spread)
    momentum = tuple(speed * draw(*w.shape) / w.shape[1] ** 0.5 for w in spread)
    done = torch.tensor(completed if completed is not None else [True] * groups)
    return SegmentCase(q, k, v, theta, eta, alpha, keep, weights, momentum, initial, done, rule)


def decay(gate: Tensor) -> Tensor:
    """D[t, j] = product of the gates j+1 … t; exact where a gate is zero."""
    size = gate.shape[-1]
    below = torch.ones(size, size, dtype=torch.bool).tril(-1)
    return torch.cumprod(torch.where(below, gate.unsqueeze(-1), torch.ones_like(gate).unsqueeze(-1)), -2).tril()


def run_segment(case: SegmentCase, *, retain: bool = False) -> SegmentTrace:
    """The forward, chunk after chunk; ``retain`` keeps the gradients of everything in `SegmentTrace.chunks`."""
    heads = case.initial[0].shape[0]
    start = tuple(i.repeat(case.completed.shape[0] // heads, 1, 1) for i in case.initial)
    weights, momentum = case.weights, case.momentum
    reads, surprises, chunks = [], [], []
    for n in range(case.q.shape[0]):
        c = _chunk(case, n, weights, momentum, start)
        if retain:
            for x in c.values():
                for y in x if isinstance(x, tuple) else (x,):
                    if isinstance(y, Tensor) and y.requires_grad:
                        y.retain_grad()
        weights, momentum = c["closed_weights"], c["closed_momentum"]
        reads.append(c["y"])
        surprises.append(torch.where(case.keep[n], _norm(c["errors"]), 0.0))
        chunks.append(c)
    return SegmentTrace(torch.stack(reads), torch.stack(surprises), weights, momentum, chunks)


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1)


def _chunk(case: SegmentCase, n: int, weights: Weights, momentum: Weights, start: Weights) -> dict[str, Any]:
    deep, bounded = len(weights) == 2, case.rule == "bounded"
    q, k, v, keep = case.q[n], case.k[n], case.v[n], case.keep[n]
    theta, eta, alpha = case.theta[n], case.eta[n], case.alpha[n]
    moves = keep.to(q.dtype)
    forget, carry, etap = decay(1 - alpha), decay(eta), torch.cumprod(eta, -1)
    path = forget @ (moves.unsqueeze(-1) * carry)
    beta, row, ends = torch.cumprod(1 - alpha, -1), carry[..., -1, :], etap[..., -1]
    gamma = (forget @ (moves * etap).unsqueeze(-1)).squeeze(-1)
    size = path.shape[-1]
    path_before = torch.cat((torch.zeros_like(path[:, :1]), path[:, :-1]), 1)
    beta_before = torch.cat((torch.ones_like(beta[:, :1]), beta[:, :-1]), 1)
    gamma_before = torch.cat((torch.zeros_like(gamma[:, :1]), gamma[:, :-1]), 1)
    be, ga = beta.unsqueeze(-1), gamma.unsqueeze(-1)
    bb, gb = beta_before.unsqueeze(-1), gamma_before.unsqueeze(-1)
    back_to = start if bounded else tuple(torch.zeros_like(w) for w in weights)
    if not bounded:
        gb, bb = torch.zeros_like(gb), torch.ones_like(bb)

    z = k @ weights[0] if deep else None
    if deep:
        sig = torch.sigmoid(z)
        features = z * sig
        slope = sig + features * (1 - sig)
        motion = gb * (k @ momentum[0]) + (1 - bb) * (k @ back_to[0] - z)
        right = (bb * features + motion * slope) @ weights[1] + ((1 - bb) * features) @ back_to[1]
        right = right + (gb * features) @ momentum[1] - v
        norms = weights[1].square().sum(-1).unsqueeze(-2)
        output = features @ features.mT
        hidden = ((slope * norms) @ slope.mT) * (k @ k.mT)
    else:
        right = bb * (k @ weights[0]) + (1 - bb) * (k @ back_to[0]) + gb * (k @ momentum[0]) - v
        output, hidden = k @ k.mT, torch.zeros_like(path)
    damping = inverse = None
    if bounded:
        kernel, total = output, (output + hidden).diagonal(dim1=-2, dim2=-1)
        largest = torch.cummax(torch.where(keep, _norm(right), 0.0), -1).values.clamp(min=1e-30)
        if deep:
            damping = (4 * total / largest).clamp(max=1) ** 2
            kernel = output + hidden * damping.unsqueeze(-2)
        steps = theta * (1 - eta) / (kernel.diagonal(dim1=-2, dim2=-1) + 1e-6)
        system = (path_before * steps.unsqueeze(-2) * kernel).tril(-1)
        eye = torch.eye(size, dtype=q.dtype).expand_as(system)
        inverse = torch.linalg.solve_triangular(system + eye, eye, upper=False)
        errors = torch.linalg.solve_triangular(system + eye, right, upper=False)
    else:
        errors, steps = right, theta
    p = path * steps.unsqueeze(-2)

    deltas = (errors,)
    if deep:
        damped = errors if damping is None else damping.unsqueeze(-1) * errors
        deltas = ((damped @ weights[1].mT) * slope, errors)
    inputs = (k, features) if deep else (k,)
    x = q
    hidden_q = None
    for layer, w in enumerate(weights):
        out = be * (x @ w) + ga * (x @ momentum[layer]) - (p * (x @ inputs[layer].mT)) @ deltas[layer]
        if bounded:
            out = out + (1 - be) * (x @ back_to[layer])
        if layer + 1 < len(weights):
            hidden_q = out
        x = torch.nn.functional.silu(out) if layer + 1 < len(weights) else out
    u, w_row = (path[:, -1] * steps).unsqueeze(-1), (row * steps).unsqueeze(-1)
    b_end, g_end, ends_ = beta[:, -1, None, None], gamma[:, -1, None, None], ends[:, None, None]
    raw_weights, raw_momentum = [], []
    for layer, w in enumerate(weights):
        carried = b_end * w + g_end * momentum[layer] + ((1 - b_end) * back_to[layer] if bounded else 0)
        raw_weights.append(carried - inputs[layer].mT @ (u * deltas[layer]))
        raw_momentum.append(ends_ * momentum[layer] - inputs[layer].mT @ (w_row * deltas[layer]))
    factor = torch.ones(len(case.completed), dtype=q.dtype)
    closed_weights, closed_momentum = list(raw_weights), list(raw_momentum)
    if bounded and deep:
        moved = raw_weights[0] - start[0]
        distance = torch.linalg.vector_norm(moved, dim=(-2, -1))
        radius = 0.5 * torch.linalg.vector_norm(start[0], dim=(-2, -1))
        outside = (distance > 1.001 * radius) & case.completed
        factor = torch.where(outside, radius / torch.where(outside, distance, 1.0), 1.0)
        shrink = factor[:, None, None]
        far = outside[:, None, None]
        closed_weights[0] = torch.where(far, start[0] + shrink * moved, raw_weights[0])
        closed_momentum[0] = torch.where(far, shrink * raw_momentum[0], raw_momentum[0])
    return dict(
        z=z, right=right, errors=errors, steps=steps, damping=damping, inverse=inverse, path=path, beta=beta,
        gamma=gamma, momentum_row=row, momentum_decay=ends, deltas=deltas, hidden_q=hidden_q, y=x, factor=factor,
        weights=tuple(weights), momentum=tuple(momentum), raw_weights=tuple(raw_weights),
        raw_momentum=tuple(raw_momentum), closed_weights=tuple(closed_weights),
        closed_momentum=tuple(closed_momentum),
    )  # fmt: skip


def segment_arrays(case: SegmentCase, trace: SegmentTrace) -> Any:
    """The arrays that the forward kernels would have saved, in fp32."""
    from titans_seq.memory.kernels.arrays import SegmentArrays

    def all_chunks(name: str) -> Tensor | None:
        xs = [c[name] for c in trace.chunks]
        return None if xs[0] is None else torch.stack(xs).detach().float().contiguous()

    def states(given: Weights, raw: str) -> Weights:
        return tuple(
            torch.stack([w, *(c[raw][layer] for c in trace.chunks)]).detach().float().contiguous()
            for layer, w in enumerate(given)
        )

    bounded, deep = case.rule == "bounded", len(case.weights) == 2
    ones = torch.ones(1, len(case.completed))
    factors = torch.cat([ones, *(c["factor"].detach().float()[None] for c in trace.chunks)])
    values = {
        name: all_chunks(name)
        for name in ("path", "beta", "gamma", "momentum_row", "momentum_decay", "errors", "steps")
    }
    return SegmentArrays(
        **values,
        right=all_chunks("right") if bounded else None,
        damping=all_chunks("damping") if bounded and deep else None,
        inverse=all_chunks("inverse") if bounded else None,
        weights=states(case.weights, "raw_weights"),
        momentum=states(case.momentum, "raw_momentum"),
        factors=factors,
    )
