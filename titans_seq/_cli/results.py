"""`titans-seq predict | compare`: what comes of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a run, a state, or a saved forecaster.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows to read first; those read before are skipped.")
    ] = None,
    future: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Covariates of the rows to forecast, if there are any.")
    ] = None,
    level: Annotated[
        list[float] | None, typer.Option(metavar="PERCENT", help="Prediction interval; may be repeated.")
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Rows to forecast; default: those it was fitted for.")] = None,
    state_in: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on from this state; default: that of MODEL.")
    ] = None,
    state_out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the state after reading.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write .csv, .tsv or .parquet; default: show the first rows.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file and the state.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Read new rows with a saved forecaster, its state carried on, and forecast."""
    from titans_seq.recipes.dna.classify import check_output, format_answers, write_answers
    from titans_seq.recipes.predicting import Request, predict_series

    if output is not None:
        check_output(output, overwrite=overwrite)
    asked = Request(data, future, level or (), horizon, state_in, state_out)
    as_text = output is None or output.suffix.lower() != ".parquet"
    found = predict_series(model, asked, overwrite=overwrite, as_text=as_text, warn=None if quiet else _warn)
    if output is not None:
        write_answers(found.table, output, overwrite=overwrite)
    if quiet:
        return
    typer.echo(format_answers(found.table) if output is None else f"{len(found.table):,} rows written to {output}")
    for note in found.notes:
        typer.echo(note)


def _warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Folders of runs of one kind.")],
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write table (CSV, Markdown) and figure; default: print only.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the folder of an earlier comparison.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Put runs side by side: scores, costs, and what their recipes differ in."""
    from titans_seq.recipes.comparing import compare as compare_folders
    from titans_seq.recipes.comparing.output import format_comparison

    found = compare_folders(runs, output, overwrite=overwrite)
    if not quiet:
        typer.echo(format_comparison(found))
        if output is not None:
            typer.echo(f"written to {output}")
