"""The data section of a recipe for DNA: from a card or files to sequences and answers, split in two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.catalog import dataset_card
from titans_seq.data.labelled import load_labelled
from titans_seq.data.sequences import split_by_chromosome, split_by_homology
from titans_seq.data.sequences.labelled import LABEL, LabelledSequences, read_classes, read_labelled
from titans_seq.data.simulated import simulate_motif_grammar
from titans_seq.data.text_tables import DELIMITERS
from titans_seq.recipes._blame import of_the_data
from titans_seq.recipes.dna.schema import ClassifyData, ClassifyRecipe, Data, DNARecipe, Split

if TYPE_CHECKING:
    from titans_seq.data import Sequences

TARGET = "target"
TRAIN, TEST = ["train"], ["test"]


@dataclass(frozen=True, eq=False)
class Part:
    """Sequences and what is to be told of them.

    Attributes
    ----------
    sequences : Sequences
    answers : array (n,)
        Classes as text, or numbers.
    rows : int64 array (n,)
        Places among all that were read, from 0.
    """

    sequences: Sequences
    answers: NDArray[Any]
    rows: Int64Array

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Examples:
    """Sequences of a recipe in two parts.

    Attributes
    ----------
    train, test : Part
    answer : str
        Name of what is told: the column of labels or numbers.
    answer_key : str or None
        Key of the data section that says so; None where there are no columns.
    split : dict
        How it was split, every key filled in.
    unused : int
        Sequences in neither part.
    """

    train: Part
    test: Part
    answer: str
    answer_key: str | None
    split: dict[str, Any]
    unused: int


@of_the_data()
def read_examples(recipe: DNARecipe) -> Examples:
    """Read and split what the data section names.

    Raises
    ------
    FileNotFoundError, ValueError
        Data that can't be read, a label or number that is missing, a split that leaves nothing to train on or to
        test, or a class that is in one part only.
    """
    data = recipe.data
    found = _read(data)
    answer = _answer_column(data)
    split, train, test = _split(data, found, answer)
    for name, rows in (("train", train), ("test", test)):
        if not len(rows):
            raise ValueError(f"data.split leaves no {name} sequences of {len(found)}")
    classes = isinstance(recipe, ClassifyRecipe)
    before, asked = (_part(found, rows, answer, classes) for rows in (train, test))
    if isinstance(recipe, ClassifyRecipe):
        _check_classes(before, asked, recipe.evaluate.positive)
    elif len(asked) < 2:
        raise ValueError("data.split leaves one test sequence; scores of numbers need at least two")
    key = ("label" if isinstance(data, ClassifyData) else "target") if data.name or data.path else None
    return Examples(before, asked, answer, key, split, len(found) - len(train) - len(test))


def _read(data: Data) -> LabelledSequences:
    columns = {"sequence_col": data.sequence, "id_col": data.id}
    if data.name is not None:
        return load_labelled(data.name, sha256=data.sha256, **columns)
    if data.path is not None:
        return read_labelled(data.path, **columns, separator=DELIMITERS.get(data.delimiter or ""))
    if data.simulated is not None:
        made = data.simulated
        return simulate_motif_grammar(made.n, length=made.length, random_state=made.seed)
    assert isinstance(data, ClassifyData) and data.classes is not None
    return read_classes(data.classes, **columns)


def _answer_column(data: Data) -> str:
    card = dataset_card(data.name) if data.name is not None else None
    stated = getattr(data, "label", None) or getattr(data, "target", None)
    return str(stated or (card and card.label) or (LABEL if isinstance(data, ClassifyData) else TARGET))


def _part(found: LabelledSequences, rows: Int64Array, answer: str, classes: bool) -> Part:
    chosen = found.take(rows)
    answers: NDArray[Any] = chosen.labels(answer) if classes else chosen.numbers(answer)
    return Part(chosen.sequences, answers, rows)


def _check_classes(train: Part, test: Part, positive: str | None) -> None:
    known = np.unique(train.answers)
    if len(known) < 2:
        raise ValueError(f"all {len(train)} training sequences are {str(known[0])!r}; a classifier needs two classes")
    unknown = np.setdiff1d(test.answers, known)
    if len(unknown):
        raise ValueError(f"class {str(unknown[0])!r} is among the test sequences only; change data.split")
    if len(np.unique(test.answers)) < 2:
        raise ValueError(f"all {len(test)} test sequences are {str(test.answers[0])!r}; change data.split")
    if positive is not None and (len(known) > 2 or positive not in known):
        classes = ", ".join(map(repr, known.tolist()))
        raise ValueError(f"evaluate.positive: {positive!r} must be one of two classes, there are {classes}")


def _split(data: Data, found: LabelledSequences, answer: str) -> tuple[dict[str, Any], Int64Array, Int64Array]:
    """Return the split with every key filled in, and the places of both parts."""
    split = _with_card(data)
    if split.kind == "column":
        return _by_column(split, found)
    if split.kind == "chromosome":
        return _by_chromosome(split, found)
    size, seed = float(split.test or 0.2), split.seed
    filled: dict[str, Any] = {"by": split.kind, "test": size, "seed": seed}
    if split.kind == "random":
        groups = found.labels(answer) if isinstance(data, ClassifyData) else np.zeros(len(found), dtype=np.int64)
        return filled, *split_at_random(groups, size, seed)
    k, threshold = split.k or 16, split.threshold or 0.2
    parts = split_by_homology(found.sequences, test_size=size, k=k, threshold=threshold, random_state=seed)
    return filled | {"k": k, "threshold": threshold}, *parts


def _with_card(data: Data) -> Split:
    """Return the split, that of the card where the recipe states none."""
    card = dataset_card(data.name) if data.name is not None else None
    if card is None or card.split_column is None or data.split.model_fields_set:
        return data.split
    return Split(by="column", column=card.split_column)


def _by_column(split: Split, found: LabelledSequences) -> tuple[dict[str, Any], Int64Array, Int64Array]:
    train, test = split.train or TRAIN, split.test or TEST
    assert split.column is not None
    values = found.column(split.column)
    for key, names in (("train", train), ("test", test)):
        for name in names:
            if name not in values:
                there = ", ".join(repr(value) for value in np.unique(values)[:8].tolist())
                raise ValueError(f"data.split.{key}: no row of column {split.column!r} is {name!r}; there are {there}")
    filled = {"by": "column", "column": split.column, "train": list(train), "test": list(test)}
    return filled, np.flatnonzero(np.isin(values, train)), np.flatnonzero(np.isin(values, test))


def _by_chromosome(split: Split, found: LabelledSequences) -> tuple[dict[str, Any], Int64Array, Int64Array]:
    chroms = found.column(split.column).tolist() if split.column is not None else _chromosomes_of_ids(found)
    train, test = split_by_chromosome(chroms, split.test)
    filled = {"by": "chromosome", "test": list(split.test)}
    return filled | ({"column": split.column} if split.column is not None else {}), train, test


def _chromosomes_of_ids(found: LabelledSequences) -> list[str]:
    names = []
    for i, name in enumerate(found.sequences.ids):
        chrom, colon, _ = name.partition(":")
        if not colon or not chrom:
            raise ValueError(
                f"{found.place(i)}: the id {name!r} names no chromosome (as in chr8:100-350); give data.split.column"
            )
        names.append(chrom)
    return names


def split_at_random(groups: NDArray[Any], test_size: float, seed: int) -> tuple[Int64Array, Int64Array]:
    """Draw a share of each group for the test.

    Parameters
    ----------
    groups : array (n,)
        Classes; of each, the nearest whole number to its share is drawn, but at least one stays.
    test_size : float
        Over 0 and under 1.
    seed : int

    Returns
    -------
    train, test : int64 arrays
        Places, ascending.
    """
    random = np.random.default_rng(seed)
    tested = np.zeros(len(groups), dtype=np.bool_)
    for group in np.unique(groups):
        rows = random.permutation(np.flatnonzero(groups == group))
        tested[rows[: min(round(test_size * len(rows)), len(rows) - 1)]] = True
    return np.flatnonzero(~tested), np.flatnonzero(tested)
