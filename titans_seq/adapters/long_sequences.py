"""A sequence of any length, read piece by piece: what a network says of it, in memory that hardly grows.

The convolutions of a piece read as many positions on both sides of it as matter to it. The backbone reads from the
first to the last with its state carried. What it makes of the way back is needed beside it: so the way back is read
first, the state before each piece is kept, and each piece is read back once more, from that state, when its turn comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.adapters.convolutions import max_pool
from titans_seq.adapters.dna import BaseBatch
from titans_seq.adapters.heads import Places, Pool
from titans_seq.adapters.sequence_network import SequenceModel, SequenceNetwork
from titans_seq.nn import BackboneState

TOKENS_AT_ONCE = 4096
MOST_STATES = 128
"""States kept of the way back: with longer sequences pieces get longer."""


@dataclass(frozen=True)
class Piece:
    """Tokens of a sequence, from ``first`` to before ``last``."""

    first: int
    last: int


def pieces_of(n_tokens: int) -> list[Piece]:
    """Cut a sequence of tokens into pieces."""
    size = max(TOKENS_AT_ONCE, -(-n_tokens // MOST_STATES))
    return [Piece(at, min(at + size, n_tokens)) for at in range(0, n_tokens, size)]


@torch.no_grad()
def read_in_pieces(model: SequenceModel, batch: BaseBatch) -> Tensor:
    """Return what `SequenceModel.forward` says of a batch of one sequence, (1, heads, n_outputs).

    The model is in evaluation mode.
    """
    network, length = model.network, int(batch.lengths[0])
    together, placed = _read(model, batch)
    pooled = network.pooled(together)
    if network.placed is None:
        return model.with_kmers(pooled[:, None], batch)
    said = torch.stack((pooled, pooled if length != network.shape.length else network.placed(placed)), 1)
    return model.with_kmers(said, batch)


@torch.no_grad()
def represent_in_pieces(model: SequenceModel, batch: BaseBatch) -> Tensor:
    """Return what `SequenceModel.represent` says of a batch of one sequence, (1, width)."""
    return _read(model, batch)[0]


def bytes_of_a_piece(model: SequenceModel, length: int) -> int:
    """Return about how much memory a piece takes of a sequence of ``length`` positions."""
    shape, size = model.network.shape, model.network.project.weight.element_size()
    width = shape.pooling * shape.stride
    piece = pieces_of(-(-length // width))[0]
    positions = (piece.last - piece.first) * width
    convolved = positions * (shape.n_features + shape.channels) + 6 * shape.channels * positions // shape.pooling
    return size * (convolved + 40 * positions // width * model.network.backbone.config.d_model)


def _read(model: SequenceModel, batch: BaseBatch) -> tuple[Tensor, Tensor]:
    """Return what the pooled head reads, and what the other one does (empty if it can't read such a sequence)."""
    network, length = model.network, int(batch.lengths[0])
    width = network.shape.pooling * network.shape.stride
    pieces = pieces_of(-(-length // width))
    before = _states_on_the_way_back(model, batch, pieces)
    state: BackboneState | None = None
    pools = [_RunningPool(pool) for pool in network.pools]  # type: ignore[arg-type]
    kept: tuple[list[Tensor], list[Tensor]] = ([], [])
    for piece, late in zip(pieces, before, strict=True):
        x, tokens = _tokens(model, batch, piece)
        ahead, state = network.backbone(tokens, state)
        behind, _ = network.backbone(tokens.flip(1), late)
        for part, pool, places, rows in zip((x, ahead + behind.flip(1)), pools, _places(network), kept, strict=True):
            pool.add(part)
            if places is not None and length == network.shape.length:
                rows.append(F.gelu(places.keep(part)))
    placed = [torch.cat(rows, 1).flatten(1) for rows in kept if rows]
    return torch.cat([pool.result() for pool in pools], 1), torch.cat(placed or [x.new_zeros(1, 0)], 1)


def _states_on_the_way_back(model: SequenceModel, batch: BaseBatch, pieces: list[Piece]) -> list[BackboneState | None]:
    """State before each piece of a stream that reads from the last token to the first."""
    states: list[BackboneState | None] = [None]
    for piece in reversed(pieces[1:]):
        _, tokens = _tokens(model, batch, piece)
        states.append(model.network.backbone(tokens.flip(1), states[-1])[1])
    return states[::-1]


def _tokens(model: SequenceModel, batch: BaseBatch, piece: Piece) -> tuple[Tensor, Tensor]:
    """Return the steps of the convolutions of a piece, (1, steps, channels), and its tokens (1, tokens, d_model)."""
    network, length = model.network, int(batch.lengths[0])
    pooling, stride = network.shape.pooling, network.shape.stride
    width = pooling * stride
    beyond = width * -(-network.tower.reach // width)
    begin = max(0, piece.first * width - beyond)
    end = min(length, piece.last * width + beyond)
    features = model.stretch(batch, begin, end)
    x, valid = network.tower(features, torch.full_like(batch.lengths, end - begin))
    skipped = (piece.first * width - begin) // pooling
    steps = -(-min(length - piece.first * width, (piece.last - piece.first) * width) // pooling)
    x, valid = x[:, :, skipped : skipped + steps], valid[:, skipped : skipped + steps]
    tokens, _ = max_pool(x, valid, stride)
    return x.transpose(1, 2), network.project(tokens.transpose(1, 2))


def _places(network: SequenceNetwork) -> tuple[Places | None, Places | None]:
    if not len(network.places):
        return None, None
    of_steps, of_tokens = network.places
    assert isinstance(of_steps, Places) and isinstance(of_tokens, Places)
    return of_steps, of_tokens


class _RunningPool:
    """What a `Pool` says of positions that come piece by piece."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.count = pool, 0

    def add(self, x: Tensor) -> None:
        """Read positions (1, n, channels)."""
        weight = self.pool.attention(x)
        largest, top = x.amax(1), weight.amax(1)
        if not self.count:
            self.largest, self.top = largest, top
            self.sum, self.mass, self.share = (
                torch.zeros_like(largest),
                torch.zeros_like(top),
                torch.zeros_like(largest),
            )
        new = torch.maximum(self.top, top)
        share, fade = (weight - new[:, None]).exp(), (self.top - new).exp()
        self.mass = self.mass * fade + share.sum(1)
        self.share = self.share * fade + (share * x).sum(1)
        self.largest, self.top = torch.maximum(self.largest, largest), new
        self.sum, self.count = self.sum + x.sum(1), self.count + x.shape[1]

    def result(self) -> Tensor:
        """Return the pooled vector (1, 3 channels)."""
        return torch.cat((self.largest, self.sum / self.count, self.share / self.mass), 1)
