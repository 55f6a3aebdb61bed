"""Sequence logos of motifs: letters in stacks as tall as their bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.evaluation._style import INK, dress
from titans_seq.evaluation.logo_plots import draw_stack
from titans_seq.evaluation.motifs import Motif

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 3


def draw_motifs(motifs: Sequence[Motif], titles: Sequence[str]) -> Figure:
    """Return a figure with the logos of some motifs beside each other, 2 bits tall."""
    from matplotlib.figure import Figure

    rows = -(-len(motifs) // _COLUMNS)
    figure = Figure(figsize=(10.0, 1.9 * rows + 0.2), facecolor="white", layout="constrained")
    grid: Any = figure.subplots(rows, _COLUMNS, squeeze=False)
    for ax in grid.flat[len(motifs) :]:
        ax.remove()
    widest = max(len(motif.counts) for motif in motifs)
    for ax, motif, title in zip(grid.flat, motifs, titles, strict=False):
        draw_stack(ax, motif.frequencies * motif.information[:, None])
        dress(ax, title, np.arange(1))
        ax.set_xlim(0.4, widest + 0.6)
        ax.set_ylim(0, 2)
        ax.set_yticks([0, 1, 2])
        ax.set_xticks(range(1, len(motif.counts) + 1))
        ax.tick_params(axis="x", labelsize=7)
        ax.set_ylabel("Bits", fontsize=8.5, color=INK)
    return figure
