"""Convolutions over sequences of several lengths: what stands in the padding never changes a result."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.nn._ragged import valid_tokens

_LOW = -1e9
"""Below every activation; finite, so that a row without positions has no NaN."""


def zero_padding(x: Tensor, valid: Tensor | None) -> Tensor:
    """Put zeros where ``valid`` (batch, time) is False in x of shape (batch, channels, time); None: nowhere."""
    return x if valid is None else torch.where(valid[:, None], x, 0.0)


class ValidBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015) whose statistics leave the padding out.

    Parameters
    ----------
    channels : int
    momentum : float, default 0.1
        Share of a new batch in the running statistics.
    eps : float, default 1e-5

    Attributes
    ----------
    across : callable or None
        Sums a tensor over the processes that train together, so that statistics are those of all their rows.
    """

    across: Callable[[Tensor], Tensor] | None = None
    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Normalise x (batch, channels, time); what comes out in the padding is arbitrary."""
        if self.training and self.across is not None:
            valid = x.new_ones(len(x), x.shape[2], dtype=torch.bool) if valid is None else valid
        if valid is None or not self.training:
            own = (self.mean, self.variance, self.weight, self.bias)
            return F.batch_norm(x, *own, self.training, self.momentum, self.eps)
        mean, variance = self._statistics(x, valid)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return x * scale[:, None] + (self.bias - mean * scale)[:, None]

    def _statistics(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        weight = valid[:, None].to(x.dtype)
        across = self.across or _as_it_is
        n = across(weight.sum()).clamp_min(1.0)
        mean = across((x * weight).sum((0, 2))) / n
        variance = across(((x - mean[:, None]).square() * weight).sum((0, 2))) / n
        self.mean.lerp_(mean.detach(), self.momentum)
        unbiased = variance.detach() * n / (n - 1).clamp_min(1.0)
        self.variance.lerp_(unbiased, self.momentum)
        return mean, variance


def set_across(model: nn.Module, across: Callable[[Tensor], Tensor] | None) -> None:
    """Say over which processes batch statistics are taken; see `ValidBatchNorm`."""
    for module in model.modules():
        if isinstance(module, ValidBatchNorm):
            module.across = across


def _as_it_is(x: Tensor) -> Tensor:
    return x


def max_pool(x: Tensor, valid: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return the largest of every ``width`` positions, (batch, channels, ceil(time / width)), and which are valid."""
    if width == 1:
        return x, valid
    beyond = -x.shape[2] % width
    x = F.pad(torch.where(valid[:, None], x, _LOW), (0, beyond), value=_LOW)
    valid = F.pad(valid, (0, beyond)).unflatten(1, (-1, width)).any(-1)
    return zero_padding(F.max_pool1d(x, width), valid), valid


class ResidualConvolution(nn.Module):
    """Adds to x a dilated convolution of its normalised activation.

    Parameters
    ----------
    channels : int
    width : int
        Positions under the kernel; odd.
    dilation : int
    dropout : float
    """

    def __init__(self, channels: int, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = ValidBatchNorm(channels)
        self.reach = dilation * (width // 2)
        self.convolution = nn.Conv1d(channels, channels, width, padding=self.reach, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Map x (batch, channels, time), zero in the padding, to the same shape."""
        inside = zero_padding(F.gelu(self.norm(x, valid)), valid)
        return zero_padding(x + self.dropout(self.convolution(inside)), valid)


class ConvolutionTower(nn.Module):
    """A wide first convolution, pooling, then residual convolutions whose dilation doubles.

    Parameters
    ----------
    n_features : int
        Features of a position.
    channels : int
        Kernels of each convolution.
    width : int
        Positions under the first kernel; odd.
    pooling : int
        Positions that become one after the first convolution.
    n_blocks : int
        Residual convolutions of width 5.
    dropout : float
    n_context : int, default 0
        Further features of each position; only its own are added to what the first convolution says.
    """

    def __init__(
        self, n_features: int, channels: int, *, width: int, pooling: int, n_blocks: int, dropout: float,
        n_context: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pooling = pooling
        self.first = nn.Conv1d(n_features, channels, width, padding=width // 2)
        self.n_features = n_features
        self.context = nn.Conv1d(n_context, channels, 1, bias=False) if n_context else None
        self.context_dropout = nn.Dropout(dropout)
        blocks = [ResidualConvolution(channels, 5, 2**i, dropout) for i in range(n_blocks)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = ValidBatchNorm(channels)

    @property
    def reach(self) -> int:
        """Positions on each side that may matter to a step, those of its own pooling counted."""
        steps = 0
        for block in self.blocks:
            assert isinstance(block, ResidualConvolution)
            steps += block.reach
        return self.pooling * (steps + 1) + self.first.kernel_size[0] // 2

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read features (batch, time, n_features + n_context), zero in the padding.

        Returns
        -------
        Tensor, shape (batch, channels, ceil(time / pooling))
            Zero in the padding.
        Tensor of bool, shape (batch, ceil(time / pooling))
            False in the padding.
        """
        valid = valid_tokens(lengths, features.shape[1])
        x = self.first(features[..., : self.n_features].transpose(1, 2))
        if self.context is not None:
            x = x + self.context(self.context_dropout(features[..., self.n_features :].transpose(1, 2)))
        x, valid = max_pool(x, valid, self.pooling)
        padding = None if bool(valid.all()) else valid
        x = zero_padding(x, padding)
        for block in self.blocks:
            x = block(x, padding)
        return zero_padding(F.gelu(self.norm(x, padding)), padding), valid
