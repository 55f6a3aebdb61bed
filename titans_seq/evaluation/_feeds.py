"""Streams of any kind, fed to a backbone token by token or many at a time, the state carried."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.forecasts import gather_rows
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.adapters.stream import StreamReader, detach
from titans_seq.adapters.symbols import StreamModel, SymbolModel
from titans_seq.nn import Backbone

IntArray = NDArray[np.int64]


class Streams(Protocol):
    """Tokens that are made as they are read; the trials of `titans_seq.evaluation.recall` are such.

    Attributes
    ----------
    length : int
        Tokens of each stream.
    """

    length: int

    def read(self, start: int, stop: int) -> Tensor:
        """Return tokens ``start`` to ``stop`` of every stream, (batch, stop - start, …)."""


class Feed(Protocol):
    """A batch of streams and the model that reads them.

    Attributes
    ----------
    backbone : Backbone
    lengths : int array (n_streams,)
        Tokens of each stream.
    """

    backbone: Backbone
    lengths: IntArray

    def read(self, start: int, stop: int) -> None:
        """Let the model read tokens ``start`` to ``stop``: those after the ones it read last."""


class TokenFeed:
    """Tokens given as a tensor, or as `Streams`.

    Parameters
    ----------
    model : Backbone or StreamModel
    tokens : Tensor or Streams
    """

    def __init__(self, model: Backbone | StreamModel, tokens: Tensor | Streams) -> None:
        self.model, self.tokens = model, tokens
        self.backbone = model if isinstance(model, Backbone) else model.backbone
        self.device = next(model.parameters()).device
        batch, length = tokens.shape[:2] if isinstance(tokens, Tensor) else (len(tokens.read(0, 1)), tokens.length)
        self.lengths = np.full(batch, length, dtype=np.int64)
        # Made here and not in the first call: persistent tokens are read before anyone listens.
        starting = model if isinstance(model, SymbolModel) else self.backbone
        with torch.no_grad():
            self.state: Any = starting.init_state(batch)

    def read(self, start: int, stop: int) -> None:
        """Let the model read tokens ``start`` to ``stop``."""
        tokens = self.tokens[:, start:stop] if isinstance(self.tokens, Tensor) else self.tokens.read(start, stop)
        _, self.state = self.model(tokens.to(self.device), self.state)


class SeriesFeed:
    """Series, patch by patch: the rows after the last complete patch of each are not read.

    Parameters
    ----------
    reader : StreamReader
    data : ScaledPanel
    which : int array (n_streams,)
        Series to read.
    """

    def __init__(self, reader: StreamReader, data: ScaledPanel, which: IntArray) -> None:
        self.reader, self.data, self.which = reader, data, which
        self.backbone = reader.model.backbone
        self.lengths = data.panel.lengths[which] // reader.patching.patch_length
        self.device = reader.model.encoder.weight.device
        self.stream = reader.start(len(which))

    def read(self, start: int, stop: int) -> None:
        """Let the model read patches ``start`` to ``stop``."""
        data, which, rows = self.data, self.which, self.reader.patching.patch_length
        begin, n_rows = np.full(len(which), start * rows), (stop - start) * rows
        values, observed, covariates = gather_rows(data, which, begin, n_rows, self.device)
        lengths = torch.from_numpy(np.clip(self.lengths - start, 0, stop - start) * rows)
        group, origins = data.groups(which), data.panel.origins[which]
        lengths, group = lengths.to(self.device), group.to(self.device)
        stream, _ = self.reader.read(self.stream, values, observed, lengths, origins, group, covariates=covariates)
        self.stream = detach(stream)
