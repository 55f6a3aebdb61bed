"""Numbers to features: arrays (n, columns) and (n, time, channels), standardised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from titans_seq.data._calendar import Int64Array


@dataclass(frozen=True)
class ValueBatch:
    """Arrays of one length beside each other.

    Attributes
    ----------
    values : Tensor, shape (batch, time, channels)
    lengths : Tensor of int64, shape (batch,)
    """

    values: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> ValueBatch:
        """Move to a device."""
        return ValueBatch(self.values.to(device), self.lengths.to(device))


@dataclass(frozen=True)
class ValueExamples:
    """Arrays that a network classifies.

    Parameters
    ----------
    values : float array (n, time, channels)
    """

    values: NDArray[np.float64]

    @property
    def lengths(self) -> Int64Array:
        """Steps of each, shape (n,)."""
        return np.full(len(self.values), self.values.shape[1], dtype=np.int64)

    def take(self, rows: Int64Array) -> ValueExamples:
        """Return some of them."""
        return ValueExamples(self.values[rows])

    def batch(self, rows: Int64Array) -> ValueBatch:
        """Return some of them beside each other."""
        lengths = torch.full((len(rows),), self.values.shape[1], dtype=torch.int64)
        return ValueBatch(torch.from_numpy(self.values[rows]), lengths)


class ValueFeatures(nn.Module):
    """Standardises values: a column of a table by itself, a channel of a series over all its steps.

    Parameters
    ----------
    center, scale : array (time or 1, channels)
    """

    center: Tensor
    scale: Tensor

    def __init__(self, center: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("center", torch.from_numpy(center))
        self.register_buffer("scale", torch.from_numpy(scale))

    @classmethod
    def fitted(cls, values: NDArray[np.float64], *, by_step: bool) -> ValueFeatures:
        """Return the standardisation of values (n, time, channels); constants stay as they are."""
        axes = (0,) if by_step else (0, 1)
        center, scale = values.mean(axes), values.std(axes)
        return cls(np.atleast_2d(center), np.atleast_2d(np.where(scale > 0, scale, 1.0)))

    def forward(self, batch: ValueBatch) -> Tensor:
        """Return features (batch, time, channels)."""
        return (batch.values - self.center) / self.scale
