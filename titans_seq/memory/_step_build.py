"""A state made ready for reading token by token: tensors of its own, and the cache of its open chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.memory._coefficients import Coefficients, chunk_coefficients
from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._step_cache import KernelRows, StepCache, combine
from titans_seq.memory._step_kernel import features_at, row_norms, uncorrected_errors
from titans_seq.memory.rules import RULES, ChunkFeatures
from titans_seq.memory.rules import Features as RuleFeatures
from titans_seq.memory.state import MemoryState, PendingRows, Weights, cached_pending


def rule_of(options: MemoryOptions) -> tuple[object, ...]:
    """What a cache depends on besides the tokens."""
    return options.rule, options.loss, options.decay_before_error


def with_cache(state: MemoryState, options: MemoryOptions, *, inplace: bool) -> MemoryState:
    """Return the state with a cache and with tensors that may be written to.

    With ``inplace`` a state that has a fitting cache is returned as it is.
    """
    cache = state.cache
    if cache is not None and cache.rule == rule_of(options) and state.chunk_size == options.chunk_size:
        return state if inplace else state.clone()
    state = replace(state, cache=None).clone()
    slots = _slots(state.pending, options.chunk_size)
    needs_kernel = options.rule == "bounded" and state.depth > 1
    rows, kernel = [slots.k, slots.v], None
    if needs_kernel:
        pulls, kernel = _kernel_rows(slots, state, options)
        rows.append(pulls)
    gates = torch.stack((slots.theta, slots.eta, slots.alpha), -1)
    cache = StepCache(torch.cat(rows, -1), gates, slots.keep, kernel, rule_of(options))
    return replace(state, pending=cached_pending(cache), cache=cache, chunk_size=options.chunk_size)


def _slots(pending: PendingRows, chunk_size: int) -> PendingRows:
    """Pending rows with heads first, in as many slots as a chunk has."""
    return pending.map(lambda x: x[:, :chunk_size]).widen(chunk_size).map(lambda x: x.transpose(1, 2).contiguous())


def _kernel_rows(slots: PendingRows, state: MemoryState, options: MemoryOptions) -> tuple[Tensor, KernelRows]:
    """Read the open chunk once more, in one go; returns ρ e of its tokens, and what the kernel needs of them."""
    rows = slots.keep.shape[:2]
    k, v, theta, eta, alpha, keep = (getattr(slots, f.name).flatten(0, 1) for f in fields(slots))
    eta = torch.where(keep, eta, 1)
    c = chunk_coefficients(eta, alpha, keep)
    seen = features_at(k, state.opening_weights)
    write = RULES[options.rule](
        ChunkFeatures(
            RuleFeatures(seen.inputs, seen.slopes), v, theta, eta, alpha, keep, c,
            _groups(state.opening_weights), _groups(state.opening_momentum),
            _groups([w.expand(rows[0], *w.shape) for w in state.initial]), options.loss, options.decay_before_error,
        )
    )  # fmt: skip
    assert write.damping is not None
    right = uncorrected_errors(seen, v, state, *_before_each_token(c, alpha, options)).errors
    norms = torch.linalg.vector_norm(right, dim=-1)
    made = KernelRows(
        slopes=tuple(seen.slopes),
        inputs=tuple(seen.inputs[1:-1]),
        in_weights=-(c.path[:, -1] * write.steps).unsqueeze(-2),
        in_momentum=-(c.momentum_row * write.steps).unsqueeze(-2),
        beta=c.beta[:, -1:, None],
        gamma=c.gamma[:, -1:, None],
        gamma_momentum=c.momentum_decay[:, None, None],
        largest=torch.where(keep, norms, 0).amax(-1)[:, None, None],
        row_norms=row_norms(_groups(state.opening_weights)),
    )
    pulls = (write.errors * write.damping.unsqueeze(-1)).unflatten(0, rows)
    return pulls, combine(lambda x: x[0].clone(memory_format=torch.contiguous_format).unflatten(0, rows), [made])


def _groups(weights: Sequence[Tensor]) -> Weights:
    return tuple(w.flatten(0, 1) for w in weights)


def _before_each_token(c: Coefficients, alpha: Tensor, options: MemoryOptions) -> tuple[Tensor, Tensor]:
    """Weights of the opening weights and momentum in what each token finds, (groups, chunk, 1)."""
    beta = F.pad(c.beta[:, :-1], (1, 0), value=1.0).unsqueeze(-1)
    gamma = F.pad(c.gamma[:, :-1], (1, 0)).unsqueeze(-1)
    if options.decay_before_error:
        decay = 1 - alpha.unsqueeze(-1)
        return decay * beta, decay * gamma
    return beta, gamma
