"""The window of attention while tokens are read singly: nothing in it moves but the oldest token's slot."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from titans_seq.nn._ragged import take_rows
from titans_seq.nn._tree import StateTree
from titans_seq.nn.cache import WindowCache
from titans_seq.nn.rotary import rotary_table, rotate


@dataclass(frozen=True)
class WindowRing(StateTree):
    """What sliding-window attention sees: the token at position p stands in slot p mod width.

    Another form of `WindowCache`, which is what it becomes where whole calls read, save or stack it.

    Attributes
    ----------
    rows : Tensor, shape (batch, heads, width, 3 × head_dim)
        Key before rotation, value, and key rotated by its position, of every token.
    bias : Tensor, shape (batch, heads, width, 1)
        0 where a token stands that is seen, else -inf.
    position : Tensor of int64, shape (batch,)
        Tokens read by each row.
    """

    rows: Tensor
    bias: Tensor
    position: Tensor

    @property
    def keys(self) -> Tensor:
        """Keys before rotation, (batch, heads, width, head_dim): a view, like those below."""
        return self.rows.chunk(3, -1)[0]

    @property
    def values(self) -> Tensor:
        """Values."""
        return self.rows.chunk(3, -1)[1]

    @property
    def rotated(self) -> Tensor:
        """Keys rotated by their positions."""
        return self.rows.chunk(3, -1)[2]

    @classmethod
    def from_cache(cls, cache: WindowCache, position: Tensor) -> WindowRing:
        """Lay a cache out as a ring, for rows that have read ``position`` tokens each; nothing is shared."""
        ago = (position[:, None] - 1 - torch.arange(cache.width, device=position.device)) % cache.width
        index = cache.width - 1 - ago
        keys, values = take_rows(cache.keys, index), take_rows(cache.values, index)
        rotated = rotate(keys, rotary_table(position[:, None] - 1 - ago, keys.shape[-1], keys.dtype))
        bias = torch.where(take_rows(cache.visible, index), 0.0, float("-inf")).to(keys.dtype)
        bias = bias[:, None, :, None].expand(-1, keys.shape[2], -1, -1)
        rows = torch.cat((keys, values, rotated), -1).transpose(1, 2)
        return cls(rows.contiguous(), bias.contiguous(), position.clone())

    def settled(self) -> WindowCache:
        """Return the cache that this is a form of."""
        width = self.rows.shape[2]
        index = (self.position[:, None] + torch.arange(width, device=self.position.device)) % width
        return WindowCache(
            take_rows(self.keys.transpose(1, 2), index),
            take_rows(self.values.transpose(1, 2), index),
            take_rows(self.bias[:, 0, :, 0] == 0, index),
        )

    def forget(self) -> WindowCache:
        """Return a window in which nothing is visible."""
        return self.settled().forget()
