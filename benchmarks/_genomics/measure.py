"""What the cells do."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.data import Sequences, leak_report, read_labelled
from titans_seq.evaluation.label_scores import class_scores, value_scores

from .baselines import answers_of
from .cells import Cell
from .cnn import ConvolutionalNetwork
from .needle import measure as needle  # noqa: F401  (called by its name)
from .sets import SETS, path_of

Result = dict[str, Any]
QUICK_ROWS = 45


class Part(NamedTuple):
    """Sequences and what is to be told of them: classes as text, or numbers."""

    sequences: Sequences
    answers: NDArray[Any]


def load(name: str, quick: bool) -> tuple[Part, Part]:
    """Train and test part; all rows of them, or a few of each class if it has to be quick."""
    about, found = SETS[name], read_labelled(path_of(name))
    answers = found.numbers(about.answer) if about.is_regression else found.labels(about.answer)
    parts = []
    for part, expected in (("train", about.train), ("test", about.test)):
        rows = np.flatnonzero(found.column("split") == part)
        assert len(rows) == expected, f"{name} has {len(rows)} {part} rows, expected {expected}"
        rows = _few(rows, answers, about.is_regression) if quick else rows
        parts.append(Part(found.sequences.take(rows), answers[rows]))
    return parts[0], parts[1]


def _few(rows: NDArray[np.int64], answers: NDArray[Any], numbers: bool) -> NDArray[np.int64]:
    if numbers:
        return rows[:QUICK_ROWS]
    return np.sort(np.concatenate([rows[answers[rows] == label][:QUICK_ROWS] for label in np.unique(answers)]))


def leaks(cell: Cell, *, quick: bool) -> Result:
    """Test sequences that are like a train sequence, on either strand."""
    train, test = load(cell.data, quick)
    found = leak_report(train.sequences, test.sequences)
    kinds = {kind: len(getattr(found, kind)) for kind in ("exact", "reverse_complement", "near")}
    return _sizes(train, test) | kinds | {"covered": found.covered, "k": found.k, "threshold": found.threshold}


def baseline(cell: Cell, *, quick: bool) -> Result:
    """Scores of a model without a network, and CPU seconds of fitting it and asking it together."""
    train, test = load(cell.data, quick)
    cpu = time.process_time()
    said = answers_of(cell.model, train.sequences, train.answers, test.sequences, numbers=SETS[cell.data].is_regression)
    cpu = time.process_time() - cpu
    return _sizes(train, test) | {"scores": scores(train, test, said), "fit_and_predict_cpu_seconds": cpu}


def network(cell: Cell, *, quick: bool) -> Result:
    """Scores of a trained network, and what it took."""
    train, test = load(cell.data, quick)
    model = _make(cell, quick)
    cpu = [time.process_time()]
    model.fit(train.sequences, train.answers)
    cpu.append(time.process_time())
    said = model.predict(test.sequences) if SETS[cell.data].is_regression else model.predict_proba(test.sequences)
    cpu.append(time.process_time())
    return _sizes(train, test) | _about(model) | {
        "scores": scores(train, test, said),
        "fit_cpu_seconds": cpu[1] - cpu[0], "predict_cpu_seconds": cpu[2] - cpu[1],
    }  # fmt: skip


def _make(cell: Cell, quick: bool) -> Any:
    regression = SETS[cell.data].is_regression
    if cell.model == "cnn":
        return ConvolutionalNetwork(regression=regression, seed=cell.seed, **({"max_epochs": 1} if quick else {}))
    shorter = {"max_epochs": 1, "n_members": 1} if quick else {}
    kind = DNARegressor if regression else DNAClassifier
    return kind(**cell.arguments | shorter, random_state=cell.seed, device="cpu", verbose=0)


def _about(model: Any) -> Result:
    found = {"n_parameters": model.n_parameters_, "networks": len(model.history_), "history": model.history_}
    if isinstance(model, ConvolutionalNetwork):
        return found | {"pooled": model.pooled_}
    chosen = ("both_strands_", "placed_share_", "kmer_share_", "validation_score_")
    return found | {name.strip("_"): getattr(model, name) for name in chosen} | {"settings": model.get_params()}


def scores(train: Part, test: Part, said: NDArray[np.float64]) -> dict[str, float]:
    """Scores of the answers; every test sequence must have one."""
    assert len(said) == len(test.answers), f"{len(said)} answers for {len(test.answers)} test sequences"
    assert np.isfinite(said).all(), f"{int((~np.isfinite(said)).sum())} answers are not finite"
    if test.answers.dtype.kind == "f":
        return value_scores(test.answers, said)
    return class_scores(test.answers, said, np.unique(train.answers).tolist())


def _sizes(train: Part, test: Part) -> Result:
    return {"n_train": len(train.answers), "n_test": len(test.answers)}
