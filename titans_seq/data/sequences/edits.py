"""What variants do to a genome: windows of one length with either allele."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from titans_seq.data.sequences.alphabet import COMPLEMENT, SOFT_MASKED, UNKNOWN, CodeArray, to_codes
from titans_seq.data.sequences.coordinates import Interval, Variant
from titans_seq.data.sequences.genome import Genome

_LETTER = np.uint8(SOFT_MASKED - 1)


@dataclass(frozen=True, eq=False)
class Edit:
    """Bases of one chromosome that are replaced by others.

    Attributes
    ----------
    chrom : str
    start : int
        0-based place of the first base that is replaced, or before which others are inserted.
    ref, alt : uint8 arrays
        Codes that go and codes that come; either may be empty.
    """

    chrom: str
    start: int
    ref: CodeArray
    alt: CodeArray

    @property
    def end(self) -> int:
        """The place after the last base that is replaced."""
        return self.start + len(self.ref)


def edit_of(genome: Genome, variant: Variant) -> Edit:
    """Return the change of a variant, the same for every way to write it.

    Bases that both alleles share at their ends are cut off, and what is purely inserted or deleted is moved as far to
    the left as the genome allows (Tan et al. 2015, algorithm 1; bases before it are not repeated, for an edit needs no
    base to stand on). Bases that come are soft-masked where those that they replace are.

    Parameters
    ----------
    genome : Genome
        `variant.ref` must be what it has there, see `check_reference`.
    variant : Variant
    """
    ref, alt = to_codes(variant.ref), to_codes(variant.alt)
    behind = _shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - behind], alt[: len(alt) - behind]
    ahead = _shared(ref, alt)
    chrom, start, ref, alt = genome.resolve(variant.chrom), variant.start + ahead, ref[ahead:], alt[ahead:]
    if len(ref) and not len(alt):
        ref, start = _leftmost(genome, chrom, ref, start)
    elif len(alt) and not len(ref):
        alt, start = _leftmost(genome, chrom, alt, start)
    masked = _soft_mask(genome, chrom, start, len(ref))
    return Edit(chrom, start, ref | masked[: len(ref)], alt | masked[np.arange(len(alt)).clip(max=len(masked) - 1)])


def windows_of(genome: Genome, edit: Edit, length: int) -> tuple[CodeArray, CodeArray]:
    """Return the codes around an edit without it and with it, each of one length.

    The longer allele stands in the middle; of an odd rest the larger part is behind it. What stands before it is the
    same in both windows, and the shorter allele is followed by more of the chromosome. An allele longer than half
    a window leaves a quarter of it for what stands before. Places outside the chromosome are N.
    """
    longest = max(len(edit.ref), len(edit.alt), 1)
    return _beginning(genome, edit, max((length - longest) // 2, length // 4), length)


def window_in(genome: Genome, edit: Edit, interval: Interval) -> tuple[CodeArray, CodeArray]:
    """Return the codes of an interval without an edit in it and with it, in the direction of the interval's strand.

    Both are as long as the interval, and what its strand reads before the edit is the same in both: behind an allele
    that is shorter there is more of the chromosome in that direction. Places outside the chromosome are N.
    """
    if interval.strand == "+":
        return _beginning(genome, edit, edit.start - interval.start, len(interval))
    behind = interval.end - edit.end
    flank, room = _codes(genome, edit.chrom, edit.end, behind), len(interval) - behind

    def window(allele: CodeArray) -> CodeArray:
        inside = allele[max(0, len(allele) - room) :]
        rest = room - len(inside)
        bases = np.concatenate((_codes(genome, edit.chrom, edit.start - rest, rest), inside, flank))
        return COMPLEMENT[bases[::-1]]

    return window(edit.ref), window(edit.alt)


def _beginning(genome: Genome, edit: Edit, before: int, length: int) -> tuple[CodeArray, CodeArray]:
    """Return windows that begin some bases before an edit, without it and with it."""
    flank = _codes(genome, edit.chrom, edit.start - before, before)

    def window(allele: CodeArray) -> CodeArray:
        inside = allele[: length - before]
        return np.concatenate((flank, inside, _codes(genome, edit.chrom, edit.end, length - before - len(inside))))

    return window(edit.ref), window(edit.alt)


def _shared(a: CodeArray, b: CodeArray) -> int:
    """Return how many letters both begin with."""
    n = min(len(a), len(b))
    differ = np.flatnonzero(a[:n] != b[:n])
    return int(differ[0]) if len(differ) else n


def _leftmost(genome: Genome, chrom: str, moving: CodeArray, start: int) -> tuple[CodeArray, int]:
    """Move what is inserted or deleted to the left while the bases that result stay the same."""
    while start > 0:
        (before,) = _codes(genome, chrom, start - 1, 1) & _LETTER
        # Two N need not be the same base.
        if before != moving[-1] or before >= UNKNOWN:
            break
        moving, start = np.roll(moving, 1), start - 1
    return moving, start


def _soft_mask(genome: Genome, chrom: str, start: int, length: int) -> CodeArray:
    """Return the soft mask of a stretch, or, of one without bases, that of the base before it."""
    place = start if length else max(start - 1, 0)
    return _codes(genome, chrom, place, max(length, 1)) & np.uint8(SOFT_MASKED)


def _codes(genome: Genome, chrom: str, start: int, length: int) -> CodeArray:
    """Return codes of a stretch that may have no bases at all."""
    if length <= 0:
        return np.zeros(0, dtype=np.uint8)
    return genome.codes(Interval(chrom, start, start + length))
