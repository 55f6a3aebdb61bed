"""The lines of a figure of memories: one for each head of each layer, or less where that would be too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from numpy.typing import NDArray

from titans_seq.evaluation._readings import QUANTITIES
from titans_seq.evaluation._style import as_times

# Okabe and Ito's colours for the colour-blind, without the yellow that paper swallows.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
WITH_PEAKS = ("surprise", "theta", "eta", "alpha")
"""Quantities whose largest values are drawn where the table is thinned."""


@dataclass(frozen=True)
class Line:
    """One head of one layer, or the mean of its heads.

    Attributes
    ----------
    label : str
        In the legend; empty: not there.
    x : array (n,)
    rows : polars.DataFrame
        Its part of the table.
    style : mapping
        How it is drawn.
    of_layer : bool
        Whether it stands for its layer where heads do not differ.
    """

    label: str
    x: NDArray[Any]
    rows: pl.DataFrame
    style: Mapping[str, Any]
    of_layer: bool


def lines_of(table: pl.DataFrame) -> list[Line]:
    """Return a line per layer and head; where they are too many to tell apart, pale ones and the mean of each layer."""
    groups = table.partition_by(["layer", "head"], as_dict=True, maintain_order=True)
    if len(groups) > len(_COLOURS):
        return [*_pale_lines(groups), *_layer_lines(table)]
    lines = []
    for colour, ((layer, head), rows) in zip(_COLOURS, groups.items(), strict=False):
        style = {"color": colour, "lw": 1.0}
        lines.append(Line(f"Layer {layer}, head {head}", _x_of(rows), rows, style, of_layer=head == 0))
    return lines


def _pale_lines(groups: Mapping[Any, pl.DataFrame]) -> Iterator[Line]:
    for (layer, _), rows in groups.items():
        peaks = [name for name in WITH_PEAKS if name + "_max" in rows.columns]
        rows = rows.with_columns(pl.col(name + "_max").alias(name) for name in peaks)
        yield Line("", _x_of(rows), _without_peaks(rows), {"color": _colour(layer), "lw": 0.5, "alpha": 0.35}, False)


def _layer_lines(table: pl.DataFrame) -> Iterator[Line]:
    n_heads = table["head"].n_unique()
    place = [name for name in ("layer", "position", "ds") if name in table.columns]
    means = table.group_by(place, maintain_order=True).agg(pl.col(*QUANTITIES).mean())
    for (layer,), rows in means.partition_by(["layer"], as_dict=True, maintain_order=True).items():
        label = f"Layer {layer}: mean of {n_heads} heads, pale: each of them"
        yield Line(label, _x_of(rows), rows, {"color": _colour(layer), "lw": 1.3}, True)


def _without_peaks(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(name for name in rows.columns if not name.endswith("_max"))


def _colour(layer: int) -> str:
    return _COLOURS[layer % len(_COLOURS)]


def _x_of(rows: pl.DataFrame) -> NDArray[Any]:
    return as_times(rows["ds" if "ds" in rows.columns else "position"].to_numpy())
