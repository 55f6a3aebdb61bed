"""Windows along the records of a genome, read a few at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Sequences
from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences import Genome, Interval
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences._writing import check_target, whole_file
from titans_seq.estimators._length_warning import warn_of_lengths
from titans_seq.estimators._progress import with_progress
from titans_seq.estimators._sequence_predicting import share_of_places
from titans_seq.estimators._sequence_scores import StrandReader, chosen_output, output_name, reported, shown_scores
from titans_seq.estimators._sequence_targets import ClassTargets
from titans_seq.estimators._settings import check_integer
from titans_seq.estimators._variants import KEEPS_PLACES, window_length

if TYPE_CHECKING:
    import pandas as pd

    from titans_seq.estimators._dna import DNAEstimator

FloatArray = NDArray[np.float64]

_PIECE = 2**20
"""Bases of the windows that are in memory at once; a single window may have more."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Some windows of one record, and what the networks say of them.

    Attributes
    ----------
    chrom : str
    start, end : int64 arrays (n,)
    near_start, near_end : int64 arrays (n,)
        Bases of each window that are closer to its middle than to that of any other; they don't overlap.
    shown : float array (n, n_outputs)
        Probabilities, or numbers.
    """

    chrom: str
    start: Int64Array
    end: Int64Array
    near_start: Int64Array
    near_end: Int64Array
    shown: FloatArray

    def __len__(self) -> int:
        return len(self.start)


def scan(
    estimator: DNAEstimator, genome: Any, window: int | None, step: int | None, target: Any, output: Any
) -> pd.DataFrame | Path:
    """Return what `DNAClassifier.scan` does."""
    length = window_length(estimator, window)
    stride = length if step is None else step
    check_integer("step", stride, 1)
    write = None if output is None else _writer(output)
    warn_of_lengths(estimator._members, np.array([length]), subject=f"windows of {length:,} bases")
    share = share_of_places(estimator._members, length)
    if stride > 1 and share > KEEPS_PLACES:
        warnings.warn(
            f"what this model answers depends on where things stand in a window ({share:.0%} of it): windows every "
            f"{stride} bases miss what does not stand where it stood in training; use step=1, or fit to windows cut "
            "anywhere",
            UserWarning, stacklevel=3,
        )  # fmt: skip
    reader = StrandReader(estimator)
    place = None if output is None else chosen_output(reader.targets, target, None)
    records = genome if isinstance(genome, Genome) else Genome(genome)
    total = sum(len(window_starts(n, length, stride)) for n in records.lengths.values())
    pieces = _pieces(estimator, reader, records, length, int(stride))
    read = with_progress(pieces, total, "windows", estimator._show_progress())
    if write is None or place is None:
        return _frame(reader.targets, list(read))
    with whole_file(output) as file:
        for piece in read:
            write(file, piece, reader.targets, place)
    return Path(output)


def window_starts(length: int, window: int, step: int) -> Int64Array:
    """Return where the windows of a record begin: every `step` bases, and one more that ends with the record.

    A record that is shorter than a window has one, which is shorter, too.
    """
    last = max(length - window, 0)
    starts = np.arange(0, last + 1, step, dtype=np.int64)
    return starts if starts[-1] == last else np.append(starts, last)


def _pieces(estimator: DNAEstimator, reader: StrandReader, genome: Genome, window: int, step: int) -> Iterator[Windows]:
    """Read the windows of every record, one record after the other."""
    rows = max(1, _PIECE // window)
    for name, length in genome.lengths.items():
        starts = window_starts(length, window, step)
        ends = np.minimum(starts + window, length)
        # Halfway between the middles of neighbours.
        borders = (starts[1:] + ends[1:] + starts[:-1] + ends[:-1]) // 4
        near_starts = np.maximum(starts, np.append(0, borders))
        near_ends = np.minimum(ends, np.append(borders, length))
        for at in range(0, len(starts), rows):
            part = slice(at, at + rows)
            first = int(starts[at])
            codes = genome.codes(Interval(name, first, int(ends[part][-1])))
            bases = [codes[a:b] for a, b in zip(starts[part] - first, ends[part] - first, strict=True)]
            offsets = offsets_of(np.array([len(piece) for piece in bases], dtype=np.int64))
            read = estimator._read(Sequences(np.concatenate(bases), offsets, Names.of([""] * len(bases))))
            shown = shown_scores(reader.targets, reader.answers(read))
            yield Windows(name, starts[part], ends[part], near_starts[part], near_ends[part], shown)


def _frame(targets: Any, pieces: list[Windows]) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {
        "chrom": np.repeat(np.array([piece.chrom for piece in pieces], dtype=object), [len(piece) for piece in pieces]),
        "start": np.concatenate([piece.start for piece in pieces]),
        "end": np.concatenate([piece.end for piece in pieces]),
    }
    shown = np.concatenate([piece.shown for piece in pieces])
    return pd.DataFrame(columns | {f"score{ending}": shown[:, k] for ending, k in reported(targets).items()})


def _writer(output: Any) -> Any:
    """Return what writes windows to a file of this name; ValueError for names of other formats."""
    target = check_target(output)
    name = target.name.lower().removesuffix(".gz")
    found = next((write for suffix, write in _WRITERS.items() if name.endswith(suffix)), None)
    if found is None:
        raise ValueError(f"output must end in .bed, .bedgraph, .bed.gz or .bedgraph.gz, found {target.name!r}")
    return found


def _write_bed(file: TextIO, windows: Windows, targets: Any, output: int) -> None:
    """Write BED6 and a seventh column with the number itself: BED's own score is a whole number up to 1000."""
    classes = isinstance(targets, ClassTargets)
    name = "_".join(str(output_name(targets, output)).split()) if classes else "."
    for start, end, value in zip(windows.start, windows.end, windows.shown[:, output], strict=True):
        score = round(1000 * value) if classes else 0
        file.write(f"{windows.chrom}\t{start}\t{end}\t{name}\t{score}\t.\t{value:.6g}\n")


def _write_bedgraph(file: TextIO, windows: Windows, targets: Any, output: int) -> None:
    """Write bedGraph, in which no base may have two values: each has that of the window about it."""
    for start, end, value in zip(windows.near_start, windows.near_end, windows.shown[:, output], strict=True):
        file.write(f"{windows.chrom}\t{start}\t{end}\t{value:.6g}\n")


_WRITERS = {".bed": _write_bed, ".bedgraph": _write_bedgraph}
