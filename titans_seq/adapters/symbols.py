"""Streams of symbols (tokens of a small vocabulary): embedding, backbone and a classifier of each token."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.nn import Backbone, BackboneState
from titans_seq.nn._ragged import last_rows


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
        Symbols under a causal convolution before the backbone, followed by a GELU: what matches a motif only in part
        is silenced, so that gates can tell a motif from the many near copies in a long stream. 1: none.
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
        weight = self.embedding.weight
        tail = weight.new_zeros(batch_size, self.stem_width - 1, weight.shape[1])
        return SymbolState(self.backbone.init_state(batch_size), tail)

    def forward(
        self,
        symbols: Tensor,
        state: SymbolState | None = None,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        zero_memory: bool = False,
    ) -> tuple[Tensor, SymbolState]:
        """Read symbols.

        Parameters
        ----------
        symbols : Tensor of int64, shape (batch, time)
        state : SymbolState, optional
            What an earlier call handed back; None at the start of the streams.
        mask, lengths, zero_memory
            As in `Backbone`; the stem sees nothing of a symbol under the mask.

        Returns
        -------
        tuple of Tensor and SymbolState
            Hidden tokens (batch, time, d_model), which `head` turns into logits, and the next state.
        """
        state = self.init_state(symbols.shape[0]) if state is None else state
        if state.tail.shape[:2] != (symbols.shape[0], self.stem_width - 1):
            found = f"{state.tail.shape[0]} rows and a stem of {state.tail.shape[1] + 1}"
            raise ValueError(f"the state has {found}; needed are {symbols.shape[0]} rows and one of {self.stem_width}")
        x = self.embedding(symbols)
        lengths = None if lengths is None else lengths.to(x.device)
        x, tail = self._stem(x if mask is None else x * mask[..., None], state.tail, lengths)
        hidden, backbone = self.backbone(x, state.backbone, mask=mask, lengths=lengths, zero_memory=zero_memory)
        return hidden, SymbolState(backbone, tail)

    def _stem(self, x: Tensor, tail: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.stem is None or x.shape[1] == 0:
            return x, tail
        buffer = torch.cat((tail, x), 1)
        y = self.stem(buffer.transpose(1, 2)).transpose(1, 2)
        return x + F.gelu(y), last_rows(buffer, tail.shape[1], x.shape[1], lengths)


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

    def forward(
        self,
        x: Tensor,
        state: BackboneState | None = None,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        zero_memory: bool = False,
    ) -> tuple[Tensor, BackboneState]:
        """Read vectors (batch, time, n_inputs); returns hidden tokens and the next state, as `SymbolModel` does."""
        return self.backbone(self.embedding(x), state, mask=mask, lengths=lengths, zero_memory=zero_memory)
