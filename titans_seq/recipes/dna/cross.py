"""Faults that lie between keys of a recipe for DNA, or between it and the files it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from titans_seq.data.catalog import dataset_card
from titans_seq.data.sequences.labelled import TABLE_ENDINGS
from titans_seq.recipes._cross import Fault, seed_faults, tune_faults
from titans_seq.recipes.dna.schema import ClassifyData, DNARecipe

# Defaults of DNAClassifier, which cannot be imported here: validating a recipe does not load torch.
D_MODEL, N_HEADS = 32, 2

_ONLY_FOR = {
    "column": ("column", "chromosome"),
    "train": ("column",),
    "k": ("homology",),
    "threshold": ("homology",),
    "seed": ("homology", "random"),
}
"""Keys of a split and the kinds of split that have them."""


def dna_faults(recipe: DNARecipe) -> list[Fault]:
    """Return the path and description of each."""
    searched = tune_faults(recipe.tune, recipe.model)
    return [
        *_files(recipe),
        *_checksum(recipe),
        *_columns(recipe),
        *_split(recipe),
        *_model(recipe),
        *seed_faults(recipe),
        *searched,
    ]


def _files(recipe: DNARecipe) -> Iterator[Fault]:
    data = recipe.data
    if data.path is not None:
        yield from _file(("data", "path"), data.path)
        if Path(data.path.lower().removesuffix(".gz")).suffix not in TABLE_ENDINGS:
            advice = "of FASTA give a file for each class, data.classes: {name: path}"
            yield ("data", "path"), f"{data.path}: labels need a table ({', '.join(TABLE_ENDINGS)}, or .gz); {advice}"
    elif data.delimiter is not None:
        yield ("data", "delimiter"), "is for a table by path; leave it out"
    if isinstance(data, ClassifyData):
        for name, path in (data.classes or {}).items():
            yield from _file(("data", "classes", name), path)


def _file(place: tuple[str, ...], path: str) -> Iterator[Fault]:
    if not Path(path).is_file():
        yield place, f"{path}: there is no such data file"


def _checksum(recipe: DNARecipe) -> Iterator[Fault]:
    data = recipe.data
    if data.sha256 is not None and data.name is None:
        yield ("data", "sha256"), "is for datasets by name; leave it out"
    elif data.sha256 is not None and data.name is not None and dataset_card(data.name).sha256 is not None:
        yield ("data", "sha256"), f"the card of {data.name!r} has its own; leave it out"


def _columns(recipe: DNARecipe) -> Iterator[Fault]:
    data = recipe.data
    if data.name is not None or data.path is not None:
        return
    what = "simulated sequences have" if data.simulated is not None else "a file for each class has"
    keys = ("sequence", "id", "label") if data.simulated is not None else ("label",)
    for key in keys:
        if getattr(data, key, None) is not None:
            yield ("data", key), f"{what} no columns to choose; leave it out"


def _split(recipe: DNARecipe) -> Iterator[Fault]:
    data, split = recipe.data, recipe.data.split
    of_card = dataset_card(data.name).split_column if data.name is not None else None
    if of_card is not None and not {"by", "column"} & split.model_fields_set:
        if split.model_fields_set:
            words = f"the card splits {data.name!r} by column {of_card!r}; give column, or by to split it anew"
            yield ("data", "split"), words
        return
    for key, kinds in _ONLY_FOR.items():
        if key in split.model_fields_set and split.kind not in kinds:
            yield ("data", "split", key), f"a split by {split.kind} has no {key}"
    if split.kind == "column" and split.column is None:
        yield ("data", "split", "by"), "a split by column needs data.split.column"
    if split.column is not None and data.name is None and data.path is None:
        yield ("data", "split", "column"), "only tables have columns; split by homology, random or chromosome"
    yield from _test_part(recipe)


def _test_part(recipe: DNARecipe) -> Iterator[Fault]:
    split = recipe.data.split
    names = isinstance(split.test, list)
    if split.kind in ("homology", "random") and names:
        yield ("data", "split", "test"), f"a split by {split.kind} needs a share between 0 and 1, found {split.test}"
    if split.kind in ("column", "chromosome") and split.test is not None and not names:
        yield ("data", "split", "test"), f"a split by {split.kind} needs a list of names, found {split.test}"
    if split.kind == "chromosome" and split.test is None:
        yield ("data", "split"), "a split by chromosome needs test: a list of their names"
    both = sorted(set(split.train or ()) & set(split.test)) if names else []
    if both:
        yield ("data", "split", "test"), f"{both[0]!r} is among data.split.train, too"


def _model(recipe: DNARecipe) -> Iterator[Fault]:
    d_model, n_heads = recipe.model.d_model or D_MODEL, recipe.model.n_heads or N_HEADS
    if d_model % n_heads:
        key = "d_model" if recipe.model.n_heads is None else "n_heads"
        yield ("model", key), f"n_heads must divide d_model, found n_heads {n_heads} and d_model {d_model}"
