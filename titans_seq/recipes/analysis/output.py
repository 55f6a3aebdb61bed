"""An analysis' folder: complete, or not there at all."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes._output import write_json
from titans_seq.recipes.analysis.asked import Answer

if TYPE_CHECKING:
    import polars as pl

TABLE, SUMMARY = "analysis.parquet", "summary.json"
_FIGURE = re.compile(r"memory_.+\.png")


def check_free(folder: Path, overwrite: bool) -> None:
    """Refuse to write where something stands already.

    Raises
    ------
    FileExistsError
        The folder exists and may not be replaced; or it is no earlier analysis': that is never replaced.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if not {TABLE, SUMMARY} <= names:
        raise FileExistsError(f"{folder} exists and is not the folder of an earlier analysis; choose another one")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier analysis; add --overwrite or choose another folder")
    for name in sorted(names - {TABLE, SUMMARY}):
        if not _FIGURE.fullmatch(name) or (folder / name).is_dir():
            raise FileExistsError(
                f"{folder} holds {name!r}, which no analysis writes; move it or choose another folder"
            )


def write_analysis(folder: Path, answer: Answer, summary: dict[str, Any], title: str) -> None:
    """Write table, summary and figures."""
    from titans_seq.evaluation.memory_plots import plot_memory

    table = answer.analysis.table
    table.write_parquet(folder / TABLE)
    write_json(folder / SUMMARY, summary)
    for (stream, track), name in zip(answer.tracks.items(), figure_names(answer.tracks), strict=True):
        mine = table.filter(table["stream"] == stream)
        what = answer.facts.get("task") or stream
        plot_memory(folder / name, mine, track=track, marks=answer.marks, title=f"{what}: {title}")


def figure_names(streams: Iterable[str | int]) -> list[str]:
    """Return a file name for each stream, of letters that every file system takes; no two alike."""
    names: list[str] = []
    taken: set[str] = set()
    for stream in streams:
        stem = "memory_" + (re.sub(r"[^A-Za-z0-9.-]+", "_", str(stream))[:80].strip("_.") or "stream")
        name, n = stem, 1
        while name.lower() in taken:
            n += 1
            name = f"{stem}_{n}"
        taken.add(name.lower())
        names.append(f"{name}.png")
    return names


def rows_of(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, numbers that are not finite as None."""
    return [{key: _finite(value) for key, value in row.items()} for row in table.to_dicts()]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
