"""`titans-seq analyze`: find the model, let it read, write what its memories did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_seq._version import __version__
from titans_seq.recipes._output import run_folder
from titans_seq.recipes.analysis.asked import Answer, Question
from titans_seq.recipes.analysis.found import ModelFolder, find_model
from titans_seq.recipes.analysis.output import check_free, rows_of, write_analysis


@dataclass(frozen=True)
class Analysis:
    """A finished analysis: its folder, the content of summary.json, and what the user should know."""

    folder: Path
    summary: dict[str, Any]
    notes: Sequence[str]


def analyze_model(model: Path, question: Question, *, folder: Path | None = None, overwrite: bool = False) -> Analysis:
    """Let a saved model read data and write what its memories did.

    Parameters
    ----------
    model : Path
        Folder of a run or of a saved model.
    question : Question
        What to read and to show.
    folder : Path, optional
        Appears complete, or not at all. It holds analysis.parquet (`MemoryAnalysis.table`), summary.json, and a
        figure for each of the first few streams. Default: beside the model's, named <model>-analysis.
    overwrite : bool, default False
        Replace the folder of an earlier analysis.

    Raises
    ------
    FileExistsError
        The folder exists and may not be replaced.
    ValueError, TypeError, FileNotFoundError
        No model; one without memory; options or data that do not fit it.
    """
    found = find_model(model)
    question.check(found)
    target = folder or found.default_output
    with run_folder(target, overwrite, check_free) as partial:
        answer = _ask(found, question)
        summary = _summary(found, answer)
        title = f"memories of {found.own.name} ({answer.facts['variant']})"
        write_analysis(partial, answer, summary, title)
    return Analysis(target, summary, [*_notes(summary), *answer.notes])


def _ask(found: ModelFolder, question: Question) -> Answer:
    if found.kind == "recall":
        from titans_seq.recipes.analysis.tokens import analyze_recall_model

        return analyze_recall_model(found, question)
    from titans_seq.recipes.analysis.series import analyze_series_model

    return analyze_series_model(found, question)


def _notes(summary: dict[str, Any]) -> list[str]:
    """Say so where the memories had nothing to learn from: then nothing is known of their steps."""
    learned = any(row["closed"] is not None for row in summary["memories"])
    return [] if learned else ["no tokens to learn from, all values are missing: the memories learned nothing here"]


def _summary(found: ModelFolder, answer: Answer) -> dict[str, Any]:
    """Return what is known of all streams together, and of each: a list over layers and heads."""
    by_stream: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(answer.analysis.summary):
        by_stream.setdefault(str(row.pop("stream")), []).append(row)
    head = {"titans_seq": __version__, "model": str(found.own), **answer.facts, "n_streams": len(by_stream)}
    return head | {"memories": rows_of(answer.analysis.overall), "streams": by_stream}
