"""Causal attention over a stream: within a sliding window, or over everything read.

A masked token is seen by no other token; every token sees itself, so that no softmax is ever empty.
Persistent tokens are seen by all. They have no position: their keys are scored with the unrotated query,
hence a result does not depend on how far a stream has run, or where it was cut.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.nn.cache import GrowingCache, WindowCache
from titans_seq.nn.rotary import Table, rotary_table, rotate

MIN_BLOCK = 16
"""Fewest queries of a block: narrower windows are masked within it, as tiny blocks only cost time."""


class AttentionProjections(nn.Module):
    """Linear maps from tokens to queries, keys, values, and back."""

    def __init__(self, d_model: int, n_heads: int, head_dim: int | None = None) -> None:
        super().__init__()
        self.n_heads, self.head_dim = n_heads, head_dim or d_model // n_heads
        inner = self.n_heads * self.head_dim
        self.project_in = nn.Linear(d_model, 3 * inner, bias=False)
        self.project_out = nn.Linear(inner, d_model, bias=False)

    @property
    def scale(self) -> float:
        """Factor of the scores."""
        return float(self.head_dim**-0.5)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (batch, time, d_model) to three tensors (batch, time, heads, head_dim)."""
        q, k, v = self.project_in(x).unflatten(-1, (3, self.n_heads, self.head_dim)).unbind(-3)
        return q, k, v

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (..., d_model) to keys and values (..., heads, head_dim)."""
        weight = self.project_in.weight[self.n_heads * self.head_dim :]
        k, v = F.linear(x, weight).unflatten(-1, (2, self.n_heads, self.head_dim)).unbind(-3)
        return k, v

    def join_heads(self, x: Tensor) -> Tensor:
        """Map (batch, time, heads, head_dim) to (batch, time, d_model)."""
        return self.project_out(x.flatten(-2))


def attend(
    query: Tensor,
    rotated: Tensor,
    keys: Tensor,
    values: Tensor,
    bias: Tensor,
    persistent: tuple[Tensor, Tensor],
) -> Tensor:
    """Softmax attention over persistent tokens and others in one softmax.

    Parameters
    ----------
    query, rotated : Tensor, shape (..., heads, queries, head_dim)
        The scaled query before and after rotation.
    keys : Tensor, shape (..., heads, head_dim, n)
        Rotated keys, transposed.
    values : Tensor, shape (..., heads, n, head_dim)
        Their values.
    bias : Tensor, broadcastable to (..., heads, queries, n)
        0 where a query sees a key, else -inf.
    persistent : tuple of Tensor, each (n_persistent, heads, head_dim)
        Keys and values of the persistent tokens; possibly none.

    Returns
    -------
    Tensor, shape (..., heads, queries, head_dim)
    """
    scores = torch.matmul(rotated, keys).add_(bias)
    n = persistent[0].shape[0]
    if n == 0:
        return torch.matmul(scores.softmax(-1), values)
    fixed = torch.matmul(query, persistent[0].permute(1, 2, 0))
    weights = torch.cat((fixed, scores), -1).softmax(-1)
    return torch.matmul(weights[..., :n], persistent[1].transpose(0, 1)) + torch.matmul(
        weights[..., n:], values
    )


def hide(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where ``visible`` and -inf elsewhere."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(
        ~visible, float("-inf")
    )


class SlidingWindowAttention(AttentionProjections):
    """Causal attention of every token to itself and the ``window_size - 1`` tokens before it.

    Queries are cut into blocks that see their own keys and those of the window before: time and memory grow
    with time x window, never with time x time.

    Parameters
    ----------
    d_model, n_heads : int
    window_size : int
        Tokens a query sees at most, itself included, persistent tokens not counted.
    head_dim : int, optional
        Default ``d_model // n_heads``.
    """

    def __init__(self, d_model: int, n_heads: int, window_size: int, *, head_dim: int | None = None) -> None:
        super().__init__(d_model, n_heads, head_dim)
        self.window_size = window_size

    def empty_cache(self, batch_size: int) -> WindowCache:
        """Return the window before position 0."""
        return WindowCache.empty(
            batch_size, self.window_size, self.n_heads, self.head_dim, self.project_in.weight.detach()
        )

    def forward(
        self,
        x: Tensor,
        cache: WindowCache | None = None,
        *,
        persistent: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, WindowCache]:
        """Attend.

        Parameters
        ----------
        x : Tensor, shape (batch, time, d_model)
        cache : WindowCache, optional
            What an earlier call handed back; None at the start of a stream.
        persistent : Tensor, shape (n_persistent, d_model), optional
            Tokens that all queries see.
        mask : Tensor of bool, shape (batch, time), optional
            False for masked tokens.
        lengths : Tensor of int, shape (batch,), optional
            Tokens beyond are padding: the cache does not advance over them.

        Returns
        -------
        tuple of Tensor and WindowCache
            The result, shaped like ``x``, and the cache for the next call.
        """
        cache = self.empty_cache(x.shape[0]) if cache is None else cache
        q, k, v = self.queries_keys_values(x)
        buffer = cache.append(k, v, mask)
        y = self._windows(
            q * self.scale, buffer, self.keys_values(x[0, :0] if persistent is None else persistent)
        )
        return self.join_heads(y), buffer.last(self.window_size, x.shape[1], lengths)

    def _windows(self, q: Tensor, buffer: WindowCache, persistent: tuple[Tensor, Tensor]) -> Tensor:
        w, time = self.window_size, q.shape[1]
        n_blocks = max(1, time // max(w, MIN_BLOCK))
        size = -(-time // n_blocks)
        pad = n_blocks * size - time
        table = rotary_table(torch.arange(w + time, device=q.device), self.head_dim, q.dtype)
        bias = hide(self._visible(_windows_of(_pad(buffer.visible, pad), w + size, size), size), q.dtype)
        y = attend(
            _blocks_of(_pad(q, pad), n_blocks),
            _blocks_of(_pad(rotate(q, _from(table, w)), pad), n_blocks),
            _windows_of(_pad(rotate(buffer.keys, table), pad), w + size, size),
            _windows_of(_pad(buffer.values, pad), w + size, size).transpose(-1, -2),
            bias,
            persistent,
        )
        return y.transpose(2, 3).flatten(1, 2)[:, :time]

    def _visible(self, seen: Tensor, size: int) -> Tensor:
        """Return which of its window's keys each query sees; ``seen``: (batch, blocks, w + size)."""
        w = self.window_size
        ago = torch.arange(size, device=seen.device)[:, None] + w - torch.arange(w + size, device=seen.device)
        return ((seen[:, :, None] & (ago >= 0) & (ago < w)) | (ago == 0))[:, :, None]


def _pad(x: Tensor, pad: int) -> Tensor:
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, pad)) if pad else x


def _from(table: Table, start: int) -> Table:
    return table[0][start:], table[1][start:]


def _blocks_of(q: Tensor, n_blocks: int) -> Tensor:
    """(batch, time, heads, d) -> (batch, blocks, heads, size, d)."""
    return q.unflatten(1, (n_blocks, -1)).transpose(2, 3)


def _windows_of(x: Tensor, width: int, step: int) -> Tensor:
    """(batch, carried + time, ...) -> (batch, blocks, ..., width), a view."""
    return x.unfold(1, width, step)


class FullAttention(AttentionProjections):
    """Causal attention to everything read; its cache, and time per token, grow with the stream.

    The control of every ablation: what a memory is compared with.

    Parameters
    ----------
    d_model, n_heads : int
    head_dim : int, optional
        Default ``d_model // n_heads``.
    """

    def empty_cache(self, batch_size: int) -> GrowingCache:
        """Return the cache before position 0."""
        return GrowingCache.empty(batch_size, 0, self.n_heads, self.head_dim, self.project_in.weight.detach())

    def forward(
        self,
        x: Tensor,
        cache: GrowingCache | None = None,
        *,
        persistent: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, GrowingCache]:
        """Attend; arguments and result as in `SlidingWindowAttention.forward`."""
        cache = self.empty_cache(x.shape[0]) if cache is None else cache
        q, k, v = self.queries_keys_values(x)
        buffer = cache.append(k, v, mask)
        y = self._everything(q, buffer, self.keys_values(x[0, :0] if persistent is None else persistent))
        return self.join_heads(y), _advance(buffer, cache.width, x.shape[1], lengths)

    def _everything(self, q: Tensor, buffer: GrowingCache, persistent: tuple[Tensor, Tensor]) -> Tensor:
        time, total = q.shape[1], buffer.width
        table = rotary_table(torch.arange(total, device=q.device), self.head_dim, q.dtype)
        # One softmax over two kinds of scores: rotated in the first half of the features, plain in the other.
        query = torch.cat((rotate(q, _from(table, total - time)), q), -1)
        keys = torch.cat(
            (_rows(persistent[0], buffer, left=True), _right_zeros(rotate(buffer.keys, table))), 1
        )
        values = torch.cat((_rows(persistent[1], buffer), buffer.values), 1)
        y = F.scaled_dot_product_attention(
            query.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=self._visible(buffer.visible, time, persistent[0].shape[0])[:, None],
            scale=self.scale,
        )
        return y.transpose(1, 2)

    def _visible(self, seen: Tensor, time: int, n_persistent: int) -> Tensor:
        total = seen.shape[1]
        place = torch.arange(total, device=seen.device)
        ago = place[total - time :, None] - place
        return F.pad((seen[:, None] & (ago >= 0)) | (ago == 0), (n_persistent, 0), value=True)


def _rows(x: Tensor, buffer: GrowingCache, *, left: bool = False) -> Tensor:
    """Repeat persistent rows over the batch, with zeros before their features if ``left``."""
    x = F.pad(x, (x.shape[-1], 0)) if left else x
    return x.expand(buffer.visible.shape[0], *x.shape)


def _right_zeros(x: Tensor) -> Tensor:
    return F.pad(x, (0, x.shape[-1]))


def _advance(buffer: GrowingCache, carried: int, n_new: int, lengths: Tensor | None) -> GrowingCache:
    if lengths is None:
        return buffer.trim()
    # A row that read less than n_new tokens moves right; the slots this frees at its left are empty.
    return buffer.widen(buffer.width + n_new).last(carried + n_new, n_new, lengths).trim()
