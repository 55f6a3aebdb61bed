"""What sequences look like: lengths, classes, unknown bases, and what of the test set has been in training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.data.sequences.alphabet import SOFT_MASKED, UNKNOWN
from titans_seq.recipes.html.markup import Html, count, facts, heading, note, number, paragraph, percent, table, tag
from titans_seq.recipes.html.pictures import picture, titled

if TYPE_CHECKING:
    from titans_seq.data import Sequences
    from titans_seq.recipes.dna.data import Examples, Part

_RARE = 0.1
"""Classes with a smaller share than this are pointed out."""


def profile(
    examples: Examples, metrics: Mapping[str, Any], source: Iterable[tuple[str, Any]], has_classes: bool
) -> Iterable[Html]:
    """Yield what the sequences look like."""
    if metrics["simulated"]:
        yield note("These sequences are simulated: what is told here says nothing of real DNA.")
    yield facts(
        [*source, ("Split", _split(examples.split)), ("Not used", f"{examples.unused:,}" if examples.unused else None)]
    )
    parts = {"Training": examples.train, "Test": examples.test}
    yield table(["", *parts], _part_rows(parts))
    lengths = {name: part.sequences.lengths for name, part in parts.items()}
    if len(np.unique(np.concatenate(list(lengths.values())))) > 1:
        yield titled(_lengths(lengths), "Lengths of the sequences of both parts.")
    yield from _classes(examples) if has_classes else _numbers(parts)
    yield heading("Leaks from training into test")
    yield from leaks(metrics["leaks"])


def _split(split: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {', '.join(value) if isinstance(value, list) else value}" for key, value in split.items())


def _lengths(lengths: Mapping[str, Any]) -> Html:
    from titans_seq.evaluation.data_plots import draw_lengths

    return picture(lambda: draw_lengths(lengths, "Bases"), "lengths", "Lengths of the sequences")


def _part_rows(parts: Mapping[str, Part]) -> Iterable[list[str]]:
    columns = [_facts_of(part.sequences) for part in parts.values()]
    for name in columns[0]:
        yield [name, *(column[name] for column in columns)]


def _facts_of(sequences: Sequences) -> dict[str, str]:
    codes, lengths = sequences.codes, sequences.lengths
    by_letter = np.bincount(codes & np.uint8(SOFT_MASKED - 1), minlength=SOFT_MASKED)
    total = max(int(by_letter.sum()), 1)
    known = max(int(by_letter[:4].sum()), 1)
    span = f"{int(lengths.min()):,}" if lengths.min() == lengths.max() else f"{lengths.min():,} to {lengths.max():,}"
    return {
        "Sequences": f"{len(sequences):,}",
        "Bases in all": f"{int(lengths.sum()):,}",
        "Length": span,
        "Median length": f"{np.median(lengths):,.0f}",
        "G or C": percent(float(by_letter[1:3].sum()) / known),
        "N": _share(int(by_letter[UNKNOWN]), total),
        "Other IUPAC codes": _share(int(by_letter[UNKNOWN + 1 :].sum()), total),
        "Soft-masked (lower case)": _share(int((codes >= SOFT_MASKED).sum()), total),
    }


def _share(n: int, total: int) -> str:
    return f"{n:,}" + (f" ({percent(n / total, 2)})" if n else "")


def _classes(examples: Examples) -> Iterable[Html]:
    names = np.unique(examples.train.answers)
    counts = {name: [int((part.answers == name).sum()) for part in (examples.train, examples.test)] for name in names}
    totals = [max(sum(found[k] for found in counts.values()), 1) for k in (0, 1)]
    rows = [
        [
            tag("span", name, class_="name"),
            *(cell for n, of in zip(found, totals, strict=True) for cell in (f"{n:,}", percent(n / of))),
        ]
        for name, found in counts.items()
    ]
    yield heading("Classes")
    yield table(["Class", "Training", "Share", "Test", "Share"], rows)
    rare = [str(name) for name, found in counts.items() if found[0] / totals[0] < _RARE]
    if rare and len(counts) <= 1 / _RARE:
        few = f"Rare, with less than {percent(_RARE, 0)} of training: {', '.join(rare)}. "
        yield note(few, "Accuracy says little here; look at MCC, at precision and recall, and at the confusion matrix.")
    missing = [str(name) for name, found in counts.items() if not found[1]]
    if missing:
        yield note(f"No test sequence is of class {', '.join(missing)}: nothing is known of how well it is told.")


def _numbers(parts: Mapping[str, Part]) -> Iterable[Html]:
    yield heading("The numbers to tell")
    names = ("Lowest", "Median", "Highest", "Mean", "Standard deviation")
    measures: Any = (np.min, np.median, np.max, np.mean, np.std)
    rows = [
        [name, *(number(float(f(part.answers.astype(np.float64)))) for part in parts.values())]
        for name, f in zip(names, measures, strict=True)
    ]
    yield table(["", *parts], rows)


def leaks(found: Mapping[str, Any]) -> Iterable[Html]:
    """Yield what of the test set has been in training."""
    total = found["n_test"]
    share = found["n_leaks"] / max(total, 1)
    if found["n_leaks"]:
        yield note(
            f"{count(found['n_leaks'], 'test sequence')} ({percent(share)}) are like one of the training sequences: "
            "the scores are better than they would be on new ones."
        )
    else:
        yield paragraph(
            f"None of the {total:,} test sequences is like one of the {found['n_train']:,} training sequences."
        )
    near = f"near copies (share {percent(found['threshold'], 0)} or more of their {found['k']}-mers with one)"
    covered = f"covered: as many {found['k']}-mers anywhere in training"
    names = {"exact": "exact copies", "reverse_complement": "reverse complements", "near": near, "covered": covered}
    rows = [[name, f"{found[key]:,}", percent(found[key] / max(total, 1))] for key, name in names.items()]
    yield table(["Test sequences that are", "Number", "Share"], rows)
    yield tag("details", tag("summary", "The leak report as printed"), tag("pre", "\n".join(found["report"])))
