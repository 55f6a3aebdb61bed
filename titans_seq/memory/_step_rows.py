"""One token of every row of a batch, in place: M_t and S_t stay explicit and move by rank-1 products.

Nothing here depends on how many tokens were read, nor on where in its chunk a row stands: earlier tokens of the
chunk stand in slots of fixed place, and those that are not there have coefficient zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._step_cache import KernelRows
from titans_seq.memory._step_close import BLOCK, close_chunks
from titans_seq.memory._step_kernel import Features, features_at, through
from titans_seq.memory._step_rules import Token, bounded, opening_errors, titans
from titans_seq.memory.rules import Write
from titans_seq.memory.state import MemoryState


def step_rows(
    token: Token, state: MemoryState, options: MemoryOptions, read: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Read one token per row and write it into the tensors of ``state``, which must have a cache.

    Parameters
    ----------
    token : Token
    state : MemoryState
    options : MemoryOptions
    read : Tensor of bool, shape (batch,), or None
        Rows that move; the others must be masked in ``token``. None: all.

    Returns
    -------
    y : Tensor, shape (groups, 1, head_dim)
    surprise : Tensor, shape (groups, 1, 1), or None
    """
    given, skipped = token.keep, None
    seen = features_at(token.k, state.opening_weights)
    if options.surprise_threshold > 0:
        skipped = torch.linalg.vector_norm(opening_errors(token, seen, state), dim=-1, keepdim=True)
        surprising = skipped > options.surprise_threshold
        token = token.masked(surprising if given is None else surprising & given)
    rule = titans if options.rule == "titans" else bounded
    write = rule(token, seen, state, options)
    y = _write_and_read(token, seen, write, state, options)
    _record(token, seen, write, state)
    state.position.add_(1 if read is None else read)
    close_chunks(state, options, read)
    return y, _surprise(write.errors, token.keep, given, skipped) if options.return_surprise else None


def _surprise(errors: Tensor, written: Tensor | None, given: Tensor | None, skipped: Tensor | None) -> Tensor:
    norms = torch.linalg.vector_norm(errors, dim=-1, keepdim=True)
    if skipped is not None and written is not None:
        norms = torch.where(written, norms, skipped)
    return norms if given is None else torch.where(given, norms, 0)


def _pulls(write: Write, seen: Features, state: MemoryState) -> list[Tensor]:
    """−τ δ_l of every layer, at the opening weights: what each layer's inputs are multiplied with."""
    back = write.errors * -write.steps
    pulls = [back]
    if write.damping is not None:
        back = back * write.damping
    for layer in range(len(seen.slopes) - 1, -1, -1):
        back = through(back, state.opening_weights[layer + 1].mT).mul_(seen.slopes[layer])
        pulls.insert(0, back)
    return pulls


def _write_and_read(token: Token, seen: Features, write: Write, state: MemoryState, options: MemoryOptions) -> Tensor:
    """Move S and M, and read f(q; M_t), (groups, 1, head_dim)."""
    gates = [token.eta, token.alpha] if token.keep is None else [token.eta, token.alpha, token.keep.to(state.dtype)]
    weights, momentum = ([w.flatten(0, 1) for w in ws] for ws in (state.weights, state.momentum))
    parts = (gates, seen.inputs, _pulls(write, seen, state), weights, momentum)
    size, results = BLOCK * len(state.initial[0]), []
    for (q,), (eta, alpha, *keep), *layers in zip(*(_blocks(x, size) for x in ([token.q], *parts)), strict=True):
        x = q
        for layer, (a, pull, w, s) in enumerate(zip(*layers, strict=True)):
            s.mul_(eta).baddbmm_(a.mT, pull)
            _forget(w, alpha, state.initial[layer], options.rule)
            w = w.addcmul_(s, keep[0]) if keep else w.add_(s)
            x = torch.bmm(F.silu(x) if layer else x, w)
        results.append(x)
    return results[0] if len(results) == 1 else torch.cat(results)


def _blocks(tensors: Sequence[Tensor], size: int) -> Iterable[Sequence[Tensor]]:
    """Cut tensors (groups, …) into blocks of ``size``."""
    if len(tensors[0]) <= size:
        return (tensors,)
    return zip(*(x.split(size) for x in tensors), strict=True)


def _forget(weights: Tensor, alpha: Tensor, initial: Tensor, rule: str) -> None:
    """Decay weights (groups, in, out) in place: towards the initial ones (heads, in, out), or towards zero."""
    if rule == "titans":
        weights.mul_(1 - alpha)
    else:
        heads = len(initial)
        weights.view(-1, *initial.shape).lerp_(initial, alpha.view(-1, heads, 1, 1))


def _record(token: Token, seen: Features, write: Write, state: MemoryState) -> None:
    """Put the token into its slot of the open chunk."""
    cache = state.cache
    assert cache is not None
    batch, heads, slots = cache.keep.shape
    phase = (state.position % slots).repeat_interleave(heads)
    slot = phase + torch.arange(0, batch * heads * slots, slots, device=phase.device)
    keep = torch.ones_like(token.theta, dtype=torch.bool) if token.keep is None else token.keep
    eta = token.eta if token.keep is None else torch.where(keep, token.eta, 0)
    row, rows = [token.k, token.v], cache.kernel
    if rows is not None and write.damping is not None:
        row.append(write.errors * write.damping)
        _move_coefficients(token, rows)
        for buffer, x in zip((*rows.slopes, *rows.inputs), (*seen.slopes, *seen.inputs[1:-1]), strict=True):
            _put(buffer, slot, x)
        _put(rows.in_momentum, slot, -write.steps)
        _enter_weights(token, rows)
    _put(cache.rows, slot, torch.cat(row, -1))
    _put(cache.gates, slot, torch.cat((token.theta, eta, token.alpha), -1))
    _put(cache.keep, slot, keep)


def _put(buffer: Tensor, slot: Tensor, x: Tensor) -> None:
    """Write (groups, 1, width) into its slots of (batch, heads, slots, width), or of (batch, heads, …, slots)."""
    buffer.view(-1, x.shape[-1]).index_copy_(0, slot, x.squeeze(1))


def _move_coefficients(token: Token, rows: KernelRows) -> None:
    """Decay what the opening momentum and earlier tokens weigh in S_t and M_t."""
    for momentum in (rows.in_momentum, rows.gamma_momentum):
        momentum.flatten(0, 1).mul_(token.eta)
    kept = 1 - token.alpha
    for weight in (rows.in_weights, rows.gamma, rows.beta):
        weight.flatten(0, 1).mul_(kept)


def _enter_weights(token: Token, rows: KernelRows) -> None:
    """Add what they weigh in S_t to what they weigh in M_t."""
    for weight, momentum in ((rows.in_weights, rows.in_momentum), (rows.gamma, rows.gamma_momentum)):
        if token.keep is None:
            weight.add_(momentum)
        else:
            weight.flatten(0, 1).addcmul_(momentum.flatten(0, 1), token.keep.to(weight.dtype))
