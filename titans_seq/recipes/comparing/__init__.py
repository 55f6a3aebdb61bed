"""`titans-seq compare`: several runs in one table and one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from titans_seq.recipes.comparing.output import check_comparison, write_comparison
from titans_seq.recipes.comparing.runs import Comparison, compare_runs

__all__ = ["Comparison", "check_comparison", "compare", "compare_runs"]


def compare(folders: Sequence[Path], output: Path | None = None, *, overwrite: bool = False) -> Comparison:
    """Put runs of one kind side by side.

    Parameters
    ----------
    folders : sequence of Path
        Of at least two runs.
    output : Path, optional
        Folder that appears complete, or not at all. It holds comparison.csv, comparison.md and comparison.png.
        Default: nothing is written.
    overwrite : bool, default False
        Replace the folder of an earlier comparison.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        A folder that is no run's, runs of different kinds, a folder that may not be replaced.
    """
    if output is not None:
        check_comparison(output, overwrite)
    found = compare_runs(folders)
    if output is not None:
        write_comparison(output, found, overwrite)
    return found
