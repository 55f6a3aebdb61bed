"""Sessions of one pool that are told symbols in turns drawn at random, and are asked for what they were told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from titans_seq.adapters.symbols import SymbolModel
from titans_seq.evaluation.recall.tasks import ASK
from titans_seq.nn import Sessions

SHARES = (1.0, 0.5, 0.1)
"""Chance of a session to be stepped in a turn: with few of them the pool takes another path than with most."""


class Talk:
    """A pool of sessions, by symbols.

    Parameters
    ----------
    model : SymbolModel
        Without a stem.
    capacity : int
    seed : int
        Of the turns.
    """

    def __init__(self, model: SymbolModel, capacity: int, seed: int) -> None:
        self.model, self.pool = model, Sessions(model.backbone, capacity=capacity)
        self.random = np.random.default_rng(seed)

    def join(self, n: int) -> list[int]:
        return [self.pool.join() for _ in range(n)]

    @torch.no_grad()
    def tell(self, streams: Mapping[int, Tensor]) -> None:
        """Step sessions until each has read its stream: in every turn some of them, in any order."""
        read = dict.fromkeys(streams, 0)
        while read:
            share = self.random.choice(SHARES)
            who = [s for s in self.random.permutation(list(read)).tolist() if self.random.random() < share]
            self._step(who, [int(streams[s][read[s]]) for s in who])
            for s in who:
                read[s] += 1
                if read[s] == len(streams[s]):
                    del read[s]

    @torch.no_grad()
    def ask(self, sessions: Sequence[int], keys: Tensor) -> Tensor:
        """Ask each session for a key; the values they name."""
        self._step(sessions, [ASK] * len(sessions))
        return self.model.head(self._step(sessions, keys.tolist())).argmax(-1)

    def _step(self, sessions: Sequence[int], symbols: Sequence[int]) -> Tensor:
        return self.pool.step(sessions, self.model.embedding(torch.tensor(symbols, dtype=torch.int64)))
