"""BED: intervals of a genome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from titans_seq.data.sequences._files import BrokenGzipError, open_bytes
from titans_seq.data.sequences.coordinates import Interval


def read_bed(path: str | Path) -> list[Interval]:
    """Read the intervals of a BED file (also narrowPeak and the like), .gz or not.

    Columns are chrom, start, end and, where there are any, name and strand (the fourth and the sixth); a strand of
    "." is "+". Coordinates of BED are those of `Interval`: 0-based, half-open.

    Raises
    ------
    FileNotFoundError
        The path does not exist.
    ValueError
        A row with fewer than three columns, coordinates that are no counts or no interval, no rows at all, a
        broken gzip file: with file and line (from 1).
    """
    place = Path(path)
    intervals = [_interval(place, number, line) for number, line in text_lines(place) if _is_row(line)]
    if not intervals:
        raise ValueError(f"{place} holds no intervals; it needs rows 'chrom start end'")
    return intervals


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers, from 1; ValueError where a gzip file breaks off."""
    number = 0
    with open_bytes(path) as stream:
        try:
            for number, line in enumerate(stream, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")
        except BrokenGzipError as error:
            raise ValueError(f"{path}: line {number + 1}: {error}") from None


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(("#", "track", "browser"))


def _interval(path: Path, number: int, line: str) -> Interval:
    fields = line.split("\t") if "\t" in line else line.split()
    if len(fields) < 3:
        raise ValueError(f"{path}: line {number}: a BED row has at least chrom, start and end, got {line[:60]!r}")
    name = fields[3] if len(fields) > 3 and fields[3] != "." else ""
    strand = fields[5] if len(fields) > 5 and fields[5] != "." else "+"
    place = f"{path}: line {number}"
    try:
        if int(fields[1]) < 0:
            raise ValueError(f"start must not be negative, got {fields[1]}")
        return Interval(fields[0], int(fields[1]), int(fields[2]), strand, name, place)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
