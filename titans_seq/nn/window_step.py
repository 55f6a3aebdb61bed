"""Sliding-window attention for one query per row."""

from __future__ import annotations

import torch
from torch import Tensor

from titans_seq.nn.attention import AttentionProjections
from titans_seq.nn.cache import WindowCache
from titans_seq.nn.mixer import Step
from titans_seq.nn.ring import WindowRing
from titans_seq.nn.rotary import rotate


def step_window(
    attention: AttentionProjections,
    x: Tensor,
    persistent: Tensor,
    window: WindowCache | WindowRing | None,
    step: Step,
) -> tuple[Tensor, WindowRing]:
    """Attend with one query per row: `SlidingWindowAttention.forward` for a single token.

    Parameters
    ----------
    attention : AttentionProjections
    x : Tensor, shape (batch, d_model)
    persistent : Tensor, shape (n_persistent, d_model)
        Tokens that all queries see.
    window : WindowCache or WindowRing
    step : Step

    Returns
    -------
    tuple of Tensor and WindowRing
        The result, shaped like ``x``, and the window for the next step.
    """
    assert window is not None and step.rotation is not None
    ring = _own_ring(window, step)
    q, k, v = attention.queries_keys_values(x[:, None])
    q = q * attention.scale
    turned = rotate(torch.cat((q, k), 1), step.rotation)
    slot = _slots(ring)
    _put(ring.rows, slot, torch.cat((k[:, 0], v[:, 0], turned[:, 1]), -1), step.read)
    # Every token sees itself; only afterwards is a masked one hidden.
    own = torch.zeros_like(k[:, 0, :, :1])
    _put(ring.bias, slot, own, step.read)
    y = _attend(q[:, 0], turned[:, 0], ring, attention.keys_values(persistent))
    if step.mask is not None:
        _put(ring.bias, slot, own.masked_fill(~step.mask[:, None, None], float("-inf")), step.read)
    ring.position.add_(1 if step.read is None else step.read)
    return attention.project_out(y), ring


def _own_ring(window: WindowCache | WindowRing, step: Step) -> WindowRing:
    if isinstance(window, WindowCache):
        return WindowRing.from_cache(window, step.position)
    return window if step.inplace else window.clone()


def _slots(ring: WindowRing) -> Tensor:
    """Where each row's and head's next token stands in the flattened (batch, heads, width)."""
    batch, heads, width, _ = ring.rows.shape
    slot = (ring.position % width).repeat_interleave(heads)
    return slot.add_(torch.arange(0, batch * heads * width, width, device=slot.device))


def _put(buffer: Tensor, slot: Tensor, row: Tensor, read: Tensor | None) -> None:
    """Write (batch, heads, d) into its slots, but for batch entries that read nothing."""
    rows = buffer.view(-1, buffer.shape[-1])
    if read is not None:
        row = torch.where(read[:, None, None], row, rows[slot].view(row.shape))
    rows.index_copy_(0, slot, row.reshape(-1, row.shape[-1]).to(rows.dtype))


def _attend(query: Tensor, rotated: Tensor, ring: WindowRing, persistent: tuple[Tensor, Tensor]) -> Tensor:
    """One softmax over persistent tokens and the ring; query, rotated (batch, heads, d), result (batch, heads × d)."""
    batch, heads, _ = query.shape
    _, values, keys = ring.rows.flatten(0, 1).chunk(3, -1)
    scores = torch.bmm(rotated.reshape(batch * heads, 1, -1), keys.mT).add_(ring.bias.view(batch * heads, 1, -1))
    scores = scores.view(batch, heads, -1)
    fixed = torch.bmm(query.transpose(0, 1), persistent[0].permute(1, 2, 0)).transpose(0, 1)
    weights = torch.cat((fixed, scores), -1).softmax(-1)
    weights, others = weights.split((fixed.shape[-1], scores.shape[-1]), -1)
    y = torch.bmm(others.reshape(batch * heads, 1, -1), values).view(batch, heads, -1)
    y = y.transpose(0, 1).baddbmm(weights.transpose(0, 1), persistent[1].transpose(0, 1))
    return y.transpose(0, 1).reshape(batch, -1)
