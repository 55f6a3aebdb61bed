"""Long streams read piece by piece, one stream per row of the batch, with the state carried from piece to piece.

This is truncated backpropagation through time: the state goes on, gradients stay within a piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from titans_seq.nn import BackboneState
from titans_seq.training._stream_checks import (
    check_counter,
    check_rows,
    checked_integer,
    checked_lengths,
    refuse_workers,
)

IntArray = NDArray[np.int64]
_COUNTERS = ("passes", "taken", "pieces_read")


@dataclass(frozen=True)
class Pieces:
    """What every row of a batch reads next.

    Attributes
    ----------
    stream : int array (batch,)
        Stream that each row reads.
    start, stop : int array (batch,)
        The part of it: one piece, or less at the end of a stream.
    fresh : bool array (batch,)
        Whether the row begins a stream here, so that its state has to be reset before.
    """

    stream: IntArray
    start: IntArray
    stop: IntArray
    fresh: NDArray[np.bool_]

    @property
    def lengths(self) -> IntArray:
        """Tokens each row reads."""
        return self.stop - self.start


class StreamLoader(IterableDataset[Pieces]):
    """Deals streams to the rows of a batch; each row reads its stream to the end, piece after piece.

    A row whose stream has ended takes the next one of a shuffled order, which is shuffled again after every pass
    through all streams. A stream is begun at a random place within its first piece and its first half, so that
    pieces are not cut at the same places in every pass; from there on each of its tokens is read once.

    Iterating reads one epoch. It goes on where the last one stood, in the middle of streams or of an epoch; hence it
    is read in one process, and within the workers of a `DataLoader` it raises a RuntimeError.

    Parameters
    ----------
    lengths : int array (n_streams,)
        Tokens (or rows) of each stream, at least 1.
    batch_size : int
        Rows. Where there are fewer streams than rows, several rows read the same one.
    piece_length : int
        Tokens per piece.
    seed : int
    n_pieces : int, optional
        Pieces per epoch. Default: as many as one pass through all streams takes if no row ever reads less than a
        whole piece.
    stagger : bool, default False
        Whether the first stream of each row begins anywhere. Otherwise rows that share one long stream, or
        streams that run in parallel, move through the same time together.

    Examples
    --------
    >>> loader = StreamLoader([5, 7], batch_size=1, piece_length=4, seed=0)
    >>> [(int(p.stream[0]), int(p.start[0]), int(p.stop[0]), bool(p.fresh[0])) for p in loader]
    [(0, 1, 5, True), (1, 2, 6, True), (1, 6, 7, False)]
    """

    def __init__(
        self,
        lengths: ArrayLike,
        *,
        batch_size: int,
        piece_length: int,
        seed: int,
        n_pieces: int | None = None,
        stagger: bool = False,
    ) -> None:
        super().__init__()
        self.lengths = checked_lengths(lengths)
        self.batch_size = checked_integer("batch_size", batch_size, 1)
        self.piece_length = checked_integer("piece_length", piece_length, 1)
        self.seed = checked_integer("seed", seed, 0)
        whole = -(-int(self.lengths.sum()) // (self.batch_size * self.piece_length))
        self.n_pieces = whole if n_pieces is None else checked_integer("n_pieces", n_pieces, 1)
        self.stagger = bool(stagger)
        # As if every row had just read stream 0 to its end.
        self._stream = np.zeros(self.batch_size, dtype=np.int64)
        self._position = np.full(self.batch_size, self.lengths[0])
        self._passes = self._taken = self._pieces_read = 0
        self._order, self._begin = self._shuffled()

    def __len__(self) -> int:
        """Pieces per epoch."""
        return self.n_pieces

    def __iter__(self) -> Iterator[Pieces]:
        """Read the rest of the epoch."""
        refuse_workers(type(self).__name__)
        more = True
        while more:
            pieces = self._next()
            # Counted before it is handed out: whoever saves the state now has seen this piece.
            self._pieces_read = (self._pieces_read + 1) % self.n_pieces
            more = self._pieces_read > 0
            yield pieces

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers from which a loader made with the same arguments goes on.

        Right after the last piece of an epoch this is the state before the next epoch.
        """
        counters = {name: getattr(self, f"_{name}") for name in _COUNTERS}
        rows = {"stream": self._stream.tolist(), "position": self._position.tolist()}
        return {"arguments": self._arguments(), **counters, **rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises
        ------
        ValueError
            If the state is of a loader made with other arguments, or damaged. Nothing is changed then.
        """
        for name in ("arguments", *_COUNTERS, "stream", "position"):
            if name not in state:
                raise ValueError(f"this is not the state of a StreamLoader: {name!r} is missing")
        self._check_same_arguments(state["arguments"])
        stream, position = (np.array(state[name], dtype=np.int64) for name in ("stream", "position"))
        check_rows(stream, position, self.lengths, self.batch_size)
        most = {"passes": None, "taken": len(self.lengths), "pieces_read": self.n_pieces - 1}
        for name in _COUNTERS:
            check_counter(name, state[name], most[name])
        self._stream, self._position = stream, position
        for name in _COUNTERS:
            setattr(self, f"_{name}", int(state[name]))
        self._order, self._begin = self._shuffled()

    def _next(self) -> Pieces:
        fresh = self._position >= self.lengths[self._stream]
        for row in np.flatnonzero(fresh):
            self._stream[row], self._position[row] = self._take()
        start = self._position
        self._position = np.minimum(start + self.piece_length, self.lengths[self._stream])
        return Pieces(self._stream.copy(), start.copy(), self._position.copy(), fresh)

    def _take(self) -> tuple[int, int]:
        """Next stream of the shuffled order, and the place where it is begun."""
        if self._taken == len(self.lengths):
            self._passes, self._taken = self._passes + 1, 0
            self._order, self._begin = self._shuffled()
        at = self._taken
        self._taken += 1
        return int(self._order[at]), int(self._begin[at])

    def _shuffled(self) -> tuple[IntArray, IntArray]:
        """Order of the present pass and places of beginning: a function of seed and pass, so never saved."""
        random, n = np.random.default_rng((self.seed, self._passes)), len(self.lengths)
        order = random.permutation(n)
        first_of_a_row = self._passes * n + np.arange(n) < self.batch_size
        limit = np.minimum((self.lengths[order] + 1) // 2, self.piece_length)
        limit = np.where(self.stagger & first_of_a_row, self.lengths[order], limit)
        return order, random.integers(0, limit)

    def _arguments(self) -> dict[str, int]:
        names = ("batch_size", "piece_length", "seed", "n_pieces")
        own = {name: getattr(self, name) for name in names} | {"stagger": int(self.stagger)}
        return own | {"n_streams": len(self.lengths), "lengths": zlib.crc32(self.lengths.tobytes())}

    def _check_same_arguments(self, saved: Mapping[str, int]) -> None:
        for name, here in self._arguments().items():
            if (found := saved.get(name)) == here:
                continue
            if name == "lengths":
                raise ValueError("the lengths differ from those of the saved state's streams")
            raise ValueError(f"{name} was {found} in the saved state and is {here} here")


def carry(state: BackboneState) -> BackboneState:
    """Cut a state off from the graph that made it: what the next piece goes on from.

    To be called before the optimiser's step. It copies: of a stream that has read less than a chunk the state may
    be a view of the parameters themselves, and would change with them.
    """
    return state.detach().clone()


def restart(state: BackboneState, fresh: Tensor, start: BackboneState) -> BackboneState:
    """Put rows whose stream begins back to the start; nothing of what they read remains.

    Parameters
    ----------
    state : BackboneState
        Carried from the piece before.
    fresh : Tensor of bool, shape (batch,)
        Rows that begin a stream.
    start : BackboneState
        What `Backbone.init_state` returns, for one row or for all; gradients flow into it.

    Raises
    ------
    ValueError
        If shapes do not fit.

    Examples
    --------
    >>> from titans_seq.nn import Backbone
    >>> backbone = Backbone(d_model=8, n_layers=1)
    >>> _, state = backbone(torch.randn(2, 5, 8))
    >>> restart(carry(state), torch.tensor([True, False]), backbone.init_state(1)).position
    tensor([0, 5])
    """
    n, n_start = state.batch_size, start.batch_size
    if fresh.shape != (n,) or fresh.dtype != torch.bool:
        raise ValueError(f"fresh must be bool of shape ({n},), found {fresh.dtype} of {tuple(fresh.shape)}")
    if n_start not in (1, n):
        raise ValueError(f"start must have 1 or {n} rows, found {n_start}")
    rows = torch.arange(n, device=fresh.device)
    # The start stands first: what belongs to the whole batch, the initial weights among it, is taken from there.
    both = BackboneState.stack([start, state])
    return both.select(torch.where(fresh, rows if n_start == n else 0, rows + n_start))
