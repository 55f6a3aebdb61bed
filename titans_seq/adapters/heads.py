"""Heads over sequences of vectors: one that pools them, and one that keeps where they stand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LOW = -1e9


class Pool(nn.Module):
    """Largest entry, mean and attention-weighted mean over the positions of each row.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Linear(channels, 1)
        self.n_outputs = 3 * channels

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """Pool x (batch, time, channels) over the positions where ``valid`` (batch, time); (batch, 3 channels)."""
        inside = valid[..., None]
        largest = torch.where(inside, x, _LOW).amax(1)
        mean = torch.where(inside, x, 0.0).sum(1) / inside.sum(1).clamp_min(1)
        share = torch.where(inside, self.attention(x), _LOW).softmax(1)
        return torch.cat((largest, mean, (share * x).sum(1)), 1)


class Places(nn.Module):
    """A few numbers of every position beside each other: what is where.

    Parameters
    ----------
    channels : int
    n_places : int
        Positions of every row.
    rank : int
        Numbers kept of each.
    """

    def __init__(self, channels: int, n_places: int, rank: int) -> None:
        super().__init__()
        self.keep = nn.Linear(channels, rank)
        self.n_places, self.n_outputs = n_places, n_places * rank

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, n_places, channels) to (batch, n_places * rank)."""
        return F.gelu(self.keep(x)).flatten(1)


class Readout(nn.Sequential):
    """Two layers from features to outputs; the last begins at zero, so that nothing is claimed at the start.

    Parameters
    ----------
    n_features, hidden, n_outputs : int
    dropout : float
    """

    def __init__(self, n_features: int, hidden: int, n_outputs: int, dropout: float) -> None:
        last = nn.Linear(hidden, n_outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        super().__init__(nn.Dropout(dropout), nn.Linear(n_features, hidden), nn.GELU(), nn.Dropout(dropout), last)
