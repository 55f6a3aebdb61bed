"""Keys and values that attention carries from one call to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.nn._ragged import last_rows
from titans_seq.nn._tree import StateTree


@dataclass(frozen=True)
class AttentionCache(StateTree):
    """Keys and values of the tokens read last, right-aligned: the most recent one stands last.

    Attributes
    ----------
    keys, values : Tensor, shape (batch, width, heads, head_dim)
        Keys are kept before rotation, so that they do not depend on where the stream was cut.
    visible : Tensor of bool, shape (batch, width)
        False where no token stands, or a masked one.
    """

    keys: Tensor
    values: Tensor
    visible: Tensor

    @property
    def width(self) -> int:
        """Number of slots."""
        return self.visible.shape[1]

    @classmethod
    def empty(cls, batch_size: int, width: int, heads: int, head_dim: int, like: Tensor) -> Self:
        """Return a cache in which nothing is visible."""
        rows = like.new_zeros(batch_size, width, heads, head_dim)
        return cls(rows, rows, like.new_zeros(batch_size, width, dtype=torch.bool))

    def append(self, keys: Tensor, values: Tensor, mask: Tensor | None) -> Self:
        """Put the tokens of a call after the carried ones; ``mask`` is False for masked tokens."""
        if mask is None:
            mask = self.visible.new_ones(keys.shape[:2])
        return replace(
            self,
            keys=torch.cat((self.keys.to(keys.dtype), keys), 1),
            values=torch.cat((self.values.to(values.dtype), values), 1),
            visible=torch.cat((self.visible, mask), 1),
        )

    def last(self, width: int, n_new: int, lengths: Tensor | None) -> Self:
        """Keep the ``width`` tokens each row read last; ``n_new`` tokens came with this call."""
        return self._map(lambda x: last_rows(x, width, n_new, lengths), lambda x: x, by_row=True)


@dataclass(frozen=True)
class WindowCache(AttentionCache):
    """The cache of sliding-window attention: as many slots as the window, whatever was read."""

    def forget(self) -> WindowCache:
        """Return a window in which nothing is visible."""
        batch, _, heads, head_dim = self.keys.shape
        return WindowCache.empty(batch, self.width, heads, head_dim, self.keys)


@dataclass(frozen=True)
class GrowingCache(AttentionCache):
    """The cache of full attention: as many slots as the longest stream of the batch has tokens."""

    def widen(self, width: int) -> Self:
        """Pad on the left with empty slots up to ``width``."""
        extra = width - self.width

        def pad(x: Tensor) -> Tensor:
            return F.pad(x, (0, 0) * (x.dim() - 2) + (extra, 0))

        return self._map(pad, lambda x: x, by_row=True) if extra > 0 else self

    def trim(self) -> Self:
        """Drop the oldest slots as far as no row sees anything in them."""
        seen = self.visible.any(0).nonzero()
        first = int(seen[0]) if len(seen) else self.width
        return self._map(lambda x: x[:, first:], lambda x: x, by_row=True) if first else self

    @classmethod
    def stack(cls, states: Sequence[Self]) -> Self:
        """Join caches along the batch, padding the shorter ones on the left."""
        width = max((s.width for s in states), default=0)
        return super().stack([s.widen(width) for s in states])

    def put(self, rows: Tensor, other: Self) -> Self:
        """Write ``other`` over the named rows; the wider one decides the width."""
        width = max(self.width, other.width)
        return super(GrowingCache, self.widen(width)).put(rows, other.widen(width))

    def forget(self) -> GrowingCache:
        """Return a cache without slots."""
        batch, _, heads, head_dim = self.keys.shape
        return GrowingCache.empty(batch, 0, heads, head_dim, self.keys)
