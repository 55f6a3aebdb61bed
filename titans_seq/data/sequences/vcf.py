"""VCF and tables of variants, and their check against a genome."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from titans_seq.data._missing import is_missing
from titans_seq.data._read import is_frame, open_frame
from titans_seq.data.sequences._files import BrokenGzipError, open_bytes
from titans_seq.data.sequences.alphabet import MIXTURE, UNKNOWN, to_codes, to_text
from titans_seq.data.sequences.bed import text_lines
from titans_seq.data.sequences.coordinates import Variant
from titans_seq.data.sequences.genome import Genome
from titans_seq.data.sequences.tables import open_table, place_of_row

_SEQUENCE = re.compile("[ACGTUNRYSWKMBDHVacgtunryswkmbdhv]+")
_SYMBOLIC = re.compile(r"<.+>|\*|.*[\[\]].*|\.[A-Za-z]+|[A-Za-z]+\.")

_MOST_LISTED = 20

_COLUMNS = ("chrom", "pos", "ref", "alt")


def read_vcf(data: Any) -> list[Variant]:
    """Read variants, one for each alternative allele.

    Parameters
    ----------
    data : path, frame or iterable
        - path of a VCF file, or of a table (.csv or .tsv) with the columns of a frame; each .gz or not;
        - pandas or polars frame with the columns chrom, pos, ref, alt and perhaps id, in any case ("#CHROM" too);
        - tuples (chrom, pos, ref, alt), or `Variant` objects.
        Positions in all of them but `Variant` are 1-based, as VCF has them.

    Returns
    -------
    list of Variant
        In order. Alleles that are no bases (``<DEL>``, ``*``, break-ends, empty ones as in ``C,``) are left out and
        their number is said once, as a UserWarning; rows without an alternative (``.``) are left out. Alternatives
        that are the reference stay, and their number is said once, too.

    Raises
    ------
    FileNotFoundError
        The path does not exist.
    ValueError
        A row that is no variant, with file and line (from 1), or the row (from 0); no variants at all.
    TypeError
        Data of another kind.
    """
    skipped: list[str] = []
    same: list[str] = []
    found = [variant for row in _rows(data) for variant in _alleles(row, skipped, same)]
    if skipped:
        warnings.warn(
            f"{len(skipped)} alternative alleles that are no bases were left out; the first is {skipped[0]}",
            UserWarning,
            stacklevel=2,
        )
    if same:
        warnings.warn(
            f"{len(same)} alternative alleles are their reference, and change nothing; the first is {same[0]}",
            UserWarning,
            stacklevel=2,
        )
    if not found:
        file = f"{data}: " if isinstance(data, str | Path) else ""
        raise ValueError(f"{file}no variants: there are no rows, or none with an alternative allele of bases")
    return found


@dataclass(frozen=True)
class Mismatch:
    """A variant whose reference allele is not what the genome has: `found`, "" if it lies outside."""

    variant: Variant
    found: str
    reason: str

    def __str__(self) -> str:
        at = f"{self.variant.source}: " if self.variant.source else ""
        return f"{at}{self.variant}: {self.reason}"


class ReferenceMismatchError(ValueError):
    """Variants that do not fit the genome; `mismatches` has all of them, the message the first twenty."""

    def __init__(self, message: str, mismatches: list[Mismatch]) -> None:
        super().__init__(message)
        self.mismatches = mismatches


@dataclass(frozen=True)
class ReferenceCheck:
    """Outcome of `check_reference`.

    Attributes
    ----------
    kept : list of int
        Places of the variants whose reference allele is the genome's.
    mismatches : list of Mismatch
        The others.
    """

    kept: list[int]
    mismatches: list[Mismatch]


def check_reference(genome: Genome, variants: Iterable[Variant], on_mismatch: str = "raise") -> ReferenceCheck:
    """Compare the reference alleles of variants with a genome.

    Case does not matter. Where the genome has an ambiguous base (R, Y, ... but not N), VCF asks for one of the bases
    it stands for; any of them fits.

    Parameters
    ----------
    genome : Genome
    variants : iterable of Variant
    on_mismatch : {"raise", "skip"}, default "raise"
        Refuse, or leave such variants out and say their number once, as a UserWarning. A chromosome that the
        genome does not have and a place past its end are mismatches too.

    Raises
    ------
    ReferenceMismatchError
        With ``"raise"``: a ValueError that says how many do not fit, and which.
    """
    if on_mismatch not in ("raise", "skip"):
        raise ValueError(f"on_mismatch must be 'raise' or 'skip', got {on_mismatch!r}")
    asked = list(variants)
    outcomes = [_compare(genome, variant) for variant in asked]
    wrong = [outcome for outcome in outcomes if outcome is not None]
    what = f"{len(wrong)} of {len(asked)} variants do not fit the genome: "
    if wrong and on_mismatch == "raise":
        advice = "; use the genome they were called on, or on_mismatch='skip'"
        raise ReferenceMismatchError(what + _listed(wrong, _MOST_LISTED) + advice, wrong)
    if wrong:
        warnings.warn(f"{what}{_listed(wrong, 3)}; they are left out", UserWarning, stacklevel=2)
    return ReferenceCheck([i for i, outcome in enumerate(outcomes) if outcome is None], wrong)


def _listed(wrong: list[Mismatch], most: int) -> str:
    return "; ".join(map(str, wrong[:most])) + ("; ..." if len(wrong) > most else "")


def _compare(genome: Genome, variant: Variant) -> Mismatch | None:
    chrom = genome.find(variant.chrom)
    if chrom is None:
        return Mismatch(variant, "", f"the genome has no chromosome {variant.chrom!r}")
    length = genome.length_of(chrom)
    if variant.end > length:
        return Mismatch(variant, "", f"past the end of {chrom} of {length} bases")
    there, asked = genome.codes(variant.interval) & np.uint8(15), to_codes(variant.ref)
    # One base of what an ambiguous code stands for fits; N stands for a base nobody knows.
    fits = (there == asked) | ((MIXTURE[there] * MIXTURE[asked]).sum(-1) > 0) & (asked < 4) & (there != UNKNOWN)
    found = to_text(there)
    return None if fits.all() else Mismatch(variant, found, f"the genome has {found}")


@dataclass(frozen=True)
class _Row:
    place: str
    chrom: str
    pos: Any
    id: str
    ref: str
    alt: str


def _alleles(row: _Row | Variant, skipped: list[str], same: list[str]) -> Iterator[Variant]:
    """Yield the variants of a row; note alleles that are no bases, and those that are the reference."""
    if isinstance(row, Variant):
        yield row
        return
    for alt in row.alt.split(","):
        if alt == ".":
            continue
        if not alt or is_symbolic(alt):
            skipped.append(f"{row.place}: {alt or f'an empty one, in {row.alt!r}'}")
            continue
        try:
            pos = _position(row.pos)
            found = Variant.from_vcf(row.chrom, pos, row.ref, alt, "" if row.id == "." else row.id, row.place)
        except ValueError as error:
            raise ValueError(f"{row.place}: {error}") from None
        if found.ref == found.alt:
            same.append(f"{row.place}: {found}")
        yield found


def is_symbolic(alt: str) -> bool:
    """Whether an alternative allele is one that VCF writes without bases: ``<DEL>``, ``*``, a break-end."""
    return not _SEQUENCE.fullmatch(alt) and bool(_SYMBOLIC.fullmatch(alt))


def _position(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool) or (not isinstance(value, str) and number != value):
        raise ValueError(f"pos must be a whole number, got {value!r}")
    return number


def is_variant_table(path: str | Path) -> bool:
    """Whether a file is read as a table with a header line, and not as VCF."""
    if not Path(path).name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
        return False
    try:
        with open_bytes(Path(path)) as stream:
            return stream.read(2) != b"##"  # which begins VCF, whatever its name is
    except BrokenGzipError:
        return True


def _rows(data: Any) -> Iterator[_Row | Variant]:
    if isinstance(data, str | Path):
        return _table_rows(Path(data)) if is_variant_table(data) else _file_rows(Path(data))
    if is_frame(data):
        return _frame_rows(data, "the frame", lambda row: f"row {row}")
    if not isinstance(data, Iterable):
        raise TypeError(f"variants must be a path, a frame or tuples (chrom, pos, ref, alt), got {type(data).__name__}")
    return _tuple_rows(data)


def _file_rows(path: Path) -> Iterator[_Row]:
    for number, line in text_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        place = f"{path}: line {number}"
        if len(fields) < 5:
            raise ValueError(f"{place}: a VCF row has tabs between CHROM, POS, ID, REF and ALT, got {line[:60]!r}")
        yield _Row(place, *fields[:5])


def _table_rows(path: Path) -> Iterator[_Row]:
    with open_bytes(path) as stream:
        frame = open_table(stream, path.name, str(path))
    for name in frame.columns:
        cells = frame[name].fillna("").str.strip()
        which = name.lower().lstrip("#")
        if which in _COLUMNS and (cells == "").any():
            place = place_of_row(str(path), int((cells == "").to_numpy().argmax()))
            raise ValueError(f"{place}: {which} is missing; complete it or drop the row")
        frame[name] = cells.map(_whole) if which == "pos" else cells
    yield from _frame_rows(frame, str(path), lambda row: place_of_row(str(path), row))


def _whole(text: str) -> str:
    """Return "5" for "5.0", as a table is written by what takes its positions for numbers; other texts as they are."""
    number, _, rest = text.partition(".")
    return number if set(rest) == {"0"} else text


def _frame_rows(data: Any, what: str, place: Callable[[int], str]) -> Iterator[_Row]:
    frame = open_frame(data)
    names = {str(name).lower().lstrip("#"): name for name in frame.columns}
    absent = [name for name in _COLUMNS if name not in names]
    if absent:
        listed = ", ".join(map(str, frame.columns[:8]))
        raise ValueError(f"{what} has no column {absent[0]!r} (it has {listed}); variants need chrom, pos, ref, alt")
    wanted = [frame.get_column(names[name]).to_list() for name in _COLUMNS]
    ids = frame.get_column(names["id"]).to_list() if "id" in names else [""] * len(frame)
    for row, (chrom, pos, ref, alt, name) in enumerate(zip(*wanted, ids, strict=True)):
        yield _named_row(place(row), chrom, pos, ref, alt, "" if is_missing(name) else str(name))


def _tuple_rows(data: Iterable[Any]) -> Iterator[_Row | Variant]:
    for i, item in enumerate(data):
        if isinstance(item, Variant):
            yield item
        elif isinstance(item, str) or not hasattr(item, "__len__") or len(item) != 4:
            raise TypeError(f"variant {i} must be a Variant or (chrom, pos, ref, alt), got {item!r}")
        else:
            yield _named_row(f"variant {i}", *item)


def _named_row(place: str, chrom: Any, pos: Any, ref: Any, alt: Any, name: str = "") -> _Row:
    for column, value in (("ref", ref), ("alt", alt)):
        if not isinstance(value, str):
            raise ValueError(f"{place}: {column} must be text, got {value!r}")
    if not isinstance(chrom, str | int) or isinstance(chrom, bool):
        raise ValueError(f"{place}: chrom must be text or a number, got {chrom!r}")
    return _Row(place, str(chrom), pos, name, ref, alt)
