"""A memory of forecast errors: once a forecast's future has arrived, what it missed is written down and read again.

Written are pairs: how a series looked where it was forecast from, and how far the rows that then came were from the
forecast. Read is what is known of situations like the present one; it corrects the next forecast. The memory is
linear (depth 1), whose bounded rule is exact token by token: what is read does not depend on how many rows arrive at
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.memory import MemoryState, init_state, neural_memory

MOST_LEADS = 24
"""Stretches that a horizon is cut into at most, each with a head of its own."""

_LEAST_WIDTH = 16
_CHUNK_SIZE = 16
_LARGEST_ERROR = 3.0
"""In units of the trailing scale: a spike must not be what is remembered."""
_LONGEST = 16.0
_STEP, _FORGETTING, _GAIN = -3.0, -6.0, -2.0
_KEPT = ("features", "scale", "point")


@dataclass(frozen=True)
class Leads:
    """How a horizon is cut into stretches whose errors are known at the same time.

    Attributes
    ----------
    horizon, patch_length : int
    """

    horizon: int
    patch_length: int

    @property
    def patches(self) -> int:
        """Patches of a stretch."""
        whole = -(-self.horizon // self.patch_length)
        return -(-whole // MOST_LEADS)

    @property
    def rows(self) -> int:
        """Rows of a stretch."""
        return self.patches * self.patch_length

    @property
    def count(self) -> int:
        """Number of stretches; the last may reach beyond the horizon."""
        return -(-self.horizon // self.rows)

    @property
    def pending(self) -> int:
        """Forecasts, one for each patch, whose rows have not all arrived."""
        return self.count * self.patches

    @property
    def width(self) -> int:
        """Width of keys and values."""
        return max(_LEAST_WIDTH, self.rows)


@dataclass(frozen=True)
class Cuts:
    """Places in series that are forecast from, in the order of time.

    Attributes
    ----------
    features : Tensor, shape (n_series, cuts, n_features)
        How the last patch before each looked, see `titans_seq.adapters.tokens.make_tokens`.
    scale : Tensor, shape (n_series, cuts)
        Trailing standard deviation.
    point : Tensor, shape (n_series, cuts, horizon)
        Forecast to be corrected.
    actual, seen : Tensor, shape (n_series, cuts, rows of a stretch)
        The last rows before each, and whether they were observed.
    writes : Tensor of bool, shape (n_series, cuts)
        Whether a patch of the stream ends there: only then errors are written, and the forecast is kept.
    lengths : Tensor of int64, shape (n_series,)
        Cuts of each series; entries beyond are padding.
    """

    features: Tensor
    scale: Tensor
    point: Tensor
    actual: Tensor
    seen: Tensor
    writes: Tensor
    lengths: Tensor

    def take(self, rows: Tensor, columns: Tensor, lengths: Tensor) -> Cuts:
        """Return the cuts ``columns`` (n, k) of the series ``rows`` (n,); the first ``lengths`` of them are valid."""
        own = {f.name: getattr(self, f.name)[rows[:, None], columns] for f in fields(self) if f.name != "lengths"}
        return Cuts(**own, lengths=lengths)


@dataclass(frozen=True)
class ErrorStream:
    """What is kept of each series: the memory, and the forecasts whose rows are still to come, oldest first.

    Attributes
    ----------
    memory : MemoryState
    features, scale, point : Tensor, shape (n_series, pending, …)
        As in `Cuts`.
    known : Tensor of bool, shape (n_series, pending)
        False before as many forecasts were made.
    """

    memory: MemoryState
    features: Tensor
    scale: Tensor
    point: Tensor
    known: Tensor

    def select(self, rows: Tensor) -> ErrorStream:
        """Return the streams of some series, in this order."""
        own = {name: getattr(self, name)[rows] for name in (*_KEPT, "known")}
        return ErrorStream(self.memory.select(rows), **own)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under a flat name, for saving."""
        own = {name: getattr(self, name) for name in (*_KEPT, "known")}
        return own | {f"memory.{name}": x for name, x in self.memory.tensors().items()}

    @staticmethod
    def from_tensors(tensors: Mapping[str, Tensor]) -> ErrorStream:
        """Rebuild from `tensors`."""
        memory = {name.removeprefix("memory."): x for name, x in tensors.items() if name.startswith("memory.")}
        own: dict[str, Any] = {name: tensors[name] for name in (*_KEPT, "known")}
        return ErrorStream(MemoryState.from_tensors(memory), **own)


class ErrorMemory(nn.Module):
    """Reads what is known of the errors of forecasts like the present one, and writes those that have arrived.

    A head for each stretch of the horizon. Of a cut at the end of a patch, each head writes the error on its stretch
    of the forecast whose rows have just arrived (value), at how the series looked where that was made (key); then it
    is asked with how the series looks now (query, by the same projection as keys).

    With x the projection and a 1 after it, the key is x / ‖x‖ and the value is the error / ‖x‖; what is read is
    multiplied by ‖x‖ of the query. The bounded rule is then normalised least mean squares of the errors on x (Widrow &
    Hoff 1960; Haykin, Adaptive Filter Theory, section 6.1): an error of twice the size is told from one of the same
    direction.

    Parameters
    ----------
    n_features : int
    leads : Leads
    """

    def __init__(self, n_features: int, leads: Leads) -> None:
        super().__init__()
        self.leads, heads, width = leads, leads.count, leads.width
        self.projection = nn.Parameter(torch.randn(heads, n_features, width - 1) / n_features**0.5)
        self.step = nn.Parameter(torch.full((heads,), _STEP))
        self.forgetting = nn.Parameter(torch.full((heads,), _FORGETTING))
        self.gain = nn.Parameter(torch.full((heads,), _GAIN))
        self.initial: Tensor
        self.register_buffer("initial", torch.zeros(heads, width, width), persistent=False)

    @property
    def n_features(self) -> int:
        """Width of what describes a cut."""
        return self.projection.shape[1]

    def start(self, n_series: int) -> ErrorStream:
        """Return the streams of series of which nothing was forecast."""
        shape = (n_series, self.leads.pending)
        new = self.projection.new_zeros
        return ErrorStream(
            init_state((self.initial,), batch_size=n_series),
            new(*shape, self.n_features),
            new(*shape) + 1,
            new(*shape, self.leads.horizon),
            torch.zeros(shape, dtype=torch.bool, device=self.projection.device),
        )

    def read(self, stream: ErrorStream, cuts: Cuts) -> tuple[Tensor, ErrorStream]:
        """Write the errors that arrived up to each cut, and read what is known of those to come.

        Parameters
        ----------
        stream : ErrorStream
            It is not changed.
        cuts : Cuts

        Returns
        -------
        recalled : Tensor, shape (n_series, cuts, horizon)
            Error to expect of the forecast from each cut, in the units of ``point``; zeros in the padding.
        stream : ErrorStream
        """
        inside = torch.arange(cuts.writes.shape[1], device=cuts.writes.device) < cuts.lengths[:, None]
        writes = cuts.writes & inside
        # The cuts that write, in their order, followed by others.
        order = torch.argsort((~writes).to(torch.int8), dim=1, stable=True)[:, : int(writes.sum(1).max())]
        pool = _Pool.of(stream, cuts, order, writes.sum(1))
        keys, errors, arrived = self._pairs(pool, *(_pick(x, order) for x in (cuts.actual, cuts.seen)))
        queries, length = (x.transpose(1, 2) for x in self._project(cuts.features))
        k, v, theta = (_place(x, order, queries.shape[1]) for x in (keys, errors, torch.sigmoid(self.step) * arrived))
        alpha = _place(torch.sigmoid(self.forgetting) * arrived, order, queries.shape[1])
        y, memory = neural_memory(
            queries, k, v, theta, torch.zeros_like(theta), alpha, stream.memory, chunk_size=_CHUNK_SIZE, mask=writes,
            lengths=cuts.lengths,
        )  # fmt: skip
        gain = 2 * torch.sigmoid(self.gain)
        recalled = (gain[:, None] * length * y[..., : self.leads.rows]).flatten(2)[..., : self.leads.horizon]
        return recalled * cuts.scale.unsqueeze(-1), pool.kept(memory, self.leads.pending)

    def _pairs(self, pool: _Pool, actual: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values (n, writes, heads, width) and which of them are there, (n, writes, heads)."""
        leads, writes = self.leads, actual.shape[1]
        back = leads.patches * torch.arange(1, leads.count + 1, device=actual.device)
        made = leads.pending + torch.arange(writes, device=actual.device)[:, None] - back
        head = torch.arange(leads.count, device=actual.device)
        keys, length = (x[:, head, made] for x in self._project(pool.features))
        padded = F.pad(pool.point, (0, leads.count * leads.rows - leads.horizon)).unflatten(2, (leads.count, -1))
        within = torch.arange(leads.count * leads.rows, device=actual.device) < leads.horizon
        seen = seen.unsqueeze(2) & within.view(leads.count, leads.rows)
        error = (actual.unsqueeze(2) - padded[:, made, head]) / pool.scale[:, made].unsqueeze(-1)
        error = torch.where(seen, error, 0).clamp(-_LARGEST_ERROR, _LARGEST_ERROR) / length
        return keys, F.pad(error, (0, leads.width - leads.rows)), pool.known[:, made] & seen.any(-1)

    def _project(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Keys or queries of unit length, (n, heads, cuts, width), and the length they had, (n, heads, cuts, 1)."""
        x = torch.einsum("ncf,hfw->nhcw", features, self.projection)
        x = x * (_LONGEST / x.norm(dim=-1, keepdim=True).clamp(min=_LONGEST))
        x = F.pad(x, (0, 1), value=1.0)
        length = x.norm(dim=-1, keepdim=True)
        return x / length, length


@dataclass(frozen=True)
class _Pool:
    """Forecasts kept, followed by those made at the cuts that write; ``count`` (n,) of the latter are there."""

    features: Tensor
    scale: Tensor
    point: Tensor
    known: Tensor
    count: Tensor

    @staticmethod
    def of(stream: ErrorStream, cuts: Cuts, order: Tensor, count: Tensor) -> _Pool:
        new = torch.arange(order.shape[1], device=order.device) < count[:, None]
        parts = {n: torch.cat([getattr(stream, n), _pick(getattr(cuts, n), order)], 1) for n in _KEPT}
        return _Pool(**parts, known=torch.cat([stream.known, new], 1), count=count)

    def kept(self, memory: MemoryState, pending: int) -> ErrorStream:
        last = self.count[:, None] + torch.arange(pending, device=self.count.device)
        return ErrorStream(memory, **{n: _pick(getattr(self, n), last) for n in (*_KEPT, "known")})


def _pick(x: Tensor, columns: Tensor) -> Tensor:
    """Return the ``columns`` (n, k) of each row of x (n, cuts, …)."""
    return x[torch.arange(len(x), device=x.device)[:, None], columns]


def _place(x: Tensor, columns: Tensor, length: int) -> Tensor:
    """Put x (n, k, …) at ``columns`` of rows of ``length``, zeros elsewhere."""
    out = x.new_zeros(len(x), length, *x.shape[2:])
    return out.index_put((torch.arange(len(x), device=x.device)[:, None], columns), x)
