"""How a next-base model is fitted to sequences, and how it reads others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.adapters.next_base import Evidence, EvidenceReader, NextBaseModel, letters_of, with_frozen_memory
from titans_seq.data import Sequences
from titans_seq.data.sequences.alphabet import COMPLEMENT, UNKNOWN, CodeArray
from titans_seq.nn import Backbone
from titans_seq.training.fit import seeded
from titans_seq.training.next_base import BaseStream, NextBaseResult, bits_of_streams, train_next_base

if TYPE_CHECKING:
    from titans_seq.estimators.dna_language_model import DNALanguageModel

FEWEST_BASES = 100
"""Known bases that a fit needs."""

STRETCHES = 4
"""Parts of the training bases; each is read with what was counted in the others."""

_FEWEST_VALIDATION, _MOST_VALIDATION = 10, 100_000
_PIECE = 8192
_BACKBONE = (
    "d_model", "n_layers", "n_heads", "variant", "memory_depth", "memory_expansion", "chunk_size", "window_size",
    "n_persistent", "dropout", "rule",
)  # fmt: skip

OF_NETWORK = ("orders", "stem_width", *_BACKBONE)
"""Arguments that shape the network."""


class Fitted(NamedTuple):
    """A trained network, the counts of all that was given, and what training did."""

    model: NextBaseModel
    counts: list[BaseCounts]
    training: NextBaseResult


def make_model(parameters: dict[str, Any]) -> NextBaseModel:
    """Return an untrained network for the arguments of an estimator."""
    backbone = Backbone(**{name: parameters[name] for name in _BACKBONE})
    return NextBaseModel(len(parameters["orders"]), backbone, width=parameters["stem_width"])


def fit_next_base(estimator: DNALanguageModel, sequences: Sequences, seed: int) -> Fitted:
    """Train on all but the middle of the bases, choose on the middle, then count everything."""
    began = time.monotonic()
    codes = joined(sequences)
    middle, others = _split(len(codes), estimator.validation_fraction)
    parts = [codes[start:stop] for start, stop in others if stop > start]
    with seeded(seed):
        model = make_model(estimator.get_params())
    most = -(-estimator.max_train_bases // (2 * len(parts)))
    streams = [stream for i in range(len(parts)) for stream in _both_strands(estimator, parts, i, most)]
    held_out = _stream(estimator, parts, codes[middle[0] : middle[1]][:_MOST_VALIDATION])
    rows = cut_stream(held_out, 4)
    spent = time.monotonic() - began
    limit = None if estimator.max_minutes is None else max(0.0, 57 * estimator.max_minutes - 1.5 * spent)
    training = train_next_base(
        model, streams, validate=lambda: bits_of_streams(model, rows), batch_size=estimator.batch_size,
        piece_length=estimator.piece_length, learning_rate=estimator.learning_rate, max_epochs=estimator.max_epochs,
        max_seconds=limit, patience=estimator.early_stopping_patience, seed=seed,
    )  # fmt: skip
    return Fitted(model, [BaseCounts(order).learn(codes) for order in estimator.orders], training)


def joined(sequences: Sequences) -> CodeArray:
    """Return all bases in one array, with an N between sequences: no context reaches from one into the next.

    Of a longer run of unknown bases two are left: there is nothing to learn in it.
    """
    parts = [part for i in range(len(sequences)) for part in (sequences.codes_of(i), _N)]
    codes = np.concatenate(parts[:-1])
    unknown = letters_of(codes) >= UNKNOWN
    within = unknown[2:] & unknown[1:-1] & unknown[:-2]
    return np.concatenate((codes[:2], codes[2:][~within]))


_N = np.array([UNKNOWN], dtype=np.uint8)


def _split(n: int, fraction: float) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Stretch in the middle for validation, and the stretches on either side of it."""
    held_out = max(_FEWEST_VALIDATION, round(n * fraction))
    start = (n - held_out) // 2
    stop, half = start + held_out, STRETCHES // 2
    left = np.linspace(0, start, half + 1).astype(int).tolist()
    right = np.linspace(stop, n, half + 1).astype(int).tolist()
    return (start, stop), [*zip(left, left[1:], strict=False), *zip(right, right[1:], strict=False)]


def _both_strands(estimator: DNALanguageModel, parts: Sequence[CodeArray], i: int, most: int) -> Iterator[BaseStream]:
    """Both strands of a stretch, each read with what was counted in the other stretches."""
    others = [part for j, part in enumerate(parts) if j != i]
    yield _stream(estimator, others, parts[i][:most])
    yield _stream(estimator, others, COMPLEMENT[parts[i][::-1]][:most])


def _stream(estimator: DNALanguageModel, learned: Sequence[CodeArray], codes: CodeArray) -> BaseStream:
    counts = [BaseCounts(order) for order in estimator.orders]
    for one in counts:
        for part in learned:
            one.learn(part)
    return BaseStream(letters_of(codes), EvidenceReader(counts, estimator.stem_width).read(codes))


def cut_stream(stream: BaseStream, rows: int) -> list[BaseStream]:
    """Cut into streams of about one length that are read side by side, each from a fresh state."""
    edges = np.linspace(0, len(stream.letters), rows + 1).astype(int).tolist()
    cuts = [(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]
    return [BaseStream(stream.letters[a:b], stream.evidence.cut(a, b)) for a, b in cuts]


class Reading(NamedTuple):
    """What reading a piece gave: log probabilities (n, 4), hidden tokens (n, d_model), letters (n,)."""

    log_probabilities: Tensor
    hidden: Tensor
    letters: NDArray[np.uint8]


class Reader:
    """Reads sequences with a fitted model, one after the other; the model's own counts stay as they are.

    Parameters
    ----------
    model : NextBaseModel
    counts : sequence of BaseCounts
        Of the training sequences; copied if they are to learn.
    memory : {"learning", "frozen", "off"}
        What the network's memories do.
    learn : bool
        Whether the counts learn from what is read.
    """

    def __init__(self, model: NextBaseModel, counts: Sequence[BaseCounts], memory: str, *, learn: bool) -> None:
        self.model = with_frozen_memory(model) if memory == "frozen" else model
        self.zero_memory = memory == "off"
        own = [one.copy() if learn else one.share() for one in counts]
        self.evidence = EvidenceReader(own, model.width, learn=learn)
        self.begin()

    def begin(self) -> None:
        """Begin another sequence: of those before, only the counts stay."""
        self.evidence.begin()
        with torch.no_grad():
            self.state = self.model.init_state(1)

    @torch.no_grad()
    def read(self, codes: CodeArray) -> Reading:
        """Read on."""
        evidence = Evidence.of([self.evidence.read(codes)])
        logits, hidden, self.state = self.model(evidence, self.state, zero_memory=self.zero_memory)
        return Reading(logits[0].log_softmax(1), hidden[0], letters_of(codes))

    def pieces(self, codes: CodeArray) -> Iterator[Reading]:
        """Read a whole sequence, in pieces that take a constant amount of memory."""
        self.begin()
        for at in range(0, len(codes), _PIECE):
            yield self.read(codes[at : at + _PIECE])

    @torch.no_grad()
    def ahead(self) -> Tensor:
        """Return the probabilities (4,) of the base that comes next."""
        evidence = Evidence.of([self.evidence.ahead()])
        logits, _, _ = self.model(evidence, self.state, zero_memory=self.zero_memory)
        return logits[0, 0].double().softmax(0)


def bits_of(reading: Reading) -> NDArray[np.float32]:
    """-log2 of the probability of each base, NaN where it is not one of A, C, G and T."""
    known = reading.letters < UNKNOWN
    told = reading.log_probabilities.numpy()[np.arange(len(known)), np.where(known, reading.letters, 0)]
    return np.where(known, -told / np.log(2), np.nan).astype(np.float32)
