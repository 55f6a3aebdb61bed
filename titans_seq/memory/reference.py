"""The specification: the memory rule as a loop over tokens in float64, one row and head at a time.

Written to be read, not to be fast. It shares no code with the chunked backends; they are tested against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from titans_seq.memory.state import MemoryState, PendingRows, empty_pending

Matrices = list[Tensor]
Token = tuple[list[Tensor], list[Tensor]]


@dataclass
class OpenChunk:
    """What the tokens of one chunk share: its opening weights and the pull of each earlier token."""

    opening: Matrices
    opening_momentum: Matrices
    beta: Tensor  # weight of the opening weights in M
    gamma: Tensor  # weight of the opening momentum in M
    gamma_momentum: Tensor  # weight of the opening momentum in S
    features: list[Token] = field(default_factory=list)
    errors: list[Tensor] = field(default_factory=list)
    in_weights: list[Tensor] = field(default_factory=list)  # weight of each token's gradient in M
    in_momentum: list[Tensor] = field(default_factory=list)  # weight of each token's gradient in S
    damping: list[Tensor] = field(default_factory=list)  # factor on each token's hidden layers
    largest_error: Tensor | None = None  # so far, at the opening weights


def read(x: Tensor, weights: Matrices) -> Tensor:
    """f(x; weights) = W_Lᵀ silu(… silu(W_1ᵀ x))."""
    for w in weights[:-1]:
        x = torch.nn.functional.silu(x @ w)
    return x @ weights[-1]


def features(k: Tensor, weights: Matrices) -> Token:
    """Inputs a_0 … a_{L−1} of every layer, and silu'(z_1) … silu'(z_{L−1})."""
    inputs, slopes = [k], []
    for w in weights[:-1]:
        z = inputs[-1] @ w
        sigmoid = torch.sigmoid(z)
        inputs.append(z * sigmoid)
        slopes.append(sigmoid * (1 + z * (1 - sigmoid)))
    return inputs, slopes


def kernel(t: Token, i: Token, weights: Matrices) -> tuple[Tensor, Tensor]:
    """K[t, i] = Σ_l κ_l (a_{l−1,t} · a_{l−1,i}): the output layer's term, and the sum of the hidden layers'."""
    output = t[0][-1] @ i[0][-1]
    hidden, kappa = torch.zeros_like(output), torch.ones_like(output)
    for layer in range(len(weights) - 2, -1, -1):
        row_norms = (weights[layer + 1] ** 2).sum(-1)
        kappa = kappa * (t[1][layer] * i[1][layer] * row_norms).sum()
        hidden = hidden + kappa * (t[0][layer] @ i[0][layer])
    return output, hidden


def layer_gradients(token: Token, error: Tensor, damping: Tensor, weights: Matrices) -> Matrices:
    """Rank-1 gradient of every layer, a_{l−1} ⊗ δ_l, at the opening weights; hidden layers are damped."""
    inputs, slopes = token
    delta, gradients = damping * error, [torch.outer(inputs[-1], error)]
    for layer in range(len(weights) - 2, -1, -1):
        delta = (weights[layer + 1] @ delta) * slopes[layer]
        gradients.insert(0, torch.outer(inputs[layer], delta))
    return gradients


def hidden_motion(token: Token, direction: Matrices, weights: Matrices) -> Tensor:
    """First-order change of f(k) as the hidden layers move along ``direction``."""
    inputs, slopes = token
    moved = torch.zeros_like(inputs[0])
    for layer in range(len(weights) - 1):
        moved = (inputs[layer] @ direction[layer] + moved @ weights[layer]) * slopes[layer]
    return moved @ weights[-1] if len(weights) > 1 else moved


@dataclass(frozen=True)
class Settings:
    """The arguments of the op that do not change from token to token."""

    chunk_size: int
    rule: str
    loss: str
    surprise_threshold: float
    decay_before_error: bool


class RowMemory:
    """One stream of one head: reads tokens one by one."""

    def __init__(self, initial: Matrices, weights: Matrices, momentum: Matrices, settings: Settings) -> None:
        self.initial, self.weights, self.momentum, self.settings = initial, weights, momentum, settings
        self.open_chunk()

    def open_chunk(self) -> None:
        """Fix the weights at which the gradients of the next chunk are taken."""
        one = torch.ones((), dtype=torch.float64)
        self.chunk = OpenChunk(self.weights, self.momentum, one, 0 * one, one)
        self.slot = 0

    def write(self, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, keep: bool) -> tuple[bool, Tensor]:
        """Learn one token; returns whether it was written and its surprise ‖e‖."""
        if self.slot == self.settings.chunk_size:
            self.open_chunk()
        self.slot += 1
        return self._write(k, v, theta, eta, alpha) if keep else (False, torch.zeros((), dtype=torch.float64))

    def close_chunk(self) -> None:
        """At a chunk's end hidden layers come back to within half their initial norm of the initial weights."""
        if self.slot < self.settings.chunk_size or self.settings.rule != "bounded":
            return
        weights, momentum = list(self.weights), list(self.momentum)
        for layer, start in enumerate(self.initial[:-1]):
            moved = weights[layer] - start
            radius, distance = 0.5 * torch.linalg.matrix_norm(start), torch.linalg.matrix_norm(moved)
            if distance > 1.001 * radius:
                weights[layer] = start + radius / distance * moved
                momentum[layer] = radius / distance * momentum[layer]
        self.weights, self.momentum = weights, momentum

    def _write(self, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor) -> tuple[bool, Tensor]:
        token = features(k, self.chunk.opening)
        opening_error = token[0][-1] @ self.chunk.opening[-1] - v
        threshold = self.settings.surprise_threshold
        if threshold > 0 and torch.linalg.vector_norm(opening_error) <= threshold:
            return False, torch.linalg.vector_norm(opening_error)
        damping = torch.ones_like(theta)
        if self.settings.rule == "titans":
            error, step = -v if self.settings.loss == "dot" else opening_error, theta
        else:
            damping = self._damping(token, torch.linalg.vector_norm(opening_error))
            error, step = self._bounded(token, damping, v, theta, eta, alpha)
        self._learn(token, error, step, damping, eta, alpha)
        return True, torch.linalg.vector_norm(error)

    def _damping(self, token: Token, opening_error: Tensor) -> Tensor:
        """ρ = min(1, 4 K[t,t] / largest opening error of the chunk so far)²."""
        chunk = self.chunk
        if chunk.largest_error is None or opening_error > chunk.largest_error:
            chunk.largest_error = opening_error
        limit = 4 * sum(kernel(token, token, chunk.opening))
        if limit >= chunk.largest_error:
            return torch.ones_like(opening_error)
        return (limit / chunk.largest_error) ** 2

    def _bounded(
        self, token: Token, damping: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Error that sees what earlier tokens of the chunk corrected, and the normalised step."""
        chunk, w = self.chunk, self.chunk.opening
        output, hidden = kernel(token, token, w)
        step = theta * (1 - eta) / (output + damping * hidden + 1e-6)
        decay = 1 - alpha if self.settings.decay_before_error else torch.ones_like(alpha)
        beta = decay * chunk.beta
        last = beta * w[-1] + (1 - beta) * self.initial[-1] + decay * chunk.gamma * chunk.opening_momentum[-1]
        back = [w0 - opening for w0, opening in zip(self.initial, w, strict=True)]
        error = token[0][-1] @ last + (1 - beta) * hidden_motion(token, back, w) - v
        error = error + decay * chunk.gamma * hidden_motion(token, chunk.opening_momentum, w)
        for earlier, e, c, rho in zip(chunk.features, chunk.errors, chunk.in_weights, chunk.damping, strict=True):
            output, hidden = kernel(token, earlier, w)
            error = error + decay * c * (output + rho * hidden) * e
        return error, step

    def _learn(
        self, token: Token, error: Tensor, step: Tensor, damping: Tensor, eta: Tensor, alpha: Tensor
    ) -> None:
        chunk, bounded = self.chunk, self.settings.rule == "bounded"
        gradients = layer_gradients(token, error, damping, chunk.opening)
        self.momentum = [eta * s - step * g for s, g in zip(self.momentum, gradients, strict=True)]
        decayed = [(1 - alpha) * w for w in self.weights]
        if bounded:
            decayed = [d + alpha * w0 for d, w0 in zip(decayed, self.initial, strict=True)]
        self.weights = [d + s for d, s in zip(decayed, self.momentum, strict=True)]
        chunk.gamma_momentum = eta * chunk.gamma_momentum
        chunk.beta = (1 - alpha) * chunk.beta
        chunk.gamma = (1 - alpha) * chunk.gamma + chunk.gamma_momentum
        chunk.in_momentum = [eta * s for s in chunk.in_momentum] + [-step]
        carried = [*chunk.in_weights, torch.zeros_like(step)]
        chunk.in_weights = [(1 - alpha) * c + s for c, s in zip(carried, chunk.in_momentum, strict=True)]
        chunk.features.append(token)
        chunk.errors.append(error)
        chunk.damping.append(damping)


def reference_memory(
    q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, state: MemoryState,
    *, mask: Tensor, lengths: list[int], settings: Settings,
) -> tuple[Tensor, MemoryState, Tensor]:
    """Read a batch of streams with `RowMemory`; arguments are those of `neural_memory`, already checked.

    Returns
    -------
    y : Tensor, shape (batch, time, heads, head_dim), float64
    state : MemoryState
    surprise : Tensor, shape (batch, time, heads), float64
    """
    batch, time, heads, dim = q.shape
    state = state.to(dtype=torch.float64)
    q, k, v, theta, eta, alpha = (x.to(torch.float64) for x in (q, k, v, theta, eta, alpha))
    y = [[[torch.zeros(dim, dtype=torch.float64)] * heads for _ in range(time)] for _ in range(batch)]
    surprise = [[[torch.zeros((), dtype=torch.float64)] * heads for _ in range(time)] for _ in range(batch)]
    memories: list[list[RowMemory]] = []
    written: list[list[list[bool]]] = []
    for b in range(batch):
        row_memories, row_written = [], []
        for h in range(heads):
            memory, kept = _resume(state, b, h, settings)
            for t in range(lengths[b]):
                keep = bool(mask[b, t])
                wrote, norm = memory.write(k[b, t, h], v[b, t, h], theta[b, t, h], eta[b, t, h], alpha[b, t, h], keep)
                kept.append(wrote)
                y[b][t][h], surprise[b][t][h] = read(q[b, t, h], memory.weights), norm
                memory.close_chunk()
            row_memories.append(memory)
            row_written.append(kept)
        memories.append(row_memories)
        written.append(row_written)
    pending = _pending(state, k, v, theta, eta, alpha, lengths, written, settings.chunk_size)
    out = torch.stack([torch.stack([torch.stack(r) for r in row]) for row in y]) if time else q
    norms = torch.stack([torch.stack([torch.stack(r) for r in row]) for row in surprise]) if time else theta
    return out, _state(state, memories, pending, lengths, settings.chunk_size), norms


def _resume(state: MemoryState, b: int, h: int, settings: Settings) -> tuple[RowMemory, list[bool]]:
    """Replay the rows of the open chunk from its opening weights."""
    pending, phase = state.pending, int(state.position[b]) % settings.chunk_size
    memory = RowMemory(
        [w[h] for w in state.initial],
        [w[b, h] for w in state.opening_weights],
        [s[b, h] for s in state.opening_momentum],
        settings,
    )
    kept = []
    for t in range(phase):
        row = (pending.k[b, t, h], pending.v[b, t, h], pending.theta[b, t, h], pending.eta[b, t, h], pending.alpha[b, t, h])
        memory.write(*row, keep=bool(pending.keep[b, t, h]))
        kept.append(bool(pending.keep[b, t, h]))
    return memory, kept


def _pending(
    state: MemoryState, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor,
    lengths: list[int], written: list[list[list[bool]]], chunk_size: int,
) -> PendingRows:
    """Rows of the chunk that is open after the last token, left-aligned."""
    before = [int(p) % chunk_size for p in state.position]
    phases = [(p + n) % chunk_size for p, n in zip(before, lengths, strict=True)]
    rows = empty_pending(len(lengths), k.shape[2], k.shape[3], k).widen(max(phases))
    old = {n: getattr(state.pending, n) for n in ("k", "v", "theta", "eta", "alpha")}
    new = {"k": k, "v": v, "theta": theta, "eta": eta, "alpha": alpha}
    for b, phase in enumerate(phases):
        total = before[b] + lengths[b]
        keep = torch.tensor(written[b]).reshape(k.shape[2], total).T
        for slot in range(phase):
            t = total - phase + slot
            rows.keep[b, slot] = keep[t]
            for name in new:
                source = old[name][b, t] if t < before[b] else new[name][b, t - before[b]]
                cell = keep[t, :, None] if source.dim() == 2 else keep[t]
                getattr(rows, name)[b, slot] = torch.where(cell, source, 0)
    return rows


def _state(
    state: MemoryState, memories: list[list[RowMemory]], pending: PendingRows, lengths: list[int], chunk_size: int
) -> MemoryState:
    def gather(pick: str) -> tuple[Tensor, ...]:
        per_layer = []
        for layer in range(state.depth):
            rows = [torch.stack([_stacks(m, pick, chunk_size)[layer] for m in row]) for row in memories]
            per_layer.append(torch.stack(rows))
        return tuple(per_layer)

    return MemoryState(
        initial=state.initial,
        weights=gather("weights"),
        momentum=gather("momentum"),
        opening_weights=gather("opening_weights"),
        opening_momentum=gather("opening_momentum"),
        pending=pending,
        position=state.position + torch.tensor(lengths, device=state.position.device),
        chunk_size=chunk_size,
    )


def _stacks(memory: RowMemory, pick: str, chunk_size: int) -> Matrices:
    """A chunk that is full is closed: the next one opens with the current weights."""
    closed = memory.slot == chunk_size
    if pick == "opening_weights" and not closed:
        return memory.chunk.opening
    if pick == "opening_momentum" and not closed:
        return memory.chunk.opening_momentum
    return memory.weights if pick.endswith("weights") else memory.momentum
