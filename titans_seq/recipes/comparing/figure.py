"""The picture of a comparison: a panel for each metric, a bar for each run and baseline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from titans_seq.recipes.comparing.runs import Comparison, Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RUN, _BASELINE, _BEST = "#0b62c4", "#b9c2cc", "#083d7a"
_MOST_METRICS, _MOST_ROWS = 4, 24
_COSTS = ("parameters", "fit, s")


def draw_comparison(path: Path, found: Comparison) -> None:
    """Draw up to four metrics of each group."""
    from matplotlib.figure import Figure

    groups = [(group, _shown_metrics(group)) for group in found.groups]
    columns = max(len(metrics) for _, metrics in groups)
    heights = [0.9 + 0.26 * min(len(group.rows), _MOST_ROWS) for group, _ in groups]
    figure = Figure(figsize=(max(6.0, 2.2 + 2.7 * columns), sum(heights) + 0.2), layout="constrained")
    parts = figure.subfigures(len(groups), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (group, metrics) in zip(parts, groups, strict=True):
        part.suptitle(
            _short(group.title, int(12 * figure.get_figwidth())), x=0.01, ha="left", fontsize=9, fontweight="bold"
        )
        axes = part.subplots(1, columns, squeeze=False, sharey=True)[0]
        for i, ax in enumerate(axes):
            if i < len(metrics):
                _draw(ax, group, metrics[i])
            else:
                ax.set_visible(False)
    figure.savefig(path, dpi=150)


def _shown_metrics(group: Group) -> list[str]:
    return [metric for metric in group.metrics if metric not in _COSTS][:_MOST_METRICS]


def _draw(ax: Axes, group: Group, metric: str) -> None:
    from titans_seq.evaluation._style import GREY, INK
    from titans_seq.recipes.comparing.output import best_of

    names = list(group.rows)[:_MOST_ROWS]
    best = best_of(group, metric)
    for place, name in enumerate(names):
        value = group.rows[name].get(metric)
        if value is None:
            continue
        color = (_BEST if value == best else _RUN) if place < group.n_runs else _BASELINE
        ax.barh(place, value, color=color, height=0.7)
        ax.text(value, place, f" {value:.4g}", va="center", fontsize=7.5, color=INK)
    ax.set_yticks(range(len(names)), [_short(name, 34) for name in names], fontsize=8)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.margins(x=0.2)
    ax.set_title(metric, loc="left", fontsize=9, color=INK)
    ax.tick_params(labelsize=8, length=0, colors=INK)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(GREY)


def _short(text: str, most: int = 110) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
