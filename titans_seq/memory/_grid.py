"""Layout of ragged streams on the grid of chunks: which token stands in which slot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class ChunkGrid:
    """Slots of the chunks that one call touches.

    Row ``r`` stands at ``phases[r]`` of its open chunk; its pending tokens fill the slots before, its
    ``lengths[r]`` new tokens the slots after. The grid always has whole chunks, whatever the phases of the
    batch-mates, so that a row's arithmetic does not depend on them.
    """

    phases: tuple[int, ...]
    lengths: tuple[int, ...]
    time: int
    chunk_size: int

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """Tokens of each row on the grid, pending and new."""
        return tuple(p + n for p, n in zip(self.phases, self.lengths, strict=True))

    @cached_property
    def n_chunks(self) -> int:
        """Chunks touched by the longest row; one at least."""
        return max(1, -(-max(self.totals) // self.chunk_size))

    @cached_property
    def uniform(self) -> bool:
        """Whether every row has the same phase and reads every token."""
        return len(set(self.phases)) == 1 and all(n == self.time for n in self.lengths)

    @cached_property
    def closed_chunks(self) -> tuple[int, ...]:
        """Number of chunks each row has completed; the index of its open chunk."""
        return tuple(total // self.chunk_size for total in self.totals)

    @cached_property
    def new_phases(self) -> tuple[int, ...]:
        """Phase of each row after the call."""
        return tuple(total % self.chunk_size for total in self.totals)

    def lay(self, pending: Tensor, new: Tensor) -> Tensor:
        """Arrange (batch, rows, …) and (batch, time, …) as (batch, n_chunks, chunk_size, …), zeros elsewhere."""
        slots = self.n_chunks * self.chunk_size
        if self.uniform:
            phase = self.phases[0]
            joined = torch.cat((pending[:, :phase], new), 1) if phase else new
            extra = slots - joined.shape[1]
            grid = F.pad(joined, (0, 0) * (joined.dim() - 2) + (0, extra)) if extra else joined
        else:
            nothing = new.new_zeros(new.shape[0], 1, *new.shape[2:])
            source = torch.cat((pending, new, nothing), 1)
            grid = _take(source, self._source_index(pending.shape[1], slots).to(new.device))
        return grid.reshape(new.shape[0], self.n_chunks, self.chunk_size, *new.shape[2:])

    def pick(self, grid: Tensor) -> Tensor:
        """Inverse of `lay` for the new tokens: (batch, n_chunks, chunk_size, …) to (batch, time, …)."""
        flat = grid.flatten(1, 2)
        if self.uniform:
            return flat[:, self.phases[0] : self.phases[0] + self.time]
        nothing = flat.new_zeros(flat.shape[0], 1, *flat.shape[2:])
        t = torch.arange(self.time)
        rows = torch.tensor(self.phases)[:, None] + t
        index = torch.where(t < torch.tensor(self.lengths)[:, None], rows, flat.shape[1])
        return _take(torch.cat((flat, nothing), 1), index.to(grid.device))

    def open_rows(self, grid: Tensor) -> Tensor:
        """Rows of each row's open chunk after the call, (batch, longest new phase, …)."""
        width = max(self.new_phases)
        if width == 0:
            return grid[:, 0, :0]
        if self.uniform:
            return grid[:, self.closed_chunks[0], :width]
        nothing = grid.new_zeros(grid.shape[0], 1, *grid.shape[3:])
        slot = torch.arange(width)
        first = torch.tensor(self.closed_chunks)[:, None] * self.chunk_size
        beyond = self.n_chunks * self.chunk_size
        index = torch.where(slot < torch.tensor(self.new_phases)[:, None], first + slot, beyond)
        return _take(torch.cat((grid.flatten(1, 2), nothing), 1), index.to(grid.device))

    def _source_index(self, pending_width: int, slots: int) -> Tensor:
        slot, phase = torch.arange(slots), torch.tensor(self.phases)[:, None]
        total = torch.tensor(self.totals)[:, None]
        index = torch.where(slot < phase, slot, slot - phase + pending_width)
        return torch.where(slot < total, index, pending_width + self.time)


def _take(source: Tensor, index: Tensor) -> Tensor:
    rows = torch.arange(source.shape[0], device=source.device)[:, None]
    return source[rows, index]
