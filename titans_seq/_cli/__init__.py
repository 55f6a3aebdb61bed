"""Commands of `titans-seq` that have a module of their own; each prints, or raises what `titans_seq.cli` reports."""

from __future__ import annotations

from collections.abc import Callable

from titans_seq._cli.recipe_files import cp, new, schema
from titans_seq._cli.results import compare, predict

COMMANDS: dict[str, Callable[..., None]] = {
    "new": new,
    "cp": cp,
    "schema": schema,
    "predict": predict,
    "compare": compare,
}
"""Function by name of the command."""
