"""`titans-seq classify`: what a saved model of DNA says of sequences."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.analysis.found import find_model

if TYPE_CHECKING:
    import polars as pl

    from titans_seq.estimators import DNAClassifier, DNARegressor

ESTIMATORS = ("DNAClassifier", "DNARegressor")
ENDINGS = (".csv", ".tsv", ".parquet")
_SHOWN = 20
_MOST_COLUMNS = 8


def classify_sequences(
    model: Path, sequences: Path, *, sequence_col: str | None = None, id_col: str | None = None, quiet: bool = False
) -> pl.DataFrame:
    """Let a saved `DNAClassifier` or `DNARegressor` answer for a file of sequences.

    Parameters
    ----------
    model : Path
        Folder of a run or of a saved model.
    sequences : Path
        What `titans_seq.data.read_sequences` reads: FASTA, FASTQ, GenBank, ``.csv`` or ``.tsv``, each also gzipped.
    sequence_col, id_col : str, optional
        Columns of a table; default those of the model, else as in `read_sequences`.
    quiet : bool, default False
        Do not say how long it takes.

    Returns
    -------
    polars.DataFrame
        id, predicted, and of classes p_<class> for each; one row for each sequence, in the order of the file. Several
        labels at once are 0 or 1 in columns label_<i>, targets are numbers in target_<i>.

    Raises
    ------
    FileNotFoundError
        There is no model, or no file.
    ValueError, TypeError
        A model of another kind, or sequences that can't be read.
    """
    estimator = load_dna_model(model, "classify").set_params(verbose=int(not quiet))
    from titans_seq.data import read_sequences

    found = read_sequences(
        sequences,
        sequence_col=sequence_col or estimator.sequence_col,
        id_col=id_col or estimator.id_col,
        soft_mask=estimator.soft_mask,
    )
    import polars as pl

    return pl.DataFrame({"id": list(found.ids), **_answers(estimator, found)})


def load_dna_model(folder: Path, command: str) -> DNAClassifier | DNARegressor:
    """Load the `DNAClassifier` or `DNARegressor` of a run's or a model's folder, for a command of that name.

    Raises
    ------
    FileNotFoundError
        There is no model.
    ValueError
        It is of another kind, or damaged.
    """
    found = find_model(folder)
    try:
        description = json.loads((found.folder / "model.json").read_text(encoding="utf-8"))
        name = description.get("estimator", "model of another kind")
    except (ValueError, AttributeError):
        raise ValueError(f"{found.folder / 'model.json'} is damaged; save the model again") from None
    if name not in ESTIMATORS:
        raise ValueError(f"{found.own} holds a {name}; {command} needs a {' or '.join(ESTIMATORS)}")
    from titans_seq import estimators

    return getattr(estimators, name).load(found.folder)


def _answers(estimator: DNAClassifier | DNARegressor, sequences: Any) -> dict[str, Any]:
    from titans_seq.estimators import DNAClassifier

    if not isinstance(estimator, DNAClassifier):
        numbers = estimator.predict(sequences)
        return {"predicted": numbers} if numbers.ndim == 1 else _columns("target_{}", numbers)
    p = estimator.predict_proba(sequences)
    shares = {f"p_{name}": p[:, i] for i, name in enumerate(estimator.classes_)}
    if estimator._targets.many:
        return _columns("label_{}", (p > 0.5).astype(int)) | shares
    return {"predicted": estimator.classes_[p.argmax(1)], **shares}


def _columns(name: str, values: Any) -> dict[str, Any]:
    return {name.format(i): values[:, i] for i in range(values.shape[1])}


def write_answers(answers: pl.DataFrame, path: Path, *, overwrite: bool = False) -> None:
    """Write answers as .csv, .tsv or .parquet: the file appears whole, or not at all.

    Raises
    ------
    ValueError
        Another ending, or a folder that cannot be written.
    FileExistsError
        The file exists and may not be replaced.
    """
    check_output(path, overwrite=overwrite)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:40]}-", suffix=".partial", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        _write(answers, Path(temporary), path.suffix.lower())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse a file that `write_answers` would refuse, before any work."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"{path}: answers are written as {', '.join(ENDINGS)}")
    if path.is_dir() or (path.exists() and not overwrite):
        raise FileExistsError(f"{path} exists; add --overwrite or choose another file")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")


def _write(answers: pl.DataFrame, path: Path, ending: str) -> None:
    if ending == ".parquet":
        answers.write_parquet(path)
    else:
        answers.write_csv(path, separator="\t" if ending == ".tsv" else ",")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def format_answers(answers: pl.DataFrame) -> str:
    """Return the first rows as a table of text."""
    columns = answers.columns[:_MOST_COLUMNS]
    rows = [columns, *([_cell(value) for value in row] for row in answers[:_SHOWN].select(columns).iter_rows())]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    hidden = [f"{len(answers) - _SHOWN:,} more rows"] if len(answers) > _SHOWN else []
    hidden += [f"{len(answers.columns) - _MOST_COLUMNS} more columns"] if len(answers.columns) > _MOST_COLUMNS else []
    return "\n".join([*lines, *([f"... {' and '.join(hidden)}: write all with --output"] if hidden else [])])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
