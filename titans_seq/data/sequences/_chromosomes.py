"""Names of chromosomes: with ``chr`` or without, M or MT."""

from __future__ import annotations


def spellings(chrom: str) -> list[str]:
    """Return the names a chromosome may have, the one given first."""
    bare = chrom[3:] if chrom[:3].lower() == "chr" else chrom
    others = ["M", "MT"] if bare.upper() in ("M", "MT") else [bare]
    return [chrom, *(prefix + name for name in others for prefix in ("chr", "", "Chr"))]


def common_name(chrom: str) -> str:
    """Return the one name of all spellings of a chromosome."""
    return spellings(chrom)[1]
