"""Motifs from attributions: the stretches that matter most, aligned and counted.

A small relative of TF-MoDISco (Shrikumar et al. 2018): stretches are cut where attributions are largest, and those
whose contributions look alike at some shift are piled up, the strongest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WIDTH, _FLANK = 12, 6
"""Bases of a stretch, and how far two stretches may be shifted against each other."""

_PER_SEQUENCE = 3
_ALIKE = 0.6
"""Cosine of two contribution matrices from which on stretches belong together."""
_LEAST_MEMBERS, _LEAST_SHARE = 4, 0.15
_SHUFFLES = 4
_LEAST_FORCE = 0.15
"""Attribution of a motif over that of the strongest."""
_LEAST_BITS = 0.35
_PSEUDOCOUNT = 0.5


@dataclass(frozen=True, eq=False)
class Motif:
    """What several stretches have in common.

    Attributes
    ----------
    counts : float array (width, 4)
        How often A, C, G and T stand in each place.
    attribution : float
        Mean sum of the attributions of a stretch.
    n_sequences : int
        Sequences that hold one.
    """

    counts: FloatArray
    attribution: float
    n_sequences: int

    @property
    def frequencies(self) -> FloatArray:
        """Shares of the bases, (width, 4), with half a count of each added."""
        padded = self.counts + _PSEUDOCOUNT
        return padded / padded.sum(1, keepdims=True)

    @property
    def information(self) -> FloatArray:
        """Bits of each place against even shares, (width,)."""
        shares = self.frequencies
        return 2.0 + (shares * np.log2(shares)).sum(1)

    @property
    def consensus(self) -> str:
        """The commonest base of each place, N where it holds little information."""
        letters = ("ACGT"[int(row.argmax())] for row in self.counts)
        return "".join(
            letter if bits >= _LEAST_BITS else "N" for letter, bits in zip(letters, self.information, strict=True)
        )


@dataclass(frozen=True, eq=False)
class _Stretches:
    """Stretches with flanks: contributions and bases (n, width + 2 flanks, 4), and the sequence of each (n,)."""

    contributions: FloatArray
    bases: FloatArray
    sequence: NDArray[np.int64]

    def opposite(self) -> _Stretches:
        return _Stretches(self.contributions[:, ::-1, ::-1], self.bases[:, ::-1, ::-1], self.sequence)


def find_motifs(
    one_hot: Sequence[FloatArray], attributions: Sequence[FloatArray], *, both_strands: bool = False, most: int = 3
) -> list[Motif]:
    """Return the motifs that recur among the stretches with the largest attributions.

    Parameters
    ----------
    one_hot : sequence of float arrays (length, 4)
        Shares of A, C, G and T in each place of each sequence.
    attributions : sequence of float arrays (length,)
        What each base adds to the score.
    both_strands : bool, default False
        Whether a stretch may also be read on the opposite strand.
    most : int, default 3

    Returns
    -------
    list of Motif
        The one with the largest attributions first. Those in fewer than four sequences, or 15 % of them, are left
        out, those that matter less than 15 % of the strongest, and those in no more sequences than what is found when
        the bases of each sequence are shuffled under their attributions (four times).
    """
    least = max(_LEAST_MEMBERS, int(np.ceil(_LEAST_SHARE * len(one_hot))))
    found = _recurring(_cut(one_hot, attributions), least, both_strands, most)
    if not found:
        return []
    random = np.random.default_rng(0)
    chance = 0
    for _ in range(_SHUFFLES):
        shuffled = _cut([random.permutation(bases) for bases in one_hot], attributions)
        chance = max([chance, *(motif.n_sequences for motif in _recurring(shuffled, least, both_strands, most))])
    strongest = max(motif.attribution for motif in found)
    kept = [one for one in found if one.n_sequences > chance and one.attribution >= _LEAST_FORCE * strongest]
    return sorted(kept, key=lambda one: -one.attribution)


def _recurring(found: _Stretches, least: int, both_strands: bool, most: int) -> list[Motif]:
    """Pile stretches up, the strongest first, and return the piles from enough sequences."""
    strength = _core(found.contributions, 0).sum((1, 2))
    free = np.ones(len(strength), dtype=np.bool_)
    motifs: list[Motif] = []
    for seed in np.argsort(-strength, kind="stable"):
        if len(motifs) == most:
            break
        if not free[seed]:
            continue
        members, bases, force = _pile(found, int(seed), free, both_strands)
        sequences = np.unique(found.sequence[members])
        free[members] = False
        if len(sequences) >= least and (trimmed := _trimmed(bases)) is not None:
            motifs.append(Motif(trimmed, force, len(sequences)))
    return motifs


def _cut(one_hot: Sequence[FloatArray], attributions: Sequence[FloatArray]) -> _Stretches:
    """Cut up to three stretches of each sequence, the strongest first, that do not overlap."""
    contributions: list[FloatArray] = []
    stretches: list[FloatArray] = []
    sequence: list[int] = []
    for i, (bases, values) in enumerate(zip(one_hot, attributions, strict=True)):
        if len(values) < WIDTH:
            continue
        sums = np.convolve(values, np.ones(WIDTH), "valid")
        free, left = sums > 0, np.array(values)[:, None]
        for _ in range(_PER_SEQUENCE):
            if not free.any():
                break
            at = int(np.argmax(np.where(free, sums, -np.inf)))
            free[max(0, at - WIDTH + 1) : at + WIDTH] = False
            wide = _with_flanks(bases, at)
            contributions.append(wide * _with_flanks(left, at))
            left[at : at + WIDTH] = 0.0  # what stands here is not a flank of others, too
            stretches.append(wide)
            sequence.append(i)
    shape = (len(sequence), WIDTH + 2 * _FLANK, 4)
    return _Stretches(
        np.reshape(contributions, shape), np.reshape(stretches, shape), np.array(sequence, dtype=np.int64)
    )


def _with_flanks(rows: FloatArray, at: int) -> FloatArray:
    """Return rows of a stretch and its flanks; zeros beyond the ends."""
    places = np.arange(at - _FLANK, at + WIDTH + _FLANK)
    inside = (places >= 0) & (places < len(rows))
    return np.where(inside[:, None], rows[places.clip(0, len(rows) - 1)], 0.0)


def _core(wide: FloatArray, shift: int) -> FloatArray:
    return wide[:, _FLANK + shift : _FLANK + shift + WIDTH]


def _pile(
    found: _Stretches, seed: int, free: NDArray[np.bool_], both_strands: bool
) -> tuple[NDArray[np.int64], FloatArray, float]:
    """Return the free stretches that look like one, their bases as aligned (n, width, 4), and their mean strength."""
    pattern = _core(found.contributions[seed : seed + 1], 0)[0]
    for _ in range(2):  # first like the seed, then like what was piled up
        like, shift, flipped = _align(found, pattern, both_strands)
        members = np.flatnonzero(free & (like >= _ALIKE))
        members = members if len(members) else np.array([seed])
        pattern = _moved(found, members, shift, flipped, "contributions").mean(0)
    bases = _moved(found, members, shift, flipped, "bases")
    return members, bases, float(pattern.sum())


def _align(
    found: _Stretches, pattern: FloatArray, both_strands: bool
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.bool_]]:
    """Return of each stretch how like a pattern it is at its best shift and strand, and both of these."""
    strands = [found.contributions] + ([found.opposite().contributions] if both_strands else [])
    shifts = np.arange(-_FLANK, _FLANK + 1)
    like = np.array([[_cosine(_core(strand, int(s)), pattern) for s in shifts] for strand in strands])
    flat = like.reshape(-1, like.shape[-1])
    best = flat.argmax(0)
    return flat.max(0), shifts[best % len(shifts)], best >= len(shifts)


def _cosine(stretches: FloatArray, pattern: FloatArray) -> FloatArray:
    size = np.linalg.norm(stretches, axis=(1, 2)) * np.linalg.norm(pattern)
    return (stretches * pattern).sum((1, 2)) / np.where(size > 0, size, 1.0)


def _moved(
    found: _Stretches, members: NDArray[np.int64], shift: NDArray[np.int64], flipped: NDArray[np.bool_], name: str
) -> FloatArray:
    ways = (getattr(found, name), getattr(found.opposite(), name))
    return np.stack([_core(ways[int(flipped[i])][i : i + 1], int(shift[i]))[0] for i in members])


def _trimmed(bases: FloatArray) -> FloatArray | None:
    """Return counts (width, 4) without ends that say little; None where nothing else is left."""
    counts = bases.sum(0)
    told = np.flatnonzero(Motif(counts, 0.0, 0).information >= _LEAST_BITS)
    if len(told) < 3:
        return None
    return counts[told[0] : told[-1] + 1]
