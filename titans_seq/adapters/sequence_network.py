"""The network that classifies sequences: convolutions, a backbone that reads both ways, and two heads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from titans_seq.adapters.convolutions import ConvolutionTower, max_pool
from titans_seq.adapters.heads import Places, Pool, Readout
from titans_seq.adapters.kmer_scores import KmerScores
from titans_seq.data._calendar import Int64Array
from titans_seq.nn import Backbone
from titans_seq.nn._ragged import take_rows

HEADS = ("pooled", "placed")
"""Heads in the order of the outputs; the second is there where sequences usually had the same length."""


class SequenceBatch(Protocol):
    """Sequences of several lengths beside each other; ``lengths`` has shape (batch,)."""

    @property
    def lengths(self) -> Tensor: ...  # noqa: D102
    def to(self, device: torch.device | str) -> SequenceBatch: ...  # noqa: D102


class Examples(Protocol):
    """Sequences that can be put beside each other; ``lengths`` has shape (n,)."""

    @property
    def lengths(self) -> Int64Array: ...  # noqa: D102
    def batch(self, rows: Int64Array) -> SequenceBatch: ...  # noqa: D102
    def take(self, rows: Int64Array) -> Examples: ...  # noqa: D102


@dataclass(frozen=True)
class NetworkShape:
    """What a network is built from; JSON-able.

    Attributes
    ----------
    n_features : int
        Features of a position.
    n_outputs : int
        Logits or values of each head.
    length : int or None
        Positions of sequences, where they usually have as many; None: there is no head that keeps places.
    pooling : int
        Positions for each step of the residual convolutions.
    stride : int
        Steps of the convolutions for each token of the backbone.
    channels, first_width, n_blocks : int
        Of the convolutions.
    hidden, rank : int
        Width of the heads' hidden layer, numbers of a position that the placed head keeps.
    dropout : float
    backbone : dict
        Arguments of the backbone.
    n_context : int
        Further features of a position, of which only its own are seen.
    """

    n_features: int
    n_outputs: int
    length: int | None
    pooling: int = 1
    stride: int = 4
    channels: int = 64
    first_width: int = 11
    n_blocks: int = 3
    hidden: int = 64
    rank: int = 8
    dropout: float = 0.3
    backbone: dict[str, Any] = field(default_factory=dict)
    n_context: int = 0

    @property
    def n_heads(self) -> int:
        """One head, or two."""
        return 1 if self.length is None else 2

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class SequenceNetwork(nn.Module):
    """Sequences of features to the outputs of one or two heads.

    The convolutions see a few dozen positions about each one. The backbone reads their tokens from the first to the
    last and from the last to the first, with the same weights, and the sum of both stands beside them: every
    position matters to every token, though the backbone itself is causal.

    Parameters
    ----------
    shape : NetworkShape
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        self.tower = ConvolutionTower(
            shape.n_features, shape.channels, width=shape.first_width, pooling=shape.pooling,
            n_blocks=shape.n_blocks, dropout=shape.dropout / 2, n_context=shape.n_context,
        )  # fmt: skip
        self.backbone = Backbone(**shape.backbone)
        d_model = self.backbone.config.d_model
        self.project = nn.Linear(shape.channels, d_model)
        self.pools = nn.ModuleList([Pool(shape.channels), Pool(d_model)])
        self.pooled = Readout(self.n_pooled, shape.hidden, shape.n_outputs, shape.dropout)
        self.places, self.placed = nn.ModuleList(), None
        if shape.length is not None:
            steps = -(-shape.length // shape.pooling)
            sizes = ((shape.channels, steps), (d_model, -(-steps // shape.stride)))
            self.places = nn.ModuleList([Places(*size, shape.rank) for size in sizes])
            width = shape.rank * sum(n for _, n in sizes)
            self.placed = Readout(width, shape.hidden, shape.n_outputs, shape.dropout)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Read features (batch, time, n_features), zero in the padding.

        Returns
        -------
        Tensor, shape (batch, heads, n_outputs)
            In the order of `HEADS`. The placed head says what the pooled one says wherever sequences are not of the
            one length it knows.
        """
        x, y, together = self._represent(features, lengths)
        pooled = self.pooled(together)
        if self.placed is None or self.shape.length is None:
            return pooled[:, None]
        fits = lengths.eq(self.shape.length)
        if not fits.any():
            return torch.stack((pooled, pooled), 1)
        # Rows of that length may lie beside longer ones: their places are the first of the batch.
        kept = [places(part[:, : places.n_places]) for places, part in zip(self.places, (x, y), strict=True)]
        placed = self.placed(torch.cat(kept, 1))
        return torch.stack((pooled, torch.where(fits[:, None], placed, pooled)), 1)

    def represent(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Return what the pooled head reads, (batch, 3 (channels + d_model)).

        Largest entry, mean and attention-weighted mean over the positions, of the convolutions and of the backbone.
        """
        return self._represent(features, lengths)[2]

    def _represent(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what convolutions and backbone say of every position, and both pooled."""
        x, valid = self.tower(features, lengths)
        tokens, read = max_pool(x, valid, self.shape.stride)
        x, y = x.transpose(1, 2), self._read(tokens.transpose(1, 2), read)
        return x, y, torch.cat((self.pools[0](x, valid), self.pools[1](y, read)), 1)

    def _read(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """Return what the backbone makes of the tokens, read both ways."""
        tokens, lengths = self.project(tokens), valid.sum(1)
        back = (lengths[:, None] - 1 - torch.arange(tokens.shape[1], device=tokens.device)).clamp_min(0)
        both = torch.cat((tokens, take_rows(tokens, back)))
        y, _ = self.backbone(both, lengths=torch.cat((lengths, lengths)))
        ahead, behind = y.chunk(2)
        return torch.where(valid[..., None], ahead + take_rows(behind, back), 0.0)

    @property
    def n_pooled(self) -> int:
        """Numbers of what `represent` returns."""
        return 3 * (self.shape.channels + self.backbone.config.d_model)

    def n_parameters(self) -> int:
        """Number of learned numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


class SequenceModel(nn.Module):
    """An encoder of batches, the network that reads what it gives, and perhaps a linear model beside it.

    Parameters
    ----------
    encoder : Module
        Batch to features (batch, time, n_features), zero in the padding.
    network : SequenceNetwork
    kmers : KmerScores, optional
        Says something of its own of every batch.
    """

    def __init__(self, encoder: nn.Module, network: SequenceNetwork, kmers: KmerScores | None = None) -> None:
        super().__init__()
        self.encoder, self.network, self.kmers = encoder, network, kmers

    @property
    def n_heads(self) -> int:
        """Answers to every sequence."""
        return self.network.shape.n_heads + (self.kmers is not None)

    def n_parameters(self) -> int:
        """Number of learned numbers: of the network, and the weights and bias of the k-mers."""
        kmers = self.kmers
        if kmers is None:
            return self.network.n_parameters()
        weights = sum(getattr(kmers, kind.name).numel() for kind in kmers.kinds)
        return self.network.n_parameters() + weights + kmers.bias.numel()

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Return the outputs (batch, heads, n_outputs): those of the network, then that of the k-mers."""
        return self.with_kmers(self.network(self._features(batch), batch.lengths), batch)

    def with_kmers(self, said: Tensor, batch: Any) -> Tensor:
        """Put beside the network's outputs (batch, heads, n_outputs) what the k-mers say.

        They say what the pooled head says of sequences of other lengths than they are fitted to.
        """
        if self.kmers is None:
            return said
        fits = self.kmers.fits(batch.lengths)
        scores = torch.where(fits[:, None], self.kmers(batch).to(said.dtype), said[:, 0])
        return torch.cat((said, scores[:, None]), 1)

    def represent(self, batch: SequenceBatch) -> Tensor:
        """Return the pooled representation (batch, width); see `SequenceNetwork.represent`."""
        return self.network.represent(self._features(batch), batch.lengths)

    def stretch(self, batch: SequenceBatch, begin: int, end: int) -> Tensor:
        """Return the features of some positions of a batch of one sequence, (1, end - begin, n_features)."""
        features: Tensor = self.encoder.stretch(batch, begin, end)  # type: ignore[operator]
        return features.to(self.network.project.weight.dtype)

    def _features(self, batch: SequenceBatch) -> Tensor:
        return self.encoder(batch).to(self.network.project.weight.dtype)
