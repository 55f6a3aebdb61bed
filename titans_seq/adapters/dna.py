"""DNA to tokens: one for each base, or for each few of them, in batches of about one length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.data import Sequences
from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences.alphabet import COMPLEMENT, LETTERS, MIXTURE, SOFT_MASKED, UNKNOWN
from titans_seq.nn._ragged import take_rows, valid_tokens

N_FEATURES = 6
"""Features of a base: shares of A, C, G and T, whether it is soft-masked, whether it is N."""

_PADDING = len(LETTERS)
"""Code of padding, which has no features at all; N has shares of a quarter."""


@dataclass(frozen=True)
class BaseBatch:
    """Sequences of several lengths beside each other.

    Attributes
    ----------
    codes : Tensor of uint8, shape (batch, length)
        As in `Sequences`; padding on the right.
    lengths : Tensor of int64, shape (batch,)
        Bases of each row.
    context : Tensor, shape (batch, length, n), optional
        What else is known of each base: of its strand in the first half, of the other one in the second. Zero in the
        padding.
    """

    codes: Tensor
    lengths: Tensor
    context: Tensor | None = None

    def to(self, device: torch.device | str) -> BaseBatch:
        """Move to a device; a base takes one byte."""
        context = None if self.context is None else self.context.to(device)
        return BaseBatch(self.codes.to(device), self.lengths.to(device), context)

    def reverse_complement(self) -> BaseBatch:
        """Return the opposite strand of every row, padding on the right again."""
        width = self.codes.shape[1]
        inside = valid_tokens(self.lengths, width)
        back = self.lengths[:, None] - 1 - torch.arange(width, device=self.codes.device)
        table = torch.from_numpy(COMPLEMENT).to(self.codes.device)
        turned = table[take_rows(self.codes, back.clamp_min(0)).long()]
        context = self.context
        if context is not None:
            other = _change_halves(take_rows(context, back.clamp_min(0)))
            context = torch.where(inside[..., None], other, 0.0)
        return BaseBatch(torch.where(inside, turned, _PADDING), self.lengths, context)

    def either(self, turned: Tensor) -> BaseBatch:
        """Return the opposite strand of the rows where ``turned`` (batch,) is True."""
        other = self.reverse_complement()
        context = self.context
        if context is not None and other.context is not None:
            context = torch.where(turned[:, None, None], other.context, context)
        return BaseBatch(torch.where(turned[:, None], other.codes, self.codes), self.lengths, context)


@dataclass(frozen=True)
class MixtureBatch:
    """Sequences by the features of their bases, which need not be those of any letter: what gradients are taken of.

    Attributes
    ----------
    features : Tensor, shape (batch, length, N_FEATURES or more)
        Zero in the padding, which stands on the right. What stands behind those of the base is as `BaseBatch.context`.
    lengths : Tensor of int64, shape (batch,)
        Bases of each row.
    """

    features: Tensor
    lengths: Tensor

    def to(self, device: torch.device | str) -> MixtureBatch:
        """Move to a device."""
        return MixtureBatch(self.features.to(device), self.lengths.to(device))

    def reverse_complement(self) -> MixtureBatch:
        """Return the opposite strand of every row: shares of A and T, and of C and G, change places."""
        width = self.features.shape[1]
        inside = valid_tokens(self.lengths, width)
        back = self.lengths[:, None] - 1 - torch.arange(width, device=self.features.device)
        turned = take_rows(self.features, back.clamp_min(0))
        turned = torch.cat((turned[..., [3, 2, 1, 0, 4, 5]], _change_halves(turned[..., N_FEATURES:])), 2)
        return MixtureBatch(torch.where(inside[..., None], turned, 0.0), self.lengths)


def _change_halves(x: Tensor) -> Tensor:
    """Let what is said of one strand and of the other change places."""
    own, other = x.chunk(2, dim=-1) if x.shape[-1] else (x, x)
    return torch.cat((other, own), -1)


def pad_batch(sequences: Sequences, rows: Int64Array) -> BaseBatch:
    """Return some of the sequences as a batch as wide as the longest of them."""
    lengths = sequences.lengths[rows]
    codes, inside = sequences.gather(rows, np.zeros(len(rows), dtype=np.int64), int(lengths.max(initial=0)))
    return BaseBatch(torch.from_numpy(np.where(inside, codes, np.uint8(_PADDING))), torch.from_numpy(lengths))


def length_batches(
    lengths: Int64Array, batch_size: int, max_bases: int, random: np.random.Generator | None = None
) -> Iterator[Int64Array]:
    """Yield rows that are batched together: every row once, with others of about its length.

    Parameters
    ----------
    lengths : int64 array (n,)
    batch_size : int
        Rows of a batch at most.
    max_bases : int
        Bases of a batch at most, padding counted; a longer sequence has a batch of its own.
    random : Generator, optional
        Shuffles rows of equal length and the order of the batches, for training. Without it the longest come
        first, so that what does not fit into memory is known at once.

    Yields
    ------
    int64 array
        Places in `lengths`.
    """
    if batch_size < 1 or max_bases < 1:
        raise ValueError(f"batch_size and max_bases must be at least 1, got {batch_size} and {max_bases}")
    ties = np.arange(len(lengths)) if random is None else random.permutation(len(lengths))
    order = np.lexsort((ties, -lengths))
    batches = []
    at = 0
    while at < len(order):
        rows = min(batch_size, max(1, max_bases // max(1, int(lengths[order[at]]))))
        batches.append(order[at : at + rows])
        at += rows
    for i in range(len(batches)) if random is None else random.permutation(len(batches)):
        yield batches[i]


@dataclass(frozen=True)
class DNAExamples:
    """Sequences that a network classifies.

    Parameters
    ----------
    sequences : Sequences
    context : float32 array (bases of all, n), optional
        As of `BaseBatch`.
    """

    sequences: Sequences
    context: NDArray[np.float32] | None = None

    @property
    def lengths(self) -> Int64Array:
        """Bases of each, shape (n,)."""
        return self.sequences.lengths

    def take(self, rows: Int64Array) -> DNAExamples:
        """Return some of them."""
        sequences, context = self.sequences.take(rows), self.context
        if context is not None:
            places = [np.arange(*self.sequences.offsets[row : row + 2]) for row in rows]
            context = context[np.concatenate([np.zeros(0, dtype=np.int64), *places])]
        return DNAExamples(sequences, context)

    def batch(self, rows: Int64Array) -> BaseBatch:
        """Return some of them beside each other."""
        batch = pad_batch(self.sequences, rows)
        if self.context is None:
            return batch
        context = np.zeros((*batch.codes.shape, self.context.shape[1]), dtype=np.float32)
        for i, row in enumerate(rows):
            begin, end = self.sequences.offsets[row : row + 2]
            context[i, : end - begin] = self.context[begin:end]
        return replace(batch, context=torch.from_numpy(context))


class BaseFeatures(nn.Module):
    """Looks up the features of bases; padding has none. Features that are given as such are taken as they are."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", _feature_table(), persistent=False)

    def forward(self, batch: BaseBatch | MixtureBatch) -> Tensor:
        """Return features (batch, length, N_FEATURES)."""
        return batch.features if isinstance(batch, MixtureBatch) else self.table[batch.codes.long()]

    def stretch(self, batch: BaseBatch, begin: int, end: int) -> Tensor:
        """Return features of bases ``begin`` to ``end - 1`` of a batch of one sequence."""
        return self.table[batch.codes[:, begin:end].long()]


class BaseTokens(nn.Module):
    """Bases to vectors: a convolution over their features, perhaps with a stride, and a GELU.

    A token sees the bases around its own on both sides. What is outside a sequence has no features, and so has
    padding: a sequence gives the same tokens in any batch.

    Parameters
    ----------
    d_model : int
        Width of a token.
    width : int, default 9
        Bases under the kernel; odd, so that a token stands at its middle.
    stride : int, default 1
        Bases for each token; at most `width`, or some bases would not be seen.

    Raises
    ------
    ValueError
        An even width, a stride below 1 or above the width.
    """

    def __init__(self, d_model: int, *, width: int = 9, stride: int = 1) -> None:
        super().__init__()
        if width < 1 or width % 2 == 0:
            raise ValueError(f"width must be odd and positive, got {width}")
        if not 1 <= stride <= width:
            raise ValueError(f"stride must be from 1 to the width of {width}, got {stride}")
        self.stride = stride
        self.stem = nn.Conv1d(N_FEATURES, d_model, width, stride=stride)
        self.features = BaseFeatures()

    def forward(self, batch: BaseBatch) -> tuple[Tensor, Tensor]:
        """Return tokens (batch, ceil(length / stride), d_model), zero in the padding, and how many each row has."""
        x = self.features(batch)
        lengths = -(-batch.lengths // self.stride)
        if x.shape[1] == 0:
            return x.new_zeros(len(x), 0, self.stem.out_channels), lengths
        y = F.gelu(self.stem(self._surround(x).transpose(1, 2))).transpose(1, 2)
        return torch.where(valid_tokens(lengths, y.shape[1])[..., None], y, 0.0), lengths

    def _surround(self, x: Tensor) -> Tensor:
        """Add what is outside, so that each token's kernel lies about the bases that are its own."""
        (width,), time = self.stem.kernel_size, x.shape[1]
        before = width // 2 - (self.stride - 1) // 2
        reach = (-(-time // self.stride) - 1) * self.stride + width
        return F.pad(x, (0, 0, before, reach - before - time))


def _feature_table() -> Tensor:
    """Return the features of every code, shape (32, N_FEATURES)."""
    codes = np.arange(2 * SOFT_MASKED)
    letters = codes % SOFT_MASKED
    table = np.concatenate((MIXTURE, (codes >= SOFT_MASKED)[:, None], (letters == UNKNOWN)[:, None]), 1)
    table[letters >= len(LETTERS)] = 0
    return torch.from_numpy(table.astype(np.float32))
