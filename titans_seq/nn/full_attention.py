"""Causal attention over everything read: the control that memory is compared with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.nn.attention import AttentionProjections
from titans_seq.nn.cache import GrowingCache
from titans_seq.nn.rotary import rotary_table, rotate, table_from

_VECTOR = 16
"""Numbers that processors take at once at most."""


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
        query = torch.cat((rotate(q, table_from(table, total - time)), q), -1)
        keys = torch.cat((_rows(persistent[0], buffer, left=True), _right_zeros(rotate(buffer.keys, table))), 1)
        values = torch.cat((_rows(persistent[1], buffer), buffer.values), 1)
        visible = self._visible(buffer.visible, time, persistent[0].shape[0])
        if time == 1:  # a step of sessions; of a long read the mask would be copied
            keys, values, visible = _whole_vectors(keys, values, visible)
        y = F.scaled_dot_product_attention(
            query.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=visible[:, None],
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


def _whole_vectors(keys: Tensor, values: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add slots that nobody sees: where scores of one row end in mid-vector, the next row's have other last bits."""
    spare = -keys.shape[1] % _VECTOR
    return F.pad(keys, (0, 0, 0, 0, 0, spare)), F.pad(values, (0, 0, 0, 0, 0, spare)), F.pad(visible, (0, spare))


def _right_zeros(x: Tensor) -> Tensor:
    return F.pad(x, (0, x.shape[-1]))


def _advance(buffer: GrowingCache, carried: int, n_new: int, lengths: Tensor | None) -> GrowingCache:
    if lengths is None:
        return buffer.trim()
    # A row that read less than n_new tokens moves right; the slots this frees at its left are empty.
    return buffer.widen(buffer.width + n_new).last(carried + n_new, n_new, lengths).trim()
