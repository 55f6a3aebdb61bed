"""Serving many streams at once: sessions come, read tokens in any company, and go."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from titans_seq.nn._tensor_file import digest
from titans_seq.nn.backbone import Backbone
from titans_seq.nn.state import BackboneState


class Sessions:
    """A pool of streams that one backbone reads in batches (continuous batching).

    What a session reads does not depend on the sessions beside it, nor on those that had its row before. Unlike
    everything else here the pool is no value: it changes with every call. Nothing in it has a graph.

    Parameters
    ----------
    backbone : Backbone
        In evaluation mode; its parameters must not change while sessions are open.
    capacity : int, default 16
        Rows to begin with; they double when they are all taken.

    Examples
    --------
    >>> sessions = Sessions(Backbone(d_model=8, n_layers=1).eval())
    >>> a, b = sessions.join(), sessions.join()
    >>> sessions.step([b], torch.randn(1, 8)).shape
    torch.Size([1, 8])
    >>> y = sessions.step([a, b], torch.randn(2, 8))
    >>> sessions.leave(b).position
    tensor([2])

    A session that waits for its next token need not take up memory: put it into a file, free its row, and go on
    later, in this pool or in another one of the same backbone.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> file = Path(mkdtemp()) / "a.safetensors"
    >>> sessions.evict(a, file)
    >>> a in sessions
    False
    >>> a = sessions.restore(file)
    >>> y = sessions.step([a], torch.randn(1, 8))
    >>> sessions.forget(a)
    >>> sessions.peek(a).position
    tensor([0])
    """

    def __init__(self, backbone: Backbone, *, capacity: int = 16) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, found {capacity}")
        if backbone.training:
            raise ValueError("the backbone is in training mode: call its eval() first")
        self.backbone = backbone
        self._in_place = backbone.mixer_class.steps_in_place
        with torch.no_grad():
            self._fresh = backbone.ready(backbone.init_state(1))
        self._pool = self._empty(capacity)
        # The rows taken, always the first ones: views of the pool, but for what a step replaces rather than writes.
        self._live = self._pool.first(0)
        self._row: dict[int, int] = {}
        self._next = 0
        self._settled = True
        self._about: dict[str, str] | None = None

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, session: int) -> bool:
        return session in self._row

    @torch.no_grad()
    def join(self, state: BackboneState | None = None) -> int:
        """Open a session.

        Parameters
        ----------
        state : BackboneState, optional
            Of batch size 1: where the stream stands. Default: the beginning of a stream. It is copied.

        Returns
        -------
        int
            The session's number; numbers are not used again.
        """
        if state is not None and state.batch_size != 1:
            raise ValueError(f"join needs a state of batch size 1, found {state.batch_size}")
        state = self._fresh if state is None else self.backbone.ready(state)
        self._settle()
        n = len(self)
        if n == self._pool.batch_size:
            self._pool = BackboneState.stack([self._pool, self._empty(n)])
        self._write(n, state)
        self._row[self._next] = n
        self._live = self._pool.first(n + 1)
        self._next += 1
        return self._next - 1

    @property
    def capacity(self) -> int:
        """Sessions that fit before the pool grows."""
        return self._pool.batch_size

    def peek(self, session: int) -> BackboneState:
        """Return a copy of a session's state, of batch size 1."""
        return self._live.select(self._index(self._rows([session])))

    @torch.no_grad()
    def leave(self, session: int) -> BackboneState:
        """Close a session and return its state, of batch size 1."""
        (row,) = self._rows([session])
        self._settle()
        state = self._pool.select(self._index([row]))
        last = len(self) - 1
        if row != last:
            self._write(row, self._pool.select(self._index([last])))
            self._row[next(s for s, r in self._row.items() if r == last)] = row
        self._write(last, self._fresh)  # nothing of a session stays behind in a row that is free
        del self._row[session]
        self._live = self._pool.first(last)
        return state

    @torch.no_grad()
    def forget(self, session: int) -> None:
        """Return a session to the beginning of a stream; nothing of what it read remains."""
        (row,) = self._rows([session])
        self._settle()
        self._write(row, self._fresh)
        self._live = self._pool.first(len(self))

    def save(self, session: int, path: str | os.PathLike[str]) -> None:
        """Write a session's state to a safetensors file, whole or not at all; the session stays open.

        Parameters
        ----------
        session : int
        path : path
            Folders that it lacks are made; a file that stands there is replaced.

        Raises
        ------
        OSError
            If it cannot be written there, with its path.
        """
        self.peek(session).save(path, about=self._model())

    def evict(self, session: int, path: str | os.PathLike[str]) -> None:
        """Write a session's state to a file as `save` does, and close the session: its row is free again."""
        self.save(session, path)
        self.leave(session)

    def restore(self, path: str | os.PathLike[str]) -> int:
        """Open a session where the one stood that was saved: it reads on as if it had never been away.

        Parameters
        ----------
        path : path
            What `save` or `evict` wrote, of this pool or another one of the same backbone; or
            `BackboneState.save`, of a state of batch size 1.

        Returns
        -------
        int
            The session's number, a new one.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged, holds something else, or was written with another backbone: of other parameters, or
            one that reads otherwise; the message names what differs.
        """
        return self.join(BackboneState.load(path, self._fresh, about=self._model()))

    @torch.no_grad()
    def step(self, sessions: Sequence[int] | Tensor, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Read one token of each of the named sessions; the others do not move.

        Parameters
        ----------
        sessions : sequence or tensor of int
            Numbers that `join` returned, each at most once.
        x : Tensor, shape (len(sessions), d_model)
        mask : Tensor of bool, shape (len(sessions),), optional
            False for masked tokens.

        Returns
        -------
        Tensor, shape (len(sessions), d_model)
        """
        if isinstance(sessions, Tensor):
            sessions = sessions.tolist()
        rows = self._rows(sessions)
        shape = (len(rows), self.backbone.config.d_model)
        if x.shape != shape:
            raise ValueError(f"x must have shape {shape}, a row for each session, found {tuple(x.shape)}")
        if mask is not None and (mask.shape != shape[:1] or mask.dtype != torch.bool):
            raise ValueError(f"mask must be bool of shape {shape[:1]}, found {mask.dtype} of {tuple(mask.shape)}")
        self._settled = False
        if not rows:
            return x
        if rows == list(range(len(self))):
            y, self._live = self.backbone.step(x, self._live, mask=mask, inplace=True)
            return y
        index = self._index(rows)
        # To read a row where it stands takes a third of the time that it takes to copy it out and back besides.
        among_all = 3 * len(rows) > len(self)
        return self._step_among_all(index, x, mask) if among_all else self._step_apart(index, x, mask)

    def _step_among_all(self, rows: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        n = len(self)
        tokens = x.new_zeros(n, x.shape[1]).index_copy_(0, rows, x)
        read = rows.new_zeros(n, dtype=torch.bool).index_fill_(0, rows, True)
        mask = None if mask is None else torch.ones_like(read).index_copy_(0, rows, mask)
        given = None if len(rows) == n else read
        y, self._live = self.backbone.step(tokens, self._live, mask=mask, read=given, inplace=True)
        return y[rows]

    def _step_apart(self, rows: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
        y, moved = self.backbone.step(x, self._live.select(rows), mask=mask, inplace=True)
        self._live = self._live.put(rows, moved)
        return y

    def _settle(self) -> None:
        """Bring into the pool what the last steps replaced."""
        if self._settled:
            return
        # What a step in place has written stands there already; else the live rows may be views of each other.
        live = self._live if self._in_place else self._live.clone()
        self._pool, self._settled = self._pool.put(self._index(range(len(self))), live), True

    def _write(self, row: int, state: BackboneState) -> None:
        self._pool = self._pool.put(self._index([row]), state)

    def _model(self) -> dict[str, str]:
        """What tells the backbone from others."""
        if self._about is None:
            parameters = digest(self.backbone.state_dict())
            reading = self.backbone.config.reading(self.backbone.mixer_class.state_parts)
            config = {name: _told(value) for name, value in reading.items()}
            self._about = {
                "variant": self.backbone.variant, **config, "parameters of the backbone": parameters,
            }  # fmt: skip
        return self._about

    def _empty(self, capacity: int) -> BackboneState:
        return self._fresh.select(self._index([0] * capacity))

    def _rows(self, sessions: Sequence[int]) -> list[int]:
        if len(set(sessions)) < len(sessions):
            raise ValueError("a session is named twice")
        try:
            return [self._row[s] for s in sessions]
        except KeyError as error:
            raise KeyError(f"no session {error.args[0]} is open") from None

    def _index(self, rows: Sequence[int]) -> Tensor:
        return torch.tensor(list(rows), dtype=torch.int64, device=self._fresh.position.device)


def _told(value: object) -> str:
    """Write a setting: 0 and 0.0 alike."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
