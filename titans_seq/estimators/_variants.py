"""Effects of variants: the window of a genome with one allele against that with the other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq.data._read import is_frame
from titans_seq.data.sequences import Genome, Sequences, Variant, check_reference, read_vcf
from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences._writing import check_target
from titans_seq.data.sequences.alphabet import CodeArray
from titans_seq.data.sequences.annotating import InfoField, annotate_vcf, info_id, write_vcf
from titans_seq.data.sequences.edits import Edit, edit_of
from titans_seq.data.sequences.vcf import is_variant_table
from titans_seq.estimators._length_warning import warn_of_lengths
from titans_seq.estimators._progress import with_progress
from titans_seq.estimators._sequence_predicting import share_of_places
from titans_seq.estimators._sequence_scores import StrandReader, reported, scores_of, shown_scores
from titans_seq.estimators._sequence_targets import ClassTargets
from titans_seq.estimators._settings import check_choice, check_integer
from titans_seq.estimators._variant_windows import CentredWindows, GivenWindows, Windows

if TYPE_CHECKING:
    from titans_seq.estimators._dna import DNAEstimator

FloatArray = NDArray[np.float64]

KEEPS_PLACES = 0.5
"""Share of an answer beyond which it has to be said that it depends on where things stand in a window."""
_STRANDS = {"forward": "+", "reverse": "-"}
_FIELD = "TITANS_EFFECT"


@dataclass(frozen=True)
class Settings:
    """Arguments of `variant_effect` but for genome and variants."""

    window: int | None
    windows: Any
    on_mismatch: str
    strand: str
    batch_size: int
    write_vcf: str | Path | None


def variant_effect(estimator: DNAEstimator, genome: Any, variants: Any, settings: Settings) -> Any:
    """Return the frame of `DNAClassifier.variant_effect`."""
    _check(estimator, settings)
    reference = genome if isinstance(genome, Genome) else Genome(genome)
    windows = _windows(estimator, reference, settings)
    asked = read_vcf(variants)
    check = check_reference(reference, asked, settings.on_mismatch)
    edits = {i: edit_of(reference, asked[i]) for i in check.kept}
    if settings.windows is not None:
        edits = _in_windows(windows, edits, asked)
    read = _Reading(estimator, windows, _strands(estimator, settings.strand))
    columns = read.effects(len(asked), edits, settings.batch_size, estimator._show_progress())
    if settings.write_vcf is not None:
        fields = _fields(read.reader.targets, columns)
        if isinstance(variants, str | Path) and not is_variant_table(variants):
            annotate_vcf(variants, settings.write_vcf, fields)
        else:
            write_vcf(asked, settings.write_vcf, fields)
    if settings.on_mismatch == "skip":
        reasons, kept = (mismatch.reason for mismatch in check.mismatches), set(check.kept)
        columns["mismatch"] = ["" if i in kept else next(reasons) for i in range(len(asked))]
    if settings.windows is not None:
        columns["window"] = [windows.name_of(edits[i]) if i in edits else "" for i in range(len(asked))]
    return _frame(variants, asked, columns)


def _check(estimator: DNAEstimator, settings: Settings) -> None:
    """Refuse what can't be used before there is work in it."""
    check_choice("strand", settings.strand, ("auto", "both", "+", "-"))
    check_choice("on_mismatch", settings.on_mismatch, ("raise", "skip"))
    check_integer("batch_size", settings.batch_size, 1)
    if settings.write_vcf is not None:
        check_target(settings.write_vcf)
    if settings.windows is None:
        window_length(estimator, settings.window)
    elif settings.window is not None:
        raise ValueError("window says how long a window about each variant is; give it or windows, not both")


def _windows(estimator: DNAEstimator, genome: Genome, settings: Settings) -> Windows:
    """Return where variants are read; a model that keeps places may need to be told."""
    if settings.windows is not None:
        given = GivenWindows(genome, settings.windows)
        warn_of_lengths(estimator._members, given.lengths, subject="some of the windows", stacklevel=5)
        return given
    length = window_length(estimator, settings.window)
    warn_of_lengths(estimator._members, np.array([length]), subject=f"windows of {length:,} bases", stacklevel=5)
    share = share_of_places(estimator._members, length)
    if share > KEEPS_PLACES:
        warnings.warn(
            f"what this model answers depends on where things stand in a window ({share:.0%} of it), and a variant is "
            "read in the middle of its window: that is right for what stood in the middle in training; for sequences "
            "that were cut about something else, such as a start site or a junction, give windows=, a BED file of them",
            UserWarning, stacklevel=4,
        )  # fmt: skip
    return CentredWindows(genome, length)


def _in_windows(windows: Windows, edits: dict[int, Edit], asked: Sequence[Variant]) -> dict[int, Edit]:
    """Return the edits that a window holds; say how many others there are."""
    held = {i: edit for i, edit in edits.items() if windows.name_of(edit)}
    outside = [asked[i] for i in edits if i not in held]
    if outside:
        warnings.warn(
            f"{len(outside):,} of {len(edits):,} variants are in none of the windows, and their rows are empty; the "
            f"first is {outside[0]}",
            UserWarning, stacklevel=4,
        )  # fmt: skip
    return held


def window_length(estimator: DNAEstimator, window: int | None) -> int:
    """Return the bases of a window: those asked for, or as many as the sequences of `fit` had."""
    if window is not None:
        check_integer("window", window, 1)
        return int(window)
    if estimator.median_length_ is None:
        raise ValueError("window is needed: this model was saved before the length of its sequences was kept")
    return estimator.median_length_


def _strands(estimator: DNAEstimator, strand: str) -> tuple[str, ...]:
    if strand == "auto":
        strand = "both" if estimator.both_strands_ else "+"
    return ("+", "-") if strand == "both" else (strand,)


class _Reading:
    """Windows of variants, and what the networks say of them on each strand."""

    def __init__(self, estimator: DNAEstimator, windows: Windows, strands: tuple[str, ...]) -> None:
        self.estimator, self.windows, self.strands = estimator, windows, strands
        self.reader = StrandReader(estimator)

    def effects(self, n: int, edits: dict[int, Edit], batch_size: int, shown: bool) -> dict[str, Any]:
        """Return columns of n variants, NaN for those without an edit."""
        outputs = reported(self.reader.targets)
        names = [f"{kind}{ending}" for kind in self._kinds() for ending in outputs]
        if len(set(names)) < len(names):
            raise ValueError(f"columns of several classes would have one name ({', '.join(outputs)}); rename classes")
        found, kept = np.full((n, len(self._kinds()), len(outputs)), np.nan), list(edits)
        pieces = (np.asarray(kept[at : at + batch_size]) for at in range(0, len(kept), batch_size))
        for rows in with_progress(pieces, len(kept), "variants", shown):
            found[rows] = self._effects([edits[i] for i in rows])[..., list(outputs.values())]
        return dict(zip(names, found.reshape(n, -1).T, strict=True))

    def _kinds(self) -> list[str]:
        """Names of the columns, but for their endings."""
        return ["score_ref", "score_alt", "effect"] + (
            [f"effect_{name}" for name in _STRANDS] if len(self.strands) == 2 else []
        )

    def _effects(self, edits: list[Edit]) -> FloatArray:
        """Return score_ref, score_alt, effect, and the effect of each strand, (n, kinds, n_outputs)."""
        pairs = [pair for edit in edits if (pair := self.windows.of(edit)) is not None]
        # Each window once: variants share references, and all ways to write one have one pair of windows.
        windows = [pair[i] for i in (0, 1) for pair in pairs]
        alleles = {codes.tobytes(): codes for codes in windows}
        number = {key: i for i, key in enumerate(alleles)}
        place = np.array([number[codes.tobytes()] for codes in windows])
        said = np.stack([self._answers(_sequences(list(alleles.values()), self.estimator), s) for s in self.strands])
        answers = [said.mean(0), *said] if len(self.strands) == 2 else [said[0]]
        targets, n = self.reader.targets, len(edits)
        shown = shown_scores(targets, answers[0])[place]
        scores = [scores_of(targets, torch.from_numpy(part)).numpy()[place] for part in answers]
        return np.stack([shown[:n], shown[n:], *(part[n:] - part[:n] for part in scores)], axis=1)

    def _answers(self, windows: Sequences, strand: str) -> FloatArray:
        turned = windows.reverse_complement() if strand == "-" else windows
        return self.reader.answers(turned, both_strands=False)


def _sequences(codes: list[CodeArray], estimator: DNAEstimator) -> Sequences:
    offsets = offsets_of(np.array([len(window) for window in codes], dtype=np.int64))
    return estimator._read(Sequences(np.concatenate(codes), offsets, Names.of([""] * len(codes))))


def _fields(targets: Any, columns: dict[str, Any]) -> list[InfoField]:
    """Return INFO fields of the effects, one or one for each class or target."""
    endings = list(reported(targets))
    ids = [_FIELD + (info_id(ending) if len(endings) > 1 else "") for ending in endings]
    if len(set(ids)) < len(ids):
        ids = [f"{_FIELD}_{k}" for k in range(len(ids))]
    of = (
        "log odds of {}"
        if isinstance(targets, ClassTargets)
        else "target {}"
        if len(endings) > 1
        else "predicted value"
    )
    return [
        InfoField(name, f"{of.format(ending[1:])}, alternative minus reference allele", columns[f"effect{ending}"])
        for name, ending in zip(ids, endings, strict=True)
    ]


def _frame(given: Any, variants: Sequence[Variant], columns: dict[str, Any]) -> Any:
    """Return rows by variant in the library of the frame that was given; pandas for anything else."""
    places = {
        "chrom": [variant.chrom for variant in variants],
        "pos": np.array([variant.pos for variant in variants], dtype=np.int64),
        "id": [variant.id for variant in variants],
        "ref": [variant.ref for variant in variants],
        "alt": [variant.alt for variant in variants],
    }
    if is_frame(given) and type(given).__module__.startswith("polars"):
        import polars as pl

        return pl.DataFrame(places | columns, nan_to_null=True)
    import pandas as pd

    return pd.DataFrame(places | columns)
