"""Cutting a call into pieces none of which crosses a segment boundary of any row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.nn._ragged import take_rows


@dataclass(frozen=True)
class SegmentPlan:
    """Which tokens of a call belong to which segment, for rows that stand at different phases.

    Every piece has the same width, whatever the phases, so that a row's arithmetic does not depend on the
    rows beside it.

    Attributes
    ----------
    n_pieces, width : int
        Pieces of the call and slots of each.
    phase : Tensor of int64, shape (batch, n_pieces)
        Slot of the segment at which a row's piece starts.
    lengths : Tensor of int64, shape (batch, n_pieces)
        Tokens of a row in a piece.
    index : Tensor of int64, shape (batch, n_pieces, width), or None
        Token of the call in each place of a piece; None if pieces are plain slices.
    place : Tensor of int64, shape (batch, time), or None
        Inverse: place in the joined pieces of each token of the call.
    """

    n_pieces: int
    width: int
    phase: Tensor
    lengths: Tensor
    index: Tensor | None
    place: Tensor | None

    @classmethod
    def make(cls, position: Tensor, time: int, segment_length: int, lengths: Tensor | None) -> SegmentPlan:
        """Plan a call of ``time`` tokens that starts at ``position`` (batch,) of each row's stream."""
        device, phase = position.device, position % segment_length
        full = torch.full_like(position, time)
        lengths = full if lengths is None else lengths.to(device=device, dtype=torch.int64)
        n_pieces = max(1, -(-int((phase + lengths).max()) // segment_length))
        width = min(segment_length, time)
        edges = torch.arange(n_pieces + 1, device=device) * segment_length - phase[:, None]
        edges = edges.clamp_min(0).minimum(lengths[:, None])
        starts = edges[:, :-1]
        opening = F.pad(phase[:, None], (0, n_pieces - 1))
        index = place = None
        if n_pieces > 1 and bool((phase != 0).any()):
            index = (starts[..., None] + torch.arange(width, device=device)).clamp_max(time - 1)
            token = torch.arange(time, device=device)
            piece = ((phase[:, None] + token) // segment_length).clamp_max(n_pieces - 1)
            place = piece * width + (token - starts.gather(1, piece)).clamp_max(width - 1)
        return cls(n_pieces, width, opening, edges.diff(dim=1), index, place)

    def cut(self, x: Tensor) -> Tensor:
        """Lay (batch, time, ...) out as (batch, n_pieces, width, ...); empty places hold anything finite."""
        if self.index is not None:
            return take_rows(x, self.index.flatten(1)).unflatten(1, (self.n_pieces, self.width))
        extra = self.n_pieces * self.width - x.shape[1]
        x = F.pad(x, (0, 0) * (x.dim() - 2) + (0, extra)) if extra > 0 else x[:, : self.n_pieces * self.width]
        return x.unflatten(1, (self.n_pieces, self.width))

    def join(self, pieces: list[Tensor], time: int) -> Tensor:
        """Put pieces (batch, width, ...) back in order, as (batch, time, ...)."""
        x = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)
        if self.place is not None:
            return take_rows(x, self.place)
        extra = time - x.shape[1]
        return F.pad(x, (0, 0) * (x.dim() - 2) + (0, extra)) if extra > 0 else x[:, :time]
