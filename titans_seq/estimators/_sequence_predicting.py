"""What networks say of sequences; nothing that stands beside a sequence changes it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.dna import BaseBatch, DNAExamples, length_batches
from titans_seq.adapters.kmer_scores import KmerScores
from titans_seq.adapters.language_features import LanguageFeatures
from titans_seq.adapters.long_sequences import bytes_of_a_piece, read_in_pieces, represent_in_pieces
from titans_seq.adapters.sequence_network import Examples, SequenceModel
from titans_seq.data._calendar import Int64Array
from titans_seq.estimators._sequence_choosing import Choice
from titans_seq.training.ranks import ALONE, Ranks

MAX_POSITIONS = 2**17
"""Positions of a batch, padding counted; a longer sequence is read in pieces."""
BATCH_SIZE = 256
_PREPARED = 2**19
"""Bases, about, of which is kept at a time what a language model says."""


@dataclass(frozen=True)
class Member:
    """A network and how its outputs become an answer."""

    model: SequenceModel
    choice: Choice


def share_of_places(members: list[Member], length: int) -> float:
    """Return how much of the answer to a sequence, at most, depends on where things stand in it."""
    if length != members[0].model.network.shape.length:
        return 0.0
    shares = []
    for member in members:
        kmers, placed = member.model.kmers, member.choice.placed_share
        of_kmers = member.choice.kmer_share if kmers is not None else 0.0
        shares.append((1 - of_kmers) * placed + of_kmers * (kmers is not None and kmers.placed))
    return float(np.mean(shares))


def doubled(members: list[Member]) -> list[Member]:
    """Return copies of the members in double precision.

    In it, what a sequence is told does not depend on the others of its batch by more than about 1e-12 of it; in single
    precision that would be 1e-6.
    """
    return [Member(copy.deepcopy(member.model).double(), member.choice) for member in members]


def answers(
    members: list[Member], examples: Examples, *, both_strands: bool, device: torch.device, ranks: Ranks = ALONE
) -> NDArray[np.float64]:
    """Return the mean answer of the members, (n, n_outputs), in double precision; each rank reads its part."""
    if ranks.alone:
        return read(doubled(members), examples, both_strands=both_strands, device=device)
    n = len(examples.lengths)
    found, own = np.zeros((0, members[0].model.network.shape.n_outputs)), examples.take(np.arange(n)[ranks.part(n)])
    if len(own.lengths):
        found = read(doubled(members), own, both_strands=both_strands, device=device)
    return ranks.gather_all(found, n)


def read(members: list[Member], examples: Examples, *, both_strands: bool, device: torch.device) -> NDArray[np.float64]:
    """Return the mean answer (n, n_outputs) of members as they are; they are moved to the device."""

    def say(member: Member, part: Examples) -> NDArray[np.float64]:
        rows = np.arange(len(part.lengths))
        return member.choice.combine(outputs(member.model, part, rows, both_strands=both_strands, device=device))

    parts = prepared(members, examples)
    return np.concatenate([np.mean([say(member, part) for member in members], axis=0) for part in parts])


def prepared(members: list[Member], examples: Examples) -> Iterator[Examples]:
    """Yield the examples, some at a time, with what a language model says of them read once for all members."""
    encoder = members[0].model.encoder
    if not isinstance(encoder, LanguageFeatures) or not isinstance(examples, DNAExamples):
        yield examples
        return
    sequences, bases = examples.sequences, np.cumsum(examples.lengths)
    for rows in np.split(np.arange(len(bases)), np.flatnonzero(np.diff(bases // _PREPARED)) + 1):
        part = DNAExamples(sequences.take(rows))
        yield encoder.language.prepare(part) if part.lengths.max() <= MAX_POSITIONS else part


def outputs(
    asked: SequenceModel | KmerScores,
    examples: Examples,
    rows: Int64Array,
    *,
    both_strands: bool,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> NDArray[np.float64]:
    """Return what is said of some rows; with both strands their mean.

    By every head of a model (n, heads, n_outputs), or by k-mers alone (n, n_outputs). Each rank reads its part of the
    rows, and returns all.
    """
    own = rows[ranks.part(len(rows))]
    shape: tuple[int, ...]
    say: tuple[Callable[[Any], Tensor], Callable[[Any], Tensor]]
    if isinstance(asked, KmerScores):
        kmers = copy.deepcopy(asked).to(device)  # the model they may belong to stays where it is
        shape, say = (len(kmers.bias),), (kmers, kmers)
    else:
        model = asked.to(device).eval()
        shape, say = (model.n_heads, model.network.shape.n_outputs), (model, partial(read_in_pieces, model))
    found = _fill(np.zeros((len(own), *shape)), say, examples, own, both_strands, device)
    return ranks.gather_all(found, len(rows))


def representations(
    members: list[Member], examples: Examples, *, both_strands: bool, device: torch.device
) -> NDArray[np.float64]:
    """Return the pooled representations of every row, those of the members beside each other, (n, width)."""

    def say(member: Member, part: Examples) -> NDArray[np.float64]:
        model, rows = member.model.to(device).eval(), np.arange(len(part.lengths))
        empty = np.zeros((len(rows), model.network.n_pooled))
        return _fill(empty, (model.represent, partial(represent_in_pieces, model)), part, rows, both_strands, device)

    parts = prepared(members, examples)
    return np.concatenate([np.concatenate([say(member, part) for member in members], axis=1) for part in parts])


@torch.no_grad()
def _fill(
    found: NDArray[np.float64], say: tuple[Callable[[Any], Tensor], Callable[[Any], Tensor]], examples: Examples,
    rows: Int64Array, both_strands: bool, device: torch.device,
) -> NDArray[np.float64]:  # fmt: skip
    """Fill in what is said of each row, batch by batch: ``say`` of batches read whole, and of one long sequence."""
    for places in length_batches(examples.lengths[rows], BATCH_SIZE, MAX_POSITIONS):
        batch: Any = examples.batch(rows[places]).to(device)
        long = isinstance(batch, BaseBatch) and batch.codes.shape[1] > MAX_POSITIONS
        said = say[long](batch)
        if both_strands and isinstance(batch, BaseBatch):
            said = (said + say[long](batch.reverse_complement())) / 2
        found[places] = said.double().cpu().numpy()
    return found


def announcement(members: list[Member], lengths: Int64Array, both_strands: bool) -> str | None:
    """Say about how long reading sequences will take, and how much memory, from a short stretch; None: not long."""
    long = lengths[lengths > MAX_POSITIONS]
    if not len(long):
        return None
    model, size = copy.deepcopy(members[0].model).double().eval(), 2**15
    trial = BaseBatch(torch.zeros((1, size), dtype=torch.uint8), torch.tensor([size]))
    began = time.perf_counter()
    read_in_pieces(model, trial)
    seconds = (time.perf_counter() - began) * len(members) * (2 if both_strands else 1) * long.sum() / size
    memory = (2 * bytes_of_a_piece(model, int(long.max())) + int(long.max())) / 2**30
    return (
        f"{len(long)} of {len(lengths)} sequences are long: about {seconds / 60:.1f} min and {memory:.1f} GB for them"
    )
