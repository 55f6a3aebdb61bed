"""In-silico saturation mutagenesis: what every substitution of a sequence would change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Sequences
from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences.alphabet import LETTERS, SOFT_MASKED, CodeArray, to_text
from titans_seq.estimators._progress import with_progress
from titans_seq.estimators._sequence_predicting import MAX_POSITIONS
from titans_seq.estimators._sequence_scores import StrandReader, chosen_output, output_name
from titans_seq.estimators._settings import check_integer

if TYPE_CHECKING:
    import pandas as pd

    from titans_seq.estimators._dna import DNAEstimator

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mutagenesis:
    """What every substitution in a stretch of a sequence changes.

    Attributes
    ----------
    sequence : str
        Bases of the stretch, upper case.
    start : int
        Place of its first base in the whole sequence, from 0.
    target : object
        Class, label or number of the target that was asked about.
    score : float
        Of the sequence as it is: log odds log(p / (1 - p)) of the target, or a number.
    effects : float array (length, 4)
        Score with A, C, G and T in each place, minus `score`; 0 for the base that is there.
    """

    sequence: str
    start: int
    target: Any
    score: float
    effects: FloatArray = field(repr=False)

    @property
    def importance(self) -> FloatArray:
        """What each base is worth (length,): minus the mean effect of the others in its place."""
        others = (np.array(list(self.sequence))[:, None] != np.array(list(LETTERS[:4]))).sum(1)
        return -self.effects.sum(1) / others

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each substitution: position (from 0, of the whole sequence), ref, alt, effect."""
        import pandas as pd

        ref, alt = np.repeat(list(self.sequence), 4), np.tile(list(LETTERS[:4]), len(self.sequence))
        frame = pd.DataFrame({
            "position": np.repeat(self.start + np.arange(len(self.sequence)), 4),
            "ref": ref, "alt": alt, "effect": self.effects.ravel(),
        })  # fmt: skip
        return frame[ref != alt].reset_index(drop=True)

    def plot(self, path: str | Path, *, title: str | None = None, dpi: int = 150) -> Path:
        """Draw `importance` as a logo; see `titans_seq.evaluation.plot_logo`."""
        from titans_seq.evaluation import plot_logo

        label = "Mean loss by substitution"
        return plot_logo(path, self.sequence, self.importance, start=self.start, y_label=label, title=title, dpi=dpi)


def mutagenesis(estimator: DNAEstimator, sequence: Any, region: tuple[int, int] | None, target: Any) -> Mutagenesis:
    """Return what `DNAClassifier.mutagenesis` does."""
    one = read_one(estimator, sequence)
    start, end = _check_region(region, len(one.codes))
    reader = StrandReader(estimator)
    output = chosen_output(reader.targets, target, reader.answers(one))
    score = float(reader.scores(one)[0, output])
    effects = np.zeros((end - start, 4))
    places, bases = _substitutions(one.codes[start:end])
    rows = max(1, MAX_POSITIONS // len(one.codes))
    pieces = (np.arange(at, min(at + rows, len(places))) for at in range(0, len(places), rows))
    for piece in with_progress(pieces, len(places), "substitutions", estimator._show_progress()):
        changed = _substituted(one.codes, start + places[piece], bases[piece])
        effects[places[piece], bases[piece]] = reader.scores(changed)[:, output] - score
    letters = to_text(one.codes[start:end]).upper()
    return Mutagenesis(letters, start, output_name(reader.targets, output), score, effects)


def read_one(estimator: DNAEstimator, sequence: Any) -> Sequences:
    """Return one sequence as the networks read it; ValueError if there are several."""
    read = estimator._read([sequence] if isinstance(sequence, str) else sequence)
    if len(read) != 1:
        raise ValueError(f"one sequence is needed, got {len(read)}; pass them one at a time")
    return read


def _check_region(region: tuple[int, int] | None, length: int) -> tuple[int, int]:
    if region is None:
        return 0, length
    try:
        start, end = region
    except (TypeError, ValueError):
        raise TypeError(f"region must be (start, end), 0-based and half-open, found {region!r}") from None
    for name, value in (("start of region", start), ("end of region", end)):
        check_integer(name, value, 0)
    if not start < end <= length:
        raise ValueError(f"region {start} to {end} is not inside the sequence of {length} bases")
    return int(start), int(end)


def _substitutions(codes: CodeArray) -> tuple[Int64Array, Int64Array]:
    """Return places and bases of everything that could stand there instead; of an ambiguous base all four."""
    letters = codes & np.uint8(SOFT_MASKED - 1)
    places, bases = np.nonzero(letters[:, None] != np.arange(4))
    return places, bases


def _substituted(codes: CodeArray, places: Int64Array, bases: Int64Array) -> Sequences:
    """Return the sequence once for each substitution; the soft mask stays as it is."""
    rows = np.tile(codes, (len(places), 1))
    at = np.arange(len(places))
    rows[at, places] = (rows[at, places] & np.uint8(SOFT_MASKED)) | bases.astype(np.uint8)
    offsets = np.arange(len(places) + 1, dtype=np.int64) * len(codes)
    return Sequences(rows.ravel(), offsets, Names.of([""] * len(places)))
