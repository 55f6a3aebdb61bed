"""`titans-seq new`: look at a file and write a recipe that runs on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TASKS = ("forecast", "classify", "regress")


def draft_recipe(
    task: str, files: Sequence[Path], output: Path | None = None, horizon: int | None = None
) -> tuple[Path, str]:
    """Write a recipe for files that were never seen before, and the schema beside it.

    Parameters
    ----------
    task : {"forecast", "classify", "regress"}
    files : sequence of Path
        One table; of ``classify`` also a FASTA (FASTQ, GenBank) file for each class.
    output : Path, optional
        Default: <name of the first file>.yaml in the working folder.
    horizon : int, optional
        Rows to forecast; default: about one season.

    Returns
    -------
    Path
        The file written.
    str
        Its text.

    Raises
    ------
    FileNotFoundError, FileExistsError, ValueError
        No such file; one that is there already; data that can't be used: nothing is written.
    """
    from titans_seq.recipes.copying import check_new, write_recipe
    from titans_seq.recipes.load import load_recipe

    if task not in TASKS:
        raise ValueError(f"--task must be one of {', '.join(TASKS)}, found {task!r}")
    if horizon is not None and (task != "forecast" or horizon < 1):
        raise ValueError(f"--horizon is for forecasts, and at least 1; found {horizon} with --task {task}")
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(f"{file}: there is no such file")
    target = output or Path(files[0].name.partition(".")[0] + ".yaml")
    check_new(target)
    text = _draft(task, files, str(target), horizon)
    write_recipe(target, text)
    load_recipe(target)
    return target, text


def _draft(task: str, files: Sequence[Path], target: str, horizon: int | None) -> str:
    if task == "forecast":
        from titans_seq.recipes.draft.series import draft_forecast

        if len(files) > 1:
            raise ValueError(f"--data: a forecast reads one table, found {len(files)} files")
        return draft_forecast(str(files[0]), target, horizon)
    from titans_seq.recipes.draft.dna import draft_dna

    return draft_dna(task, files, target)
