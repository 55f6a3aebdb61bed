"""One reader for everything that holds DNA sequences."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from titans_seq.data._missing import is_missing
from titans_seq.data._read import is_frame
from titans_seq.data.sequences._files import BrokenGzipError, fault_ahead, open_bytes
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._proteins import warn_of_proteins
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences._texts import encode_texts
from titans_seq.data.sequences.alphabet import LETTERS, SOFT_MASKED, to_text
from titans_seq.data.sequences.fasta import read_fasta
from titans_seq.data.sequences.fastq import read_fastq
from titans_seq.data.sequences.genbank import bases_of, from_records, read_genbank
from titans_seq.data.sequences.sequences import Sequences
from titans_seq.data.sequences.tables import place_of_row, read_frame, read_table

_READERS = {b">": read_fasta, b"@": read_fastq, b"LOCUS": read_genbank}
"""Readers by the beginning of a file."""

_ALPHABETS = {"dna": len(LETTERS), "acgtn": 5, "acgt": 4}
"""Number of codes in each alphabet, the first ones."""

_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


def read_sequences(
    data: Any,
    *,
    sequence_col: str | None = None,
    id_col: str | None = None,
    soft_mask: str = "keep",
    alphabet: str = "dna",
) -> Sequences:
    """Read DNA sequences from whatever holds them.

    Parameters
    ----------
    data : path, strings, records, frame or Sequences
        - path (``str`` or ``Path``) of FASTA, FASTQ or GenBank, told by their content, or of ``.csv`` or ``.tsv``;
          each may be gzipped;
        - strings: a list, tuple, array or Series of them, one for each sequence;
        - Bio.Seq.Seq or Bio.SeqRecord.SeqRecord objects, one or a list;
        - pandas or polars frame.
    sequence_col : str, optional
        Column of a table that holds the sequences; default the one named sequence or seq, or the only one.
    id_col : str, optional
        Column with the ids; default "id" if there is one. Without ids the sequences are "0", "1", ...
    soft_mask : {"keep", "fold", "mask"}, default "keep"
        Lower-case letters are kept as a flag of the base, folded into upper case, or replaced by N.
    alphabet : {"dna", "acgtn", "acgt"}, default "dna"
        Letters that may occur: all IUPAC codes, or those named only.

    Returns
    -------
    Sequences
        Letters are A, C, G, T, N and the IUPAC codes RYSWKMBDHV, which stand for mixtures of bases; U is read
        as T. FASTQ comes with `qualities`, GenBank with `features`.

    Raises
    ------
    FileNotFoundError
        The path does not exist.
    ValueError
        No sequences; an empty one; a letter that is no IUPAC code; a malformed or truncated file. The message is
        one line with file, record and line (from 1), or with the row or item (from 0).
    TypeError
        Data that hold no sequences.

    Warns
    -----
    UserWarning
        Once, if more than half of the letters of a record of 20 or more are codes that stand for several bases, N not
        among them: it may be a protein. Not of `Sequences`, which were read before.

    Examples
    --------
    >>> read_sequences(["ACGTN", "acgu"]).to_strings()
    ['ACGTN', 'acgt']
    """
    if soft_mask not in ("keep", "fold", "mask"):
        raise ValueError(f"soft_mask must be 'keep', 'fold' or 'mask', got {soft_mask!r}")
    if alphabet not in _ALPHABETS:
        raise ValueError(f"alphabet must be 'dna', 'acgtn' or 'acgt', got {alphabet!r}")
    found = _read(data, sequence_col, id_col)
    _refuse_others(found, alphabet)
    if not isinstance(data, Sequences):
        warn_of_proteins(found, lambda i: _place(data, found, i))
    if soft_mask == "keep":
        return found
    return found.fold() if soft_mask == "fold" else found.hard_mask()


def _refuse_others(found: Sequences, alphabet: str) -> None:
    """Refuse letters outside a narrower alphabet than IUPAC's."""
    if alphabet == "dna":
        return
    wrong = (found.codes & np.uint8(SOFT_MASKED - 1)) >= _ALPHABETS[alphabet]
    if wrong.any():
        at = int(np.argmax(wrong))
        i = int(np.searchsorted(found.offsets, at, side="right")) - 1
        place = at - int(found.offsets[i])
        letter = to_text(found.codes[at : at + 1])
        raise ValueError(
            f"sequence {i} {found.ids[i]!r}: {letter!r} at position {place} is not in alphabet {alphabet!r}"
        )


def _place(data: Any, found: Sequences, i: int) -> str:
    """Name a record by the place that it was read from."""
    if isinstance(data, str | Path):
        table = str(data).lower().endswith(_TABLES)
        return place_of_row(str(data), i) if table else f"{data}: record {i + 1} {found.ids[i]!r}"
    return f"row {i}" if is_frame(data) else f"sequence {i} {found.ids[i]!r}"


def _read(data: Any, sequence_col: str | None, id_col: str | None) -> Sequences:
    if isinstance(data, Sequences):
        return data
    if isinstance(data, str | Path):
        return _read_path(data, sequence_col, id_col)
    if is_frame(data):
        return read_frame(data, sequence_col, id_col)
    return _read_items([data] if _is_biopython(data) else data)


def _read_path(data: str | Path, sequence_col: str | None, id_col: str | None) -> Sequences:
    path = Path(data)
    if isinstance(data, str) and _looks_like_bases(data) and not os.path.exists(data):
        shown = repr(data[:20] + ("..." if len(data) > 20 else ""))
        raise TypeError(
            f"data is one string of bases {shown} (or a file that does not exist); pass [string] for one sequence"
        )
    if path.name.lower().endswith(_TABLES):
        return read_table(path, sequence_col, id_col)
    with open_bytes(path) as stream:
        reader = _reader_for(stream, path)
        try:
            return reader(stream, str(path))
        except BrokenGzipError:
            raise
        except ValueError as error:
            broken = fault_ahead(stream)
            if broken is None:
                raise
            raise ValueError(f"{str(error).rstrip('.')}; that is because {broken}") from None


def _reader_for(stream: BinaryIO, path: Path) -> Callable[[BinaryIO, str], Sequences]:
    """Choose the reader by the first bytes, which stay unread."""
    try:
        start = stream.peek(64)[:64]  # type: ignore[attr-defined]
    except BrokenGzipError as error:
        raise ValueError(f"{path}: {error}") from None
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise ValueError(f"{path} is empty; it needs at least one sequence")
    for beginning, reader in _READERS.items():
        if start.startswith(beginning):
            return reader
    shown = start[:12].decode("ascii", "replace")
    raise ValueError(
        f"{path} begins with {shown!r}: neither FASTA ('>'), FASTQ ('@') nor GenBank ('LOCUS'); "
        "name a table .csv or .tsv"
    )


def _read_items(data: Any) -> Sequences:
    if isinstance(data, bytes | dict) or not isinstance(data, Iterable):
        raise TypeError(
            f"data must be a path, strings, SeqRecords or a frame with a sequence column, got {type(data).__name__}"
        )
    if getattr(data, "ndim", 1) != 1:
        raise TypeError("an array of sequences must have one dimension")
    items = list(data)
    if not items:
        raise ValueError("data is empty; it needs at least one sequence")
    if all(hasattr(item, "letter_annotations") for item in items):
        return from_records(items, lambda i: f"record {i} {items[i].id!r}")
    texts = [_text(item, i) for i, item in enumerate(items)]
    codes, lengths = encode_texts(texts, lambda i: f"sequence {i}")
    return Sequences(codes, offsets_of(lengths), Names.of(map(str, range(len(texts)))))


def _text(item: Any, i: int) -> str:
    if isinstance(item, str):
        return item
    if _is_biopython(item):
        return bases_of(getattr(item, "seq", item), f"sequence {i}")
    if isinstance(item, Path):
        raise TypeError(f"sequence {i} is a path; read one file at a time and join them with Sequences.concat")
    if is_missing(item):
        raise ValueError(f"sequence {i} is missing; drop it")
    raise TypeError(f"sequence {i} is {type(item).__name__}; sequences must be strings, Seq or SeqRecord objects")


def _is_biopython(item: Any) -> bool:
    """Whether it is a Seq or a SeqRecord; asks the class, so that Biopython is not loaded for strings."""
    return any(kind.__module__ in ("Bio.Seq", "Bio.SeqRecord") for kind in type(item).__mro__)


def _looks_like_bases(text: str) -> bool:
    return len(text) > 0 and set(text.upper()) <= set("ACGTUNRYSWKMBDHV")
