"""What was said of the test sequences: confusion, curves, calibration, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.recipes.html.markup import Html, count, heading, note, number, paragraph, percent, table, tag
from titans_seq.recipes.html.pictures import picture, titled

if TYPE_CHECKING:
    from titans_seq.recipes.dna.data import Part
    from titans_seq.recipes.dna.score import Answers

_MOST_LISTED = 8
_BINS = 10


def confusion(test: Part, answers: Answers) -> Iterable[Html]:
    """Yield the confusion matrix, and precision and recall of each class."""
    assert answers.classes is not None
    names, said = answers.classes, answers.predicted()
    counts = np.array([[int(((test.answers == a) & (said == b)).sum()) for b in names] for a in names])
    right = int(np.trace(counts))
    yield paragraph(
        f"{right:,} of {count(len(test), 'test sequence')} ({percent(right / len(test))}) have the class named."
    )
    yield _matrix(counts, names)
    yield tag(
        "p", "Rows are the true classes, columns the classes named; shades are shares of the row.", class_="caption"
    )
    yield heading("Class by class")
    yield table(["Class", "Sequences", "Precision", "Recall", "F1"], _by_class(counts, names))


def _matrix(counts: NDArray[np.int64], names: NDArray[Any]) -> Html:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    head = tag("tr", tag("th", "True class"), *(tag("th", name, scope="col") for name in names))
    rows = (
        tag("tr", tag("th", name, scope="row"), *map(_cell, found.tolist(), part.tolist()))
        for name, found, part in zip(names, counts, shares, strict=True)
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows), class_="matrix"), class_="scroll")


def _cell(n: int, share: float) -> Html:
    return tag(
        "td", f"{n:,}", tag("small", percent(share)), class_="dark" if share > 0.55 else None,
        style=f"background: rgba(11, 98, 196, {share:.2f})",
    )  # fmt: skip


def _by_class(counts: NDArray[np.int64], names: NDArray[Any]) -> Iterable[list[Any]]:
    for i, name in enumerate(names):
        hit, true, said = int(counts[i, i]), int(counts[i].sum()), int(counts[:, i].sum())
        precision, recall = (hit / said if said else None), (hit / true if true else None)
        f1 = 2 * hit / (true + said) if true and said else None
        yield [tag("span", name, class_="name"), f"{true:,}", percent(precision), percent(recall), number(f1)]


def curves(test: Part, answers: Answers, positive: int, label: str) -> Iterable[Html]:
    """Yield ROC and precision against recall; of two classes beside the baselines, and with the calibration."""
    from titans_seq.evaluation.class_curves import MOST_CURVES, draw_class_curves
    from titans_seq.evaluation.label_plots import draw_two_classes

    assert answers.classes is not None
    names = answers.classes
    if len(names) == 2:
        at, name = positive, str(names[positive])
        others = {key.replace("_", " "): said[:, at] for key, said in answers.baselines.items() if key != "majority"}
        shown = {label: answers.model[:, at], **others}
        drawn = picture(
            lambda: draw_two_classes(test.answers == names[at], shown, name, None), "curves", "ROC and others"
        )
        yield titled(
            drawn,
            f"Left: the share of {name} that is found, against the share of the others that is taken for it, at every "
            "threshold; the dotted line is guessing. Middle: the share that is right of what is called so, against the "
            "share that is found. Right: the share observed at each predicted probability, with 95 % intervals; on the "
            "dotted line probabilities are what they say.",
        )
        return
    there = [i for i in range(len(names)) if 0 < (test.answers == names[i]).sum() < len(test)]
    common = sorted(there, key=lambda i: -int((test.answers == names[i]).sum()))[:MOST_CURVES]
    drawn = picture(
        lambda: draw_class_curves(test.answers, answers.model, names.tolist(), common), "curves", "ROC and others"
    )
    which = "" if len(common) == len(names) else f"; shown are the {len(common)} commonest"
    yield titled(drawn, f"Each class against the rest{which}.")
    yield table(["Class", "AUROC", "AUPRC", "Share of the class"], _areas(test, answers, there))


def _areas(test: Part, answers: Answers, there: list[int]) -> Iterable[list[Any]]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    assert answers.classes is not None
    for i in there:
        of_class, p = test.answers == answers.classes[i], answers.model[:, i]
        areas = (float(area(of_class, p)) for area in (roc_auc_score, average_precision_score))
        yield [tag("span", answers.classes[i], class_="name"), *map(number, areas), percent(float(of_class.mean()))]


def calibration(test: Part, answers: Answers) -> Iterable[Html]:
    """Yield whether probabilities are what they say."""
    from titans_seq.evaluation.label_plots import draw_reliability

    assert answers.classes is not None
    sure, right = answers.model.max(1), answers.predicted() == test.answers
    gap = float(right.mean() - sure.mean())
    off = "less sure than it could be" if gap > 0 else "surer than it should be"
    side = off if abs(gap) > 0.01 else "as sure as it should be"
    error = expected_calibration_error(sure, right)
    yield paragraph(
        f"On average the model gives the class that it names a probability of {percent(float(sure.mean()))}, and is "
        f"right {percent(float(right.mean()))} of the time: it is {side}. The expected calibration error is "
        f"{number(error)} ({_BINS} bins of as many sequences each; 0 is perfect)."
    )
    drawn = picture(lambda: draw_reliability(right, sure), "reliability", "Reliability diagram")
    yield titled(
        drawn,
        "Each point is a tenth of the test sequences (with 95 % intervals). On the dotted line, of the answers given "
        "with 80 % probability 80 % are right; below it the model is too sure.",
        small=True,
    )


def expected_calibration_error(probability: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the mean distance of probability and share in bins of as many rows each (Naeini et al. 2015)."""
    bins = np.array_split(np.argsort(probability, kind="stable"), min(_BINS, len(probability)))
    gaps = [len(rows) * abs(float(probability[rows].mean() - right[rows].mean())) for rows in bins]
    return sum(gaps) / len(probability)


def mistakes(test: Part, answers: Answers) -> Iterable[Html]:
    """Yield the test sequences that the model was surest of, and wrong about."""
    assert answers.classes is not None
    said, sure = answers.predicted(), answers.model.max(1)
    wrong = np.flatnonzero(said != test.answers)
    yield heading("The surest mistakes")
    if not len(wrong):
        yield paragraph("There is none: every test sequence has the class named.")
        return
    order = wrong[np.argsort(-sure[wrong], kind="stable")][:_MOST_LISTED]
    rows = [_mistake(test, i, said[i], float(sure[i])) for i in order]
    yield table(["Sequence", "True class", "Named", "Bases", "Probability"], rows, text_columns=4)
    yield note("Labels that are wrong turn up here, too: these are the first to be checked.")


def _mistake(test: Part, i: int, said: Any, sure: float) -> list[Any]:
    text = test.sequences[int(i)]
    shown = text if len(text) <= 40 else f"{text[:20]}…{text[-19:]}"
    return [_name_of(test, int(i)), test.answers[i], said, tag("code", shown), percent(sure)]


def _name_of(test: Part, i: int) -> Html:
    """Return a test sequence's name with its place among all that were read."""
    name = tag("span", test.sequences.ids[i], class_="name")
    return tag("span", name, " ", tag("small", f"row {int(test.rows[i]):,}"))


def values(test: Part, answers: Answers, name: str) -> Iterable[Html]:
    """Yield numbers told against numbers measured, and where they are furthest apart."""
    from titans_seq.evaluation.label_plots import draw_values

    truth, told = test.answers.astype(np.float64), answers.model.astype(np.float64)
    drawn = picture(lambda: draw_values(truth, told, name, None), "values", "Predicted against measured")
    yield titled(
        drawn, "Each point is a test sequence. On the dashed line the prediction is what was measured.", small=True
    )
    error = told - truth
    facts: Mapping[str, float] = {
        "Mean error (bias)": float(error.mean()),
        "Mean distance": float(np.abs(error).mean()),
        "Half of the distances are below": float(np.median(np.abs(error))),
        "Nine of ten distances are below": float(np.quantile(np.abs(error), 0.9)),
    }
    yield table(["Errors", name], [[key, number(value)] for key, value in facts.items()])
    yield heading("The largest errors")
    order = np.argsort(-np.abs(error), kind="stable")[:_MOST_LISTED]
    rows = [
        [_name_of(test, int(i)), number(float(truth[i])), number(float(told[i])), number(float(error[i]))]
        for i in order
    ]
    yield table(["Sequence", "Measured", "Predicted", "Difference"], rows)


def number_calibration(test: Part, answers: Answers) -> Iterable[Html]:
    """Yield what was measured, on average, where about as much was predicted."""
    truth, told = test.answers.astype(np.float64), answers.model.astype(np.float64)
    bins = [rows for rows in np.array_split(np.argsort(told, kind="stable"), min(_BINS, len(told))) if len(rows)]
    yield paragraph(
        "Test sequences in the order of their predictions, cut into parts of equal size: where the means agree, a "
        "prediction can be taken at its word."
    )
    rows = [
        [
            f"{i + 1} of {len(bins)}",
            f"{len(rows):,}",
            number(float(told[rows].mean())),
            number(float(truth[rows].mean())),
        ]
        for i, rows in enumerate(bins)
    ]
    yield table(["Part", "Sequences", "Mean predicted", "Mean measured"], rows)
