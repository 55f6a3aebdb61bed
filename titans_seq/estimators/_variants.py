"""Effects of variants: the window of a genome with one allele against that with the other."""

from __future__ import annotations

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
from titans_seq.data.sequences._writing import check_target
from titans_seq.data.sequences.annotating import InfoField, annotate_vcf, info_id, write_vcf
from titans_seq.data.sequences.edits import edit_of, windows_of
from titans_seq.data.sequences.vcf import is_variant_table
from titans_seq.estimators._progress import with_progress
from titans_seq.estimators._sequence_scores import StrandReader, reported, scores_of, shown_scores
from titans_seq.estimators._sequence_targets import ClassTargets
from titans_seq.estimators._settings import check_choice, check_integer

if TYPE_CHECKING:
    from titans_seq.estimators._dna import DNAEstimator

FloatArray = NDArray[np.float64]

_STRANDS = {"forward": "+", "reverse": "-"}
_FIELD = "TITANS_EFFECT"


@dataclass(frozen=True)
class Settings:
    """Arguments of `variant_effect` but for genome and variants."""

    window: int | None
    on_mismatch: str
    strand: str
    batch_size: int
    write_vcf: str | Path | None


def variant_effect(estimator: DNAEstimator, genome: Any, variants: Any, settings: Settings) -> Any:
    """Return the frame of `DNAClassifier.variant_effect`."""
    window = _check(estimator, settings)
    reference = genome if isinstance(genome, Genome) else Genome(genome)
    asked = read_vcf(variants)
    check = check_reference(reference, asked, settings.on_mismatch)
    read = _Reading(estimator, reference, window, _strands(estimator, settings.strand))
    columns = read.effects(asked, check.kept, settings.batch_size, estimator._show_progress())
    if settings.write_vcf is not None:
        fields = _fields(read.reader.targets, columns)
        if isinstance(variants, str | Path) and not is_variant_table(variants):
            annotate_vcf(variants, settings.write_vcf, fields)
        else:
            write_vcf(asked, settings.write_vcf, fields)
    if settings.on_mismatch == "skip":
        reasons, kept = (mismatch.reason for mismatch in check.mismatches), set(check.kept)
        columns["mismatch"] = ["" if i in kept else next(reasons) for i in range(len(asked))]
    return _frame(variants, asked, columns)


def _check(estimator: DNAEstimator, settings: Settings) -> int:
    """Return the length of the windows; refuse what can't be used before there is work in it."""
    check_choice("strand", settings.strand, ("auto", "both", "+", "-"))
    check_choice("on_mismatch", settings.on_mismatch, ("raise", "skip"))
    check_integer("batch_size", settings.batch_size, 1)
    if settings.write_vcf is not None:
        check_target(settings.write_vcf)
    return window_length(estimator, settings.window)


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

    def __init__(self, estimator: DNAEstimator, genome: Genome, window: int, strands: tuple[str, ...]) -> None:
        self.estimator, self.genome, self.window, self.strands = estimator, genome, window, strands
        self.reader = StrandReader(estimator)

    def effects(self, variants: Sequence[Variant], kept: Sequence[int], batch_size: int, shown: bool) -> dict[str, Any]:
        """Return columns of every variant, NaN for those that are not kept."""
        outputs = reported(self.reader.targets)
        names = [f"{kind}{ending}" for kind in self._kinds() for ending in outputs]
        if len(set(names)) < len(names):
            raise ValueError(f"columns of several classes would have one name ({', '.join(outputs)}); rename classes")
        found = np.full((len(variants), len(self._kinds()), len(outputs)), np.nan)
        pieces = (np.asarray(kept[at : at + batch_size]) for at in range(0, len(kept), batch_size))
        for rows in with_progress(pieces, len(kept), "variants", shown):
            found[rows] = self._effects([variants[i] for i in rows])[..., list(outputs.values())]
        return dict(zip(names, found.reshape(len(variants), -1).T, strict=True))

    def _kinds(self) -> list[str]:
        """Names of the columns, but for their endings."""
        return ["score_ref", "score_alt", "effect"] + (
            [f"effect_{name}" for name in _STRANDS] if len(self.strands) == 2 else []
        )

    def _effects(self, variants: list[Variant]) -> FloatArray:
        """Return score_ref, score_alt, effect, and the effect of each strand, (n, kinds, n_outputs)."""
        ref, alt = zip(*(windows_of(self.genome, edit_of(self.genome, v), self.window) for v in variants), strict=True)
        # Each window once: variants share references, and all ways to write one have one pair of windows.
        alleles, place = np.unique(np.stack([*ref, *alt]), axis=0, return_inverse=True)
        said = np.stack([self._answers(self._windows(alleles), strand) for strand in self.strands])
        answers = [said.mean(0), *said] if len(self.strands) == 2 else [said[0]]
        targets, n = self.reader.targets, len(variants)
        shown = shown_scores(targets, answers[0])[place]
        scores = [scores_of(targets, torch.from_numpy(part)).numpy()[place] for part in answers]
        return np.stack([shown[:n], shown[n:], *(part[n:] - part[:n] for part in scores)], axis=1)

    def _windows(self, codes: NDArray[np.uint8]) -> Sequences:
        offsets = np.arange(len(codes) + 1, dtype=np.int64) * self.window
        nameless = Names.of([""] * len(codes))
        return self.estimator._read(Sequences(codes.ravel(), offsets, nameless))

    def _answers(self, windows: Sequences, strand: str) -> FloatArray:
        turned = windows.reverse_complement() if strand == "-" else windows
        return self.reader.answers(turned, both_strands=False)


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
