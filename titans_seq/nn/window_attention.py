"""Causal attention within a sliding window, in blocks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.nn.attention import AttentionProjections, attend, hide
from titans_seq.nn.cache import WindowCache
from titans_seq.nn.ring import WindowRing
from titans_seq.nn.rotary import rotary_table, rotate, table_from

MIN_BLOCK = 16
"""Fewest queries of a block: narrower windows are masked within it, as tiny blocks only cost time."""


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
        cache: WindowCache | WindowRing | None = None,
        *,
        persistent: Tensor | None = None,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, WindowCache]:
        """Attend.

        Parameters
        ----------
        x : Tensor, shape (batch, time, d_model)
        cache : WindowCache or WindowRing, optional
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
        cache = cache.settled() if isinstance(cache, WindowRing) else cache
        q, k, v = self.queries_keys_values(x)
        buffer = cache.append(k, v, mask)
        y = self._windows(q * self.scale, buffer, self.keys_values(x[0, :0] if persistent is None else persistent))
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
            _blocks_of(_pad(rotate(q, table_from(table, w)), pad), n_blocks),
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


def _blocks_of(q: Tensor, n_blocks: int) -> Tensor:
    """(batch, time, heads, d) -> (batch, blocks, heads, size, d)."""
    return q.unflatten(1, (n_blocks, -1)).transpose(2, 3)


def _windows_of(x: Tensor, width: int, step: int) -> Tensor:
    """(batch, carried + time, ...) -> (batch, blocks, ..., width), a view."""
    return x.unfold(1, width, step)
