"""Places in a genome: the only module that knows how formats count.

Inside, positions are 0-based and intervals half-open, as in Python and BED: ``start`` is the first base, ``end`` the
one after the last. VCF, GFF and what people write (``chr1:11-20``) are 1-based and inclusive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from titans_seq.data.sequences.alphabet import COMPLEMENT, to_codes, to_text


def from_one_based(position: int) -> int:
    """Return the 0-based position of a 1-based one, the POS of VCF; ValueError below 1."""
    if position < 1:
        raise ValueError(f"a 1-based position begins at 1, got {position}")
    return position - 1


def to_one_based(position: int) -> int:
    """Return the 1-based position, for VCF, of a 0-based one."""
    return position + 1


@dataclass(frozen=True, order=True)
class Interval:
    """Bases ``start`` to ``end - 1`` of a chromosome.

    Parameters
    ----------
    chrom : str
        Name of the chromosome.
    start, end : int
        0-based, half-open. A start may be negative and an end past the chromosome: windows around a place may
        reach over an end, and what becomes of them is decided when they are fetched.
    strand : {"+", "-"}, default "+"
        "-" means the reverse complement of these bases.
    name : str, default ""
        Not compared.
    source : str, default ""
        Where it was read (file and line), for messages. Not compared.

    Raises
    ------
    ValueError
        Another strand, or an end that is not after the start.
    """

    chrom: str
    start: int
    end: int
    strand: str = "+"
    name: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.strand not in ("+", "-"):
            raise ValueError(f"strand must be '+' or '-', got {self.strand!r}")
        if self.end <= self.start:
            raise ValueError(f"an interval must end after its start, got {self.start} to {self.end}")

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.chrom}:{to_one_based(self.start)}-{self.end}({self.strand})"

    @classmethod
    def from_region(cls, region: str) -> Interval:
        """Return the interval of a region as people write it, 1-based and inclusive: ``chr1:1,001-2,000``."""
        match = re.fullmatch(r"(.+):([\d,]+)-([\d,]+)(?:\(([+-])\))?", region.strip())
        if not match:
            raise ValueError(f"a region is written chrom:first-last, such as chr1:1,001-2,000, got {region!r}")
        first, last = (int(match[i].replace(",", "")) for i in (2, 3))
        return cls(match[1], from_one_based(first), last, match[4] or "+")

    def resize(self, length: int) -> Interval:
        """Return `length` bases about the same centre; of an odd difference the larger part is at the end."""
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}")
        start = self.start - (length - len(self)) // 2
        return replace(self, start=start, end=start + length)

    def shift(self, bases: int) -> Interval:
        """Return the interval moved along the chromosome."""
        return replace(self, start=self.start + bases, end=self.end + bases)

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share a base, on whichever strand."""
        return self.chrom == other.chrom and self.start < other.end and other.start < self.end


@dataclass(frozen=True, order=True)
class Variant:
    """One alternative allele at a place of a chromosome's plus strand.

    Parameters
    ----------
    chrom : str
        Name of the chromosome.
    start : int
        0-based position of the first base of `ref`.
    ref, alt : str
        Bases of the genome and of the variant, upper case; as in VCF neither may be empty, so an insertion or
        a deletion begins with the base before it.
    id : str, default ""
        Name, such as an rs number. Not compared.
    source : str, default ""
        Where it was read (file and line), for messages. Not compared.

    Raises
    ------
    ValueError
        A negative position, or alleles that are empty or no IUPAC codes.
    """

    chrom: str
    start: int
    ref: str
    alt: str
    id: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"a variant's position must not be negative, got {self.start}")
        for name, allele in (("ref", self.ref), ("alt", self.alt)):
            if not allele:
                raise ValueError(f"{name} is empty; begin an insertion or deletion with the base before it")
            try:
                letters = to_text(to_codes(allele)).upper()
            except ValueError as error:
                raise ValueError(f"{name} {allele!r}: {error}") from None
            object.__setattr__(self, name, letters)

    @classmethod
    def from_vcf(cls, chrom: str, pos: int, ref: str, alt: str, id: str = "", source: str = "") -> Variant:
        """Return the variant of a VCF row, whose POS is 1-based."""
        return cls(chrom, from_one_based(pos), ref, alt, id, source)

    def __str__(self) -> str:
        return f"{self.chrom}:{self.pos}:{self.ref}>{self.alt}"

    @property
    def pos(self) -> int:
        """POS of VCF: the 1-based position of the first base of `ref`."""
        return to_one_based(self.start)

    @property
    def end(self) -> int:
        """The position after the last base of `ref`, 0-based."""
        return self.start + len(self.ref)

    @property
    def interval(self) -> Interval:
        """The bases that `ref` covers."""
        return Interval(self.chrom, self.start, self.end)

    @property
    def kind(self) -> str:
        """What the variant is: "snv", "mnv" (of equal length), "insertion", "deletion" or "indel"."""
        trimmed = self.trim()
        if len(trimmed.ref) == len(trimmed.alt):
            return "snv" if len(trimmed.ref) == 1 else "mnv"
        if 1 in (len(trimmed.ref), len(trimmed.alt)) and trimmed.ref[0] == trimmed.alt[0]:
            return "insertion" if len(trimmed.ref) == 1 else "deletion"
        return "indel"

    def trim(self) -> Variant:
        """Return the same change with as few bases as VCF allows: shared ends are cut off, the last ones first."""
        ref, alt, start = self.ref, self.alt, self.start
        while min(len(ref), len(alt)) > 1 and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        while min(len(ref), len(alt)) > 1 and ref[0] == alt[0]:
            ref, alt, start = ref[1:], alt[1:], start + 1
        return replace(self, start=start, ref=ref, alt=alt)


def reverse_complement(bases: str) -> str:
    """Return the opposite strand of a string; IUPAC codes and lower case are kept."""
    return to_text(COMPLEMENT[to_codes(bases)[::-1]])
