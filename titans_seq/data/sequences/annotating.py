"""VCF with numbers added to its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titans_seq.data.sequences._writing import whole_file
from titans_seq.data.sequences.bed import text_lines
from titans_seq.data.sequences.coordinates import Variant
from titans_seq.data.sequences.vcf import is_symbolic

_COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


@dataclass(frozen=True, eq=False)
class InfoField:
    """A number of each alternative allele.

    Attributes
    ----------
    id : str
        Key in the INFO column; `info_id` makes one of any text.
    description : str
    values : float array (n_variants,)
        In the order of `read_vcf`; NaN is written as a dot.
    """

    id: str
    description: str
    values: NDArray[np.float64]

    @property
    def header(self) -> str:
        """The line that declares it (VCF 4.3, section 1.4.2)."""
        text = self.description.replace("\\", "\\\\").replace('"', '\\"')
        return f'##INFO=<ID={self.id},Number=A,Type=Float,Description="{text}">'


def info_id(text: str) -> str:
    """Return a key that VCF allows (4.3, section 1.6.1): letters, digits, dots and underscores."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", text)


def annotate_vcf(source: str | Path, target: str | Path, fields: Sequence[InfoField]) -> Path:
    """Copy a VCF and add fields to INFO; header, samples and the other fields stay as they are.

    Fields of the same id are replaced. Rows of five to seven columns are filled up with dots.

    Parameters
    ----------
    source : path
        A VCF that `read_vcf` has read, .gz or not.
    target : path
        Written whole or not at all, and may be the source itself; gzipped (not in blocks, as tabix needs) if its name
        ends in .gz.
    fields : sequence of InfoField
        With a value for each variant that `read_vcf` gave.
    """
    at = 0
    with whole_file(target) as file:
        for line in _with_header((line for _, line in text_lines(Path(source))), fields):
            if line.startswith("#") or not line.strip():
                file.write(f"{line}\n")
                continue
            columns = line.split("\t")
            columns += ["."] * (8 - len(columns))
            alleles = columns[4].split(",")
            places = [None if alt in (".", "") or is_symbolic(alt) else at + i for i, alt in _counted(alleles)]
            at += sum(place is not None for place in places)
            columns[7] = _info(columns[7], fields, places)
            file.write("\t".join(columns) + "\n")
    return Path(target)


def write_vcf(variants: Sequence[Variant], target: str | Path, fields: Sequence[InfoField]) -> Path:
    """Write variants, a row for each, as VCF 4.3 with nothing but these fields.

    Parameters
    ----------
    variants : sequence of Variant
        In their order, which need not be that of the genome.
    target : path
        As of `annotate_vcf`.
    fields : sequence of InfoField
        With a value for each variant.
    """
    with whole_file(target) as file:
        file.writelines(f"{line}\n" for line in _with_header([], fields))
        for i, variant in enumerate(variants):
            columns = (variant.chrom, str(variant.pos), variant.id or ".", variant.ref, variant.alt, ".", ".")
            file.write("\t".join((*columns, _info(".", fields, [i]))) + "\n")
    return Path(target)


def _counted(alleles: list[str]) -> Iterator[tuple[int, str]]:
    """Number the alleles of bases from 0; the others have the number of the next one."""
    count = 0
    for alt in alleles:
        yield count, alt
        count += alt not in (".", "") and not is_symbolic(alt)


def _with_header(lines: Iterable[str], fields: Sequence[InfoField]) -> Iterator[str]:
    """Yield lines of a VCF with the fields declared; what is missing of a header is added."""
    replaced = tuple(f"##INFO=<ID={field.id}{end}" for field in fields for end in ",>")
    begun, done = False, False
    for line in lines:
        if not begun and not line.startswith("##fileformat"):
            yield "##fileformat=VCFv4.3"
        begun = True
        if not done and not line.startswith("##"):
            yield from (field.header for field in fields)
            if not line.startswith("#"):
                yield _COLUMNS
            done = True
        if line.startswith("#CHROM") and line.count("\t") < 7:
            line = _COLUMNS
        if not line.startswith(replaced):
            yield line
    if not begun:
        yield "##fileformat=VCFv4.3"
    if not done:
        yield from (*(field.header for field in fields), _COLUMNS)


def _info(info: str, fields: Sequence[InfoField], places: Sequence[int | None]) -> str:
    """Return an INFO column with the fields of some variants, one for each alternative allele."""
    ids = {field.id for field in fields}
    kept = [part for part in info.split(";") if part not in (".", "") and part.partition("=")[0] not in ids]
    added = [f"{field.id}={','.join(_number(field.values, place) for place in places)}" for field in fields]
    return ";".join(kept + added)


def _number(values: NDArray[np.float64], place: int | None) -> str:
    return "." if place is None or np.isnan(values[place]) else f"{values[place]:.6g}"
