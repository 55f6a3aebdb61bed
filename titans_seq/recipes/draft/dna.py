"""A recipe for labelled DNA that was never seen before: a table, or a file for each class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from titans_seq.recipes.dna.schema import DNA_RECIPES
from titans_seq.recipes.draft.text import Key, recipe_text

if TYPE_CHECKING:
    import pandas as pd

    from titans_seq.recipes.dna.data import Examples

_TABLES = (".csv", ".tsv")
_LETTERS = re.compile(r"[ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-]{4,}")
_LABEL = re.compile(r"^(label|class|target|y|category|type|group|is_.*|.*_label|.*_class)s?$", re.IGNORECASE)
_NUMBER = re.compile(r"^(target|y|value|score|expression|activity|label|signal|.*_score|log.*)s?$", re.IGNORECASE)
_ID = re.compile(r"^(id|name|seq_?id|accession|.*_id)$", re.IGNORECASE)
_SPLIT = re.compile(r"^(split|set|partition|fold|subset|phase)$", re.IGNORECASE)
_TRAIN, _TEST = ("train", "training"), ("test", "testing", "held_out")
_POSITIVE = ("1", "true", "yes", "positive", "pos")


def draft_dna(task: str, files: Sequence[Path], recipe_name: str) -> str:
    """Return the text of a recipe that runs on labelled sequences as they are.

    Parameters
    ----------
    task : {"classify", "regress"}
    files : sequence of Path
        One table (.csv or .tsv, also gzipped); of ``classify`` also a file of sequences for each class.
    recipe_name : str
        File of the recipe, for the command in its header.

    Raises
    ------
    ValueError
        No column of sequences or labels, one file of sequences alone, sequences that can't be read.
    """
    table = _ending(files[0]) in _TABLES
    if table and len(files) > 1:
        raise ValueError(f"--data: one table, or a file of sequences for each class, found {len(files)} files")
    data, notes = _table_data(task, files[0]) if table else _class_data(task, files)
    examples, data, more = _try_out(task, data)
    name = files[0].name if table else " and ".join(data["classes"])
    return _text(task, name, data, examples, [*notes, *more], recipe_name)


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _class_data(task: str, files: Sequence[Path]) -> tuple[dict[str, Any], list[str]]:
    if task != "classify":
        raise ValueError(f"{files[0]}: numbers of sequences stand in a table (.csv or .tsv), beside the sequences")
    if len(files) < 2:
        raise ValueError(
            f"{files[0]} holds sequences without classes; name a file for each class (--data a.fa --data b.fa), or a "
            ".csv or .tsv with a column of labels"
        )
    names = [path.name.removesuffix(".gz").rpartition(".")[0] for path in files]
    if len(set(names)) < len(names):
        raise ValueError("--data: two files have one name, which would be that of their class; rename one")
    return {"classes": dict(zip(names, map(str, files), strict=True))}, []


def _table_data(task: str, path: Path) -> tuple[dict[str, Any], list[str]]:
    from titans_seq.recipes.draft.form import sniff_table

    form, cells = sniff_table(path)
    usual = "tab" if _ending(path) == ".tsv" else ","
    sequence = _sequence_column(cells, path)
    rest = [str(name) for name in cells.columns if name != sequence]
    split, notes = _split_column(cells, rest)
    rest = [name for name in rest if name != split.get("column")]
    answer, others = _answer_column(task, cells, rest, path)
    named = [name for name in rest if _ID.search(name) and cells[name].is_unique and (cells[name] != "").all()]
    data: dict[str, Any] = {"path": str(path), "delimiter": None if form.delimiter == usual else form.delimiter}
    data |= {"sequence": sequence, "id": named[0] if named else None}
    data["label" if task == "classify" else "target"] = answer
    data["split"] = split or {"by": "homology", "test": 0.2, "seed": 0}
    if others:
        notes.append(f"could also be what is asked: {', '.join(others)}")
    return data, notes


def _sequence_column(cells: pd.DataFrame, path: Path) -> str:
    found = []
    for name in cells.columns:
        texts = cells[name].str.strip()
        if texts.str.fullmatch(_LETTERS).mean() > 0.95:
            found.append((float(texts.str.len().median()), str(name)))
    if not found:
        raise ValueError(f"{path}: no column of DNA sequences was found among {', '.join(map(str, cells.columns[:8]))}")
    return max(found)[1]


def _split_column(cells: pd.DataFrame, names: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return a split by a column that says which rows are the test, or nothing."""
    for name in names:
        values = [value for value in cells[name].str.strip().unique() if value]
        train = [value for value in values if value.lower() in _TRAIN]
        test = [value for value in values if value.lower() in _TEST]
        if train and test and len(values) <= 5:
            unused = [value for value in values if value not in (*train, *test)]
            notes = [f"rows whose {name} is {', '.join(unused)} are not used"] if unused else []
            return {"column": name, "train": train, "test": test}, notes
    return {}, []


def _answer_column(task: str, cells: pd.DataFrame, names: list[str], path: Path) -> tuple[str, list[str]]:
    """Return the column of labels or numbers, and others that could be it."""
    import pandas as pd

    hint, found = (_LABEL if task == "classify" else _NUMBER), []
    for place, name in enumerate(names):
        texts = cells[name].str.strip()
        if task == "classify":
            n, plausible = texts.nunique(), not (texts == "").any()
            plausible = plausible and 2 <= n <= max(20, len(texts) // 50) and texts.value_counts().min() > 1
        else:
            n, plausible = 0, bool(pd.to_numeric(texts, errors="coerce").notna().all() and texts.nunique() > 2)
        if plausible and not (_SPLIT.search(name) and len(names) > 1):
            found.append(((not hint.search(name), n, place), name))
    if not found:
        what = "labels (a few names, none missing)" if task == "classify" else "numbers (none missing)"
        listed = f"{', '.join(names[:8]) or 'no other columns'}{_nearest_answer(task, cells, names)}"
        raise ValueError(f"{path}: no column of {what} was found among {listed}")
    ordered = [name for _, name in sorted(found)]
    return ordered[0], [name for name in ordered[1:] if hint.search(name) or task == "regress"][:5]


def _nearest_answer(task: str, cells: pd.DataFrame, names: list[str]) -> str:
    """Name the first cell that keeps a column from being the answer, of a column where few do."""
    import pandas as pd

    for name in names:
        texts = cells[name].str.strip()
        if task == "classify":
            wrong, some = texts == "", texts[texts != ""]
            likely = 2 <= some.nunique() <= max(20, len(texts) // 50) and some.value_counts().min() > 1
        else:
            wrong = pd.to_numeric(texts, errors="coerce").isna()
            likely = pd.to_numeric(texts.str.replace(",", ".", regex=False), errors="coerce").notna().mean() > 0.5
        if likely and wrong.any() and not _ID.search(name):
            row = int(wrong.to_numpy().argmax())
            do = "write decimals with a point" if "," in texts.iloc[row] else "complete or remove it"
            return f"; in {name!r} row {row} is {texts.iloc[row]!r}: {do}"
    return ""


def _try_out(task: str, data: dict[str, Any]) -> tuple[Examples, dict[str, Any], list[str]]:
    """Read and split; where homologues leave a class out of one part, split by chance."""
    from titans_seq.recipes.dna.data import read_examples

    data = {key: value for key, value in data.items() if value is not None}
    data.setdefault("split", {"by": "homology", "test": 0.2, "seed": 0})
    try:
        return read_examples(_recipe(task, data)), data, []
    except ValueError as error:
        if "data.split" not in str(error) or data["split"].get("by") != "homology":
            raise
        words = " ".join(str(error).split())
    data["split"] = data["split"] | {"by": "random"}
    note = f"split by chance, near copies may stand on both sides: by homology {words.partition(';')[0]}"
    return read_examples(_recipe(task, data)), data, [note]


def _recipe(task: str, data: dict[str, Any]) -> Any:
    try:
        return DNA_RECIPES[task].model_validate({"schema": 1, "task": {"kind": task}, "data": data})
    except ValidationError as error:
        raise ValueError("; ".join(fault["msg"] for fault in error.errors(include_url=False))) from None


def _text(task: str, name: str, data: dict[str, Any], examples: Examples, notes: list[str], recipe_name: str) -> str:
    what = "classes" if task == "classify" else "numbers"
    header = [
        ("What", _what(task, examples)),
        ("Command", f"titans-seq run {recipe_name}"),
        *(("Note", note) for note in notes),
    ]
    comments = {
        "path": "from the folder in which titans-seq is started",
        "label": "column with the classes",
        "target": "column with the numbers",
        "classes": "a file for each class",
        "split": _split_comment(data["split"]),
    }
    keys: list[Key] = [(key, value, comments.get(key, "")) for key, value in data.items()]
    sections: dict[str, list[Key]] = {
        "task": [("kind", task, "")],
        "data": keys,
        "train": [("max_minutes", 5, "at most; more may help"), ("random_state", 0, "")],
    }
    positive = _positive(examples) if task == "classify" else None
    if positive is not None:
        sections["evaluate"] = [("positive", positive, "the class that precision and recall are about")]
    sections["output"] = [("dir", f"runs/{Path(recipe_name).stem}", "")]
    return recipe_text(
        f"{name}, {what} of its sequences: drafted by titans-seq new from what is in the file", header, sections
    )


def _split_comment(split: dict[str, Any]) -> str:
    if split.get("by") == "homology":
        return "no test sequence is a near copy of one that is trained on"
    return "as the file says" if "column" in split else ""


def _what(task: str, examples: Examples) -> str:
    import numpy as np

    train, test = examples.train, examples.test
    lengths = np.concatenate([train.sequences.lengths, test.sequences.lengths])
    low, high = int(lengths.min()), int(lengths.max())
    bases = f"{low:,} bases" if low == high else f"{low:,} to {high:,} bases"
    answers = np.concatenate([train.answers, test.answers])
    if task == "classify":
        names, counts = np.unique(answers, return_counts=True)
        told = ", ".join(f"{name} {count:,}" for name, count in zip(names[:8].tolist(), counts, strict=False))
    else:
        told = f"{examples.answer} from {answers.min():g} to {answers.max():g}"
    return f"{len(answers):,} sequences of {bases}, {len(train):,} to train and {len(test):,} to test; {told}"


def _positive(examples: Examples) -> str | None:
    import numpy as np

    names = np.unique(examples.train.answers).tolist()
    marked = [name for name in names if name.lower() in _POSITIVE]
    return marked[0] if len(names) == 2 and len(marked) == 1 else None
