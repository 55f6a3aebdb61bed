"""Streams of symbols (tokens of a small vocabulary): embedding, backbone and a classifier of each token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from titans_seq.nn import Backbone, BackboneState


@dataclass(frozen=True)
class SymbolState:
    """What a `SymbolModel` carries between calls.

    Attributes
    ----------
    backbone : BackboneState
    tail : Tensor, shape (batch, stem_width - 1, d_model)
        Embedded symbols under the stem's kernel before the next one; width 0 without a stem.
    """

    backbone: BackboneState
    tail: Tensor

    def detach(self) -> SymbolState:
        """Cut the graph: the same values, through which no gradient flows."""
        return replace(self, backbone=self.backbone.detach(), tail=self.tail.detach())


class StreamModel(nn.Module):
    """What `SymbolModel` and `VectorModel` share: a backbone, and a head that answers from its hidden tokens."""

    backbone: Backbone
    head: nn.Linear


class SymbolModel(StreamModel):
    """Reads symbols and tells, for every one, which class it calls for.

    Parameters
    ----------
    n_symbols, n_classes : int
    backbone : Backbone
    stem_width : int, default 1
        Symbols under a causal convolution before the backbone: motifs longer than a token. 1: none.
    """

    def __init__(self, n_symbols: int, n_classes: int, backbone: Backbone, *, stem_width: int = 1) -> None:
        super().__init__()
        if stem_width < 1:
            raise ValueError(f"stem_width must be at least 1, found {stem_width}")
        d_model = backbone.config.d_model
        self.n_symbols, self.stem_width = n_symbols, stem_width
        self.embedding = nn.Embedding(n_symbols, d_model)
        self.stem = nn.Conv1d(d_model, d_model, stem_width) if stem_width > 1 else None
        if self.stem is not None:
            # What stands around a symbol weighs as much as the symbol: keys of different motifs differ from the start.
            nn.init.kaiming_uniform_(self.stem.weight, nonlinearity="linear")
        self.backbone = backbone
        self.head = nn.Linear(d_model, n_classes)

    def init_state(self, batch_size: int) -> SymbolState:
        """Return the state of ``batch_size`` streams before position 0."""
        width, d_model = self.embedding.weight.shape[1], self.stem_width - 1
        return SymbolState(
            self.backbone.init_state(batch_size), self.embedding.weight.new_zeros(batch_size, d_model, width)
        )

    def forward(self, symbols: Tensor, state: SymbolState | None = None, **options: Any) -> tuple[Tensor, SymbolState]:
        """Read symbols.

        Parameters
        ----------
        symbols : Tensor of int64, shape (batch, time)
        state : SymbolState, optional
            What an earlier call handed back; None at the start of the streams.
        **options
            Passed to the backbone; `return_surprise` is not among them.

        Returns
        -------
        tuple of Tensor and SymbolState
            Hidden tokens (batch, time, d_model), which `head` turns into logits, and the next state.
        """
        state = self.init_state(symbols.shape[0]) if state is None else state
        x, tail = self._stem(self.embedding(symbols), state.tail)
        hidden, backbone = self.backbone(x, state.backbone, **options)
        return hidden, SymbolState(backbone, tail)

    def _stem(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        if self.stem is None:
            return x, tail
        buffer = torch.cat((tail, x), 1)
        y = self.stem(buffer.transpose(1, 2)).transpose(1, 2)
        return x + y, buffer[:, buffer.shape[1] - tail.shape[1] :].clone()


class VectorModel(StreamModel):
    """Reads real vectors and answers each with a vector: the patches of a series, for one.

    Parameters
    ----------
    n_inputs, n_outputs : int
    backbone : Backbone
    """

    def __init__(self, n_inputs: int, n_outputs: int, backbone: Backbone) -> None:
        super().__init__()
        self.embedding = nn.Linear(n_inputs, backbone.config.d_model)
        self.backbone = backbone
        self.head = nn.Linear(backbone.config.d_model, n_outputs)

    def forward(self, x: Tensor, state: BackboneState | None = None, **options: Any) -> tuple[Tensor, BackboneState]:
        """Read vectors (batch, time, n_inputs); returns hidden tokens and the next state, as `SymbolModel` does."""
        return self.backbone(self.embedding(x), state, **options)
