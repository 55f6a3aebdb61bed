"""Recall in DNA: motifs planted into real bases, each with a partner that must be told when the motif returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from titans_seq.evaluation.recall.haystacks import Bases, Symbols
from titans_seq.evaluation.recall.trials import IntArray, SymbolTrials, at_least, check_length, scatter

ALPHABET = "ACGTN"
UNKNOWN = 4
CHANGED = (2, 5)
"""Fewest and most bases that differ in a near copy."""


@dataclass(frozen=True)
class MotifPartners:
    """Known motifs, each followed by a partner of random bases; at the end they return.

    The partner is asked for base by base, the next one each time, with N in place of those told already.

    Attributes
    ----------
    sequence : uint8 array, shape (length,)
        Real bases as indices of `ALPHABET`.
    n_motifs : int
        Motifs planted in a stream; all return at its end, in random order.
    motif_length, partner_length : int
        Bases. Twelve bases at random occur once in 17 million.
    n_known : int
        Motifs there are; they are the same in training and test, partners and places are not.
    n_decoys : int
        Near copies at most, as many as fit: motifs with `CHANGED` bases changed, other bases behind them. What is
        to be heeded then has to match nearly in full, as it must in a million bases, which hold near copies anyway.
    vary : bool
        1 to ``n_motifs`` planted.
    """

    sequence: Symbols = field(repr=False)
    n_motifs: int = 1
    motif_length: int = 12
    partner_length: int = 6
    n_known: int = 4
    n_decoys: int = 0
    vary: bool = False

    def __post_init__(self) -> None:
        at_least(0, n_decoys=self.n_decoys)
        at_least(1, n_motifs=self.n_motifs, motif_length=self.motif_length, partner_length=self.partner_length)
        if self.n_motifs > self.n_known:
            raise ValueError(f"n_motifs must be at most n_known, found {self.n_motifs} of {self.n_known}")
        if len(np.unique(self.motifs, axis=0)) < self.n_known:
            raise ValueError(
                f"{self.n_known} motifs of {self.motif_length} bases are not all different: use longer ones"
            )

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"motifs_{self.n_motifs}"

    @property
    def motifs(self) -> IntArray:
        """The known motifs, shape (n_known, motif_length)."""
        return np.random.default_rng(12).integers(0, 4, (self.n_known, self.motif_length))

    def draw(self, n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        """Draw trials; one right answer is all of the partner's bases."""
        count = int(random.integers(1, self.n_motifs + 1)) if self.vary else self.n_motifs
        width = self.motif_length + self.partner_length
        check_length(length, self.n_motifs * (2 * width - 1), self)
        which = random.permuted(np.tile(np.arange(self.n_known), (n, 1)), axis=1)[:, :count]
        partners = random.integers(0, 4, (n, count, self.partner_length))
        planted = np.concatenate((self.motifs[which], partners), 2)
        planted, places = self._with_decoys(planted, length - count * (width - 1), random)
        order = random.permuted(np.tile(np.arange(count), (n, 1)), axis=1)[..., None]
        blank = np.full((n, count, self.partner_length - 1), UNKNOWN)
        ask = np.concatenate((np.take_along_axis(self.motifs[which], order, 1), blank), 2)
        ends = length - count * (width - 1) + np.arange(count * (width - 1))
        at = np.concatenate(((places[..., None] + np.arange(width)).reshape(n, -1), np.tile(ends, (n, 1))), 1)
        questions = ends.reshape(count, width - 1)[:, self.motif_length - 1 :].ravel()
        put = np.concatenate((planted.reshape(n, -1), ask.reshape(n, -1)), 1)
        return SymbolTrials(
            self._stretches(n, length, random), length, at, put, np.tile(questions, (n, 1)),
            torch.from_numpy(np.take_along_axis(partners, order, 1).reshape(n, -1)), self.partner_length,
        )  # fmt: skip

    def _with_decoys(self, planted: IntArray, room: int, random: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Add near copies to what is planted in ``room`` bases; returns both, and their first bases."""
        n, count, width = planted.shape
        more = min(self.n_decoys, room // width - count)
        places = scatter(count + more, width, room, n, random)
        if more == 0:
            return planted, places
        every = np.concatenate((planted, self._decoys(n, more, random)), 1)
        order = random.permuted(np.tile(np.arange(count + more), (n, 1)), axis=1)[..., None]
        return np.take_along_axis(every, order, 1), places

    def _decoys(self, n: int, count: int, random: np.random.Generator) -> IntArray:
        """Near copies and the bases behind them, (n, count, motif_length + partner_length)."""
        motifs = self.motifs[random.integers(0, self.n_known, (n, count))]
        changed = random.integers(CHANGED[0], CHANGED[1] + 1, (n, count, 1))
        rank = random.permuted(np.tile(np.arange(self.motif_length), (n, count, 1)), axis=2)
        other = (motifs + random.integers(1, 4, motifs.shape)) % 4
        copies = np.where(rank < changed, other, motifs)
        return np.concatenate((copies, random.integers(0, 4, (n, count, self.partner_length))), 2)

    def _stretches(self, n: int, length: int, random: np.random.Generator) -> Bases:
        room = len(self.sequence) - length
        if room < 0:
            raise ValueError(f"a stream of {length} bases is longer than the sequence of {len(self.sequence)}")
        return Bases(self.sequence, random.integers(0, room + 1, n))
