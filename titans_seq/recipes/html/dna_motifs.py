"""Which bases the model looks at: motifs cut from attributions, and one sequence in full."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.recipes.html.markup import Html, count, heading, note, paragraph, table, tag
from titans_seq.recipes.html.pictures import picture, titled

if TYPE_CHECKING:
    from titans_seq.estimators import DNAClassifier, DNARegressor
    from titans_seq.evaluation.motifs import Motif
    from titans_seq.recipes.dna.data import Part
    from titans_seq.recipes.dna.score import Answers

BUDGET, MOST_SEQUENCES, LEAST_SEQUENCES, MOST_BASES = 250_000, 24, 8, 2000
"""Gradients of bases that a report takes, and the sequences of a class that they are spent on."""

MOST_CLASSES, N_STEPS = 4, 4


def motifs(model: DNAClassifier | DNARegressor, test: Part, answers: Answers, name: str) -> Iterable[Html]:
    """Yield the motifs of each class (the four commonest at most), or of the largest predictions.

    Parameters
    ----------
    model : DNAClassifier or DNARegressor
    test : Part
    answers : Answers
        What the model said of the test sequences.
    name : str
        Of the numbers that are told.
    """
    chosen = _targets(test, answers, name)
    most = _affordable(model, test, len(chosen))
    if most < LEAST_SEQUENCES:
        length = int(np.median(test.sequences.lengths))
        yield note(
            f"Sequences of {length:,} bases are too long for attributions within a report; of a single one, ",
            tag("code", "model.integrated_gradients(sequence)"),
            " has them.",
        )
        return
    yield paragraph(
        "Integrated gradients say what each base adds to the score. The stretches where that is largest, in up to "
        f"{most} of the sequences the model was surest about and right, are aligned and piled up: what recurs is a "
        "motif. The taller a letter, the more often it stands there (2 bits: always)."
    )
    found = [_of_target(model, test, rows[:most], target, title) for title, target, rows in chosen]
    for i, (title, parts, one, picked) in enumerate(found):
        yield heading(title)
        yield from _shown(parts, one, i, picked)
    yield note("Attributions describe the model, not the biology: a motif is what it uses, right or wrong.")


def _targets(test: Part, answers: Answers, name: str) -> list[tuple[str, Any, NDArray[np.int64]]]:
    """Return what is asked about: its title, the target, and the rows it is asked of, the surest first."""
    if answers.classes is None:
        return [(f"The largest predictions of {name}", None, np.argsort(-answers.model, kind="stable"))]
    said = answers.predicted()
    found = []
    for i, label in enumerate(answers.classes.tolist()):
        rows = np.flatnonzero((said == label) & (test.answers == label))
        found.append((f"Class {label}", label, rows[np.argsort(-answers.model[rows, i], kind="stable")]))
    return sorted(found, key=lambda one: -len(one[2]))[:MOST_CLASSES]


def _affordable(model: Any, test: Part, n_targets: int) -> int:
    """Return the sequences of each target that the budget allows."""
    length = int(np.median(test.sequences.lengths))
    if length > MOST_BASES:
        return 0
    passes = len(model.history_) * (2 if model.both_strands_ else 1) * N_STEPS * n_targets
    return min(MOST_SEQUENCES, BUDGET // max(passes * length, 1))


def _of_target(model: Any, test: Part, rows: NDArray[np.int64], target: Any, title: str) -> Any:
    from titans_seq.evaluation.motifs import find_motifs

    rows = rows[test.sequences.lengths[rows] <= MOST_BASES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few steps are enough to tell where to look
        found = [
            model.integrated_gradients(test.sequences[int(i)], target=target, n_steps=N_STEPS, tolerance=1.0)
            for i in rows
        ]
    one_hot = [test.sequences.one_hot(int(i)).astype(np.float64) for i in rows]
    parts = find_motifs(one_hot, [one.attributions for one in found], both_strands=bool(model.both_strands_))
    return title, parts, (test.sequences.ids[int(rows[0])], found[0]) if len(rows) else None, len(rows)


def _shown(parts: Sequence[Motif], one: Any, i: int, n: int) -> Iterable[Html]:
    if one is None:
        yield paragraph("No test sequence of this class was told right.")
        return
    if parts:
        yield from _logos(parts, i, n)
    else:
        yield paragraph(f"Nothing recurs among the stretches that matter most in {count(n, 'sequence')}.")
    name, attribution = one
    drawn = picture(lambda: _drawn(attribution), f"bases-{i}", f"Attributions of {name}")
    yield titled(drawn, f"What each base of {name} adds to the score; letters below the line speak against it.")


def _logos(parts: Sequence[Motif], i: int, n: int) -> Iterable[Html]:
    from titans_seq.evaluation.motif_plots import draw_motifs

    titles = [f"{k + 1}: in {part.n_sequences} of {n} sequences" for k, part in enumerate(parts)]
    drawn = picture(lambda: draw_motifs(parts, titles), f"motifs-{i}", "Logos of the motifs")
    yield titled(drawn, "Motifs, the one with the largest attributions first.")
    rows = [
        [str(k + 1), tag("code", part.consensus), f"{part.n_sequences} of {n}", f"{part.attribution:.2f}"]
        for k, part in enumerate(parts)
    ]
    yield table(["Motif", "Consensus", "Sequences", "Mean sum of attributions"], rows, text_columns=2)


def _drawn(attribution: Any) -> Any:
    from titans_seq.evaluation.logo_plots import draw_logo

    return draw_logo(attribution.sequence, attribution.attributions, 0, "Attribution", None)
