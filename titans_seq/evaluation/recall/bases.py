"""Recall in DNA: motifs planted into real bases, each with a partner that must be told when the motif returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from titans_seq.evaluation.recall.haystacks import Bases, Symbols
from titans_seq.evaluation.recall.trials import IntArray, SymbolTrials, at_least, check_length, scatter

ALPHABET = "ACGTN"
UNKNOWN = 4


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
    vary : bool
        1 to ``n_motifs`` planted.
    """

    sequence: Symbols = field(repr=False)
    n_motifs: int = 1
    motif_length: int = 12
    partner_length: int = 6
    n_known: int = 4
    vary: bool = False

    def __post_init__(self) -> None:
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
        places = scatter(count, width, length - count * (width - 1), n, random)
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

    def _stretches(self, n: int, length: int, random: np.random.Generator) -> Bases:
        room = len(self.sequence) - length
        if room < 0:
            raise ValueError(f"a stream of {length} bases is longer than the sequence of {len(self.sequence)}")
        return Bases(self.sequence, random.integers(0, room + 1, n))
