"""A recall run's scores as text."""

from __future__ import annotations

from typing import Any

from titans_seq.recipes._output import Run
from titans_seq.recipes.html import REPORT

Row = dict[str, Any]


def format_recall_report(run: Run) -> str:
    """Return a row for each model and length, and what the models are."""
    metrics = run.metrics
    models = [metrics["model"], *metrics["controls"].values()]
    costs = metrics["costs"]
    cells = [_head(metrics["measure"])]
    cells += [
        [model["variant"] if i == 0 else "", *_cells(row, cost)]
        for model in models
        for i, (row, cost) in enumerate(zip(model["scores"], costs[model["variant"]]["scores"], strict=True))
    ]
    lines = [
        f"{metrics['task']}, trained on streams of {_range(metrics['trained_lengths'])} tokens",
        *_table(cells),
        *_ratios(metrics["model"]["scores"]),
        _chance(metrics),
        *(_about(model, costs[model["variant"]]["training"]) for model in models),
        f"written to {run.folder}; report: {run.folder / REPORT}",
    ]
    return "\n".join(lines)


def _range(lengths: list[int]) -> str:
    return f"{lengths[0]:,}" if len(lengths) == 1 else f"{lengths[0]:,} to {lengths[-1]:,}"


def _head(measure: str) -> list[str]:
    score = ["mean sq. error", "std. error"] if measure == "mse" else ["right", "accuracy", "95 % interval"]
    return ["", "tokens", "streams", *score, "tokens / CPU s"]


def _cells(row: Row, cost: Row) -> list[str]:
    return [f"{row['length']:,}", f"{row['trials']}", *_score(row), f"{cost['tokens_per_cpu_second']:,}"]


def _score(row: Row) -> list[str]:
    if "mse" in row:
        return [f"{row['mse']:.4g}", f"{row['standard_error']:.2g}"]
    low, high = row["interval"]
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    return [f"{row['right']} of {row['asked']}", f"{100 * row['accuracy']:.1f} %", interval]


def _ratios(rows: list[Row]) -> list[str]:
    """Return a line for each control: errors of the model over its own."""
    ratios: dict[str, list[str]] = {}
    for row in rows:
        for control, ratio in row.get("ratio_to", {}).items():
            ratios.setdefault(control, []).append(f"{ratio:.3g} at {row['length']:,}")
    return [f"error over that of {control}: {', '.join(found)}" for control, found in ratios.items()]


def _chance(metrics: dict[str, Any]) -> str:
    if metrics["measure"] == "mse":
        return f"an answer that is always the mean has an error of {metrics['chance']:g}"
    return f"guessing: {100 * metrics['chance']:.2g} %"


def _about(model: dict[str, Any], training: Row) -> str:
    held, seconds = model["state_bytes"], training["cpu_seconds"]
    return (
        f"{model['variant']}: {model['n_parameters']:,} parameters, {seconds:.0f} CPU seconds of training, "
        f"{held['total'] / 1000:,.1f} kB of state per stream after {held['after_tokens']:,} tokens"
    )


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        right = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        lines.append("  ".join([f"{first:<{widths[0]}}", *right]).rstrip())
    return lines
