"""`titans-seq schema | new | cp`: recipes as files to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KINDS = "forecast|classify|regress|recall"


def schema(
    task: Annotated[str | None, typer.Option(metavar=KINDS, help="Of one kind of recipe; default: of all.")] = None,
) -> None:
    """Print the JSON Schema of recipes, from which editors complete."""
    from titans_seq.recipes.json_schema import schema_text

    typer.echo(schema_text(task), nl=False)


def cp(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a shipped recipe, or a YAML file.")],
    destination: Annotated[
        Path | None, typer.Argument(metavar="DEST", help="File or folder; default: <name>.yaml here.")
    ] = None,
) -> None:
    """Copy a shipped recipe to edit it."""
    from titans_seq.recipes.copying import copy_recipe

    written = copy_recipe(recipe, destination)
    typer.echo(f"{written}: edit it, then: titans-seq run {written}")


def new(
    data: Annotated[
        list[Path], typer.Option(metavar="FILE", help="Table of series or of DNA; of FASTA, one for each class.")
    ],
    task: Annotated[str, typer.Option(metavar="forecast|classify|regress", help="What is asked.")] = "forecast",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: <name of the data>.yaml here.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Rows to forecast; default: about one season.")] = None,
) -> None:
    """Look at a file and write a commented recipe that runs on it."""
    from titans_seq.recipes.draft import draft_recipe

    written, text = draft_recipe(task, data, output, horizon)
    typer.echo(text.partition("# yaml-language-server")[0].rstrip())
    typer.echo(f"{written}: look it over, then: titans-seq run {written}")
