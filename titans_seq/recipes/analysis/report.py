"""An analysis as a table of text."""

from __future__ import annotations

from typing import Any

from titans_seq.recipes.analysis.run import Analysis

_COLUMNS = {
    "closed": "θ = 0",
    "theta": "θ",
    "eta": "η",
    "alpha": "α",
    "surprise": "surprise",
    "surprise_q99": "99 %",
    "recalled": "recalled",
    "attended": "attended",
    "mix": "mix",
    "drift": "drift",
}


def format_analysis(analysis: Analysis) -> str:
    """Return means over all streams, one row per layer and head, and what they were measured on."""
    summary = analysis.summary
    memories = summary["memories"]
    names = [name for name in _COLUMNS if any(row[name] is not None for row in memories)]
    lines = [" " * 15 + "".join(f"  {_COLUMNS[name]:>8}" for name in names)]
    for row in memories:
        cells = "".join(f"  {_cell(name, row[name]):>8}" for name in names)
        lines.append(f"layer {row['layer']}, head {row['head']}".ljust(15) + cells)
    lines.append(_read(summary))
    return "\n".join([*lines, *(f"note: {note}" for note in analysis.notes), f"written to {analysis.folder}"])


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f} %" if name == "closed" else f"{value:.3g}"


def _read(summary: dict[str, Any]) -> str:
    n, tokens = summary["n_streams"], summary["memories"][0]["tokens"]
    what = summary.get("data") or summary.get("task")
    if "patch_length" in summary:
        plural = "series" if n != 1 else "one series"
        count = f"{n} " if n != 1 else ""
        return f"{what}: {tokens:,} patches of {summary['patch_length']} rows, {count}{plural}"
    return f"{what}: {tokens:,} tokens, {n} {'streams' if n != 1 else 'stream'}"
