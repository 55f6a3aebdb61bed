"""The specification: the memory rule as a loop over tokens in float64, one row and head at a time.

Written to be read, not to be fast. It shares no code with the chunked backends; they are tested against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from titans_seq.memory._options import MemoryOptions
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
    largest_error: Tensor | None = None  # so far, before the chunk's own corrections


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


class RowMemory:
    """One stream of one head: reads tokens one by one."""

    def __init__(self, initial: Matrices, weights: Matrices, momentum: Matrices, options: MemoryOptions) -> None:
        self.initial, self.weights, self.momentum, self.options = initial, weights, momentum, options
        self.open_chunk()

    def open_chunk(self) -> None:
        """Fix the weights at which the gradients of the next chunk are taken."""
        one = torch.ones((), dtype=torch.float64)
        self.chunk = OpenChunk(self.weights, self.momentum, one, 0 * one, one)
        self.slot = 0

    def write(self, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, keep: bool) -> tuple[bool, Tensor]:
        """Learn one token; returns whether it was written and its surprise ‖e‖."""
        if self.slot == self.options.chunk_size:
            self.open_chunk()
        self.slot += 1
        return self._write(k, v, theta, eta, alpha) if keep else (False, torch.zeros((), dtype=torch.float64))

    def close_chunk(self) -> None:
        """At a chunk's end hidden layers come back to 1/2 / (L − 1) of their initial norm of where they began."""
        if self.slot < self.options.chunk_size or self.options.rule != "bounded":
            return
        weights, momentum = list(self.weights), list(self.momentum)
        for layer, start in enumerate(self.initial[:-1]):
            moved = weights[layer] - start
            radius, distance = (
                0.5 / (len(weights) - 1) * torch.linalg.matrix_norm(start),
                torch.linalg.matrix_norm(moved),
            )
            if distance > 1.001 * radius:
                weights[layer] = start + radius / distance * moved
                momentum[layer] = radius / distance * momentum[layer]
        self.weights, self.momentum = weights, momentum

    def _write(self, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor) -> tuple[bool, Tensor]:
        token = features(k, self.chunk.opening)
        opening_error = token[0][-1] @ self.chunk.opening[-1] - v
        threshold = self.options.surprise_threshold
        if threshold > 0 and torch.linalg.vector_norm(opening_error) <= threshold:
            return False, torch.linalg.vector_norm(opening_error)
        damping = torch.ones_like(theta)
        if self.options.rule == "titans":
            error, step = -v if self.options.loss == "dot" else opening_error, theta
        else:
            error, step, damping = self._bounded(token, v, theta, eta, alpha)
        self._learn(token, error, step, damping, eta, alpha)
        return True, torch.linalg.vector_norm(error)

    def _damping(self, kernel_diagonal: Tensor, error: Tensor) -> Tensor:
        """ρ = min(1, 4^(3−L) K[t,t] / largest uncorrected error of the chunk so far)^(2(L−1)); 1 for depth 1."""
        chunk, depth = self.chunk, len(self.chunk.opening)
        if chunk.largest_error is None or error > chunk.largest_error:
            chunk.largest_error = error
        limit = 4.0 ** (3 - depth) * kernel_diagonal
        if depth == 1 or limit >= chunk.largest_error:
            return torch.ones_like(error)
        return (limit / chunk.largest_error) ** (2 * (depth - 1))

    def _bounded(
        self, token: Token, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Error that sees what earlier tokens of the chunk corrected, the normalised step, and the damping."""
        chunk, w = self.chunk, self.chunk.opening
        decay = 1 - alpha if self.options.decay_before_error else torch.ones_like(alpha)
        beta = decay * chunk.beta
        last = beta * w[-1] + (1 - beta) * self.initial[-1] + decay * chunk.gamma * chunk.opening_momentum[-1]
        back = [w0 - opening for w0, opening in zip(self.initial, w, strict=True)]
        error = token[0][-1] @ last + (1 - beta) * hidden_motion(token, back, w) - v
        error = error + decay * chunk.gamma * hidden_motion(token, chunk.opening_momentum, w)
        output, hidden = kernel(token, token, w)
        damping = self._damping(output + hidden, torch.linalg.vector_norm(error))
        step = theta * (1 - eta) / (output + damping * hidden + 1e-6)
        for earlier, e, c, rho in zip(chunk.features, chunk.errors, chunk.in_weights, chunk.damping, strict=True):
            output, hidden = kernel(token, earlier, w)
            error = error + decay * c * (output + rho * hidden) * e
        return error, step, damping

    def _learn(self, token: Token, error: Tensor, step: Tensor, damping: Tensor, eta: Tensor, alpha: Tensor) -> None:
        chunk, bounded = self.chunk, self.options.rule == "bounded"
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
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    mask: Tensor,
    lengths: tuple[int, ...],
    options: MemoryOptions,
) -> tuple[Tensor, MemoryState, Tensor | None]:
    """Read a batch of streams with `RowMemory`; arguments are those of `neural_memory`, already checked.

    Returns
    -------
    y : Tensor, shape (batch, time, heads, head_dim), float64
    state : MemoryState
    surprise : Tensor of shape (batch, time, heads), float64, or None
    """
    dtype, state = state.dtype, state.to(dtype=torch.float64)
    tokens = tuple(x.to(torch.float64) for x in (q, k, v, theta, eta, alpha))
    streams = [
        [_read_stream(state, b, h, tokens, mask[b].tolist()[: lengths[b]], options) for h in range(q.shape[2])]
        for b in range(q.shape[0])
    ]
    memories = [[s.memory for s in row] for row in streams]
    pending = _pending(state, tokens[1:], lengths, [[s.written for s in row] for row in streams], options.chunk_size)
    new = _state(state, memories, pending, lengths, options.chunk_size).to(dtype=dtype)
    y = torch.stack([torch.stack([s.y for s in row], 1) for row in streams])
    surprise = torch.stack([torch.stack([s.surprise for s in row], 1) for row in streams])
    return y, new, surprise if options.return_surprise else None


@dataclass
class ReadStream:
    """One stream of one head after reading: outputs, surprises, and which tokens of the grid were written."""

    memory: RowMemory
    y: Tensor
    surprise: Tensor
    written: list[bool]


def _read_stream(
    state: MemoryState, b: int, h: int, tokens: tuple[Tensor, ...], keep: list[bool], options: MemoryOptions
) -> ReadStream:
    q, k, v, theta, eta, alpha = (x[b, :, h] for x in tokens)
    memory, written = _resume(state, b, h, options)
    y, surprise = [torch.zeros_like(q[t]) for t in range(len(q))], [q.new_zeros(()) for _ in range(len(q))]
    for t, kept in enumerate(keep):
        wrote, surprise[t] = memory.write(k[t], v[t], theta[t], eta[t], alpha[t], kept)
        written.append(wrote)
        y[t] = read(q[t], memory.weights)
        memory.close_chunk()
    stacked = (torch.stack(y), torch.stack(surprise)) if y else (q, q[:, 0])
    return ReadStream(memory, *stacked, written)


def _resume(state: MemoryState, b: int, h: int, options: MemoryOptions) -> tuple[RowMemory, list[bool]]:
    """Replay the rows of the open chunk from its opening weights."""
    pending, phase = state.pending, int(state.position[b]) % options.chunk_size
    memory = RowMemory(
        [w[h] for w in state.initial],
        [w[b, h] for w in state.opening_weights],
        [s[b, h] for s in state.opening_momentum],
        options,
    )
    kept = []
    for t in range(phase):
        row = (
            pending.k[b, t, h],
            pending.v[b, t, h],
            pending.theta[b, t, h],
            pending.eta[b, t, h],
            pending.alpha[b, t, h],
        )
        memory.write(*row, keep=bool(pending.keep[b, t, h]))
        kept.append(bool(pending.keep[b, t, h]))
    return memory, kept


def _pending(
    state: MemoryState,
    tokens: tuple[Tensor, ...],
    lengths: tuple[int, ...],
    written: list[list[list[bool]]],
    chunk_size: int,
) -> PendingRows:
    """Rows of the chunk that is open after the last token, left-aligned."""
    before = [int(p) % chunk_size for p in state.position]
    phases = [(p + n) % chunk_size for p, n in zip(before, lengths, strict=True)]
    _, _, heads, head_dim = tokens[0].shape
    rows = empty_pending(len(lengths), heads, head_dim, tokens[0]).widen(max(phases))
    names = ("k", "v", "theta", "eta", "alpha")
    old, new = {n: getattr(state.pending, n) for n in names}, dict(zip(names, tokens, strict=True))
    for b, phase in enumerate(phases):
        total = before[b] + lengths[b]
        keep = torch.tensor(written[b]).reshape(heads, total).T
        for slot in range(phase):
            t = total - phase + slot
            rows.keep[b, slot] = keep[t]
            for name in new:
                source = old[name][b, t] if t < before[b] else new[name][b, t - before[b]]
                cell = keep[t, :, None] if source.dim() == 2 else keep[t]
                getattr(rows, name)[b, slot] = torch.where(cell, source, 0)
    return rows


def _state(
    state: MemoryState,
    memories: list[list[RowMemory]],
    pending: PendingRows,
    lengths: tuple[int, ...],
    chunk_size: int,
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
