"""`tune.html`: a study on one page that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
img { max-width: 100%; display: block; margin: 1rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { text-align: left; } tr.best td { background: #e8f3e8; } tr.fail td { color: #a33; } tr.pruned td { color: #777; }
td.fault { text-align: left; white-space: normal; min-width: 14rem; }
pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 13px; }
"""
_TITLES = {
    "history.png": "History",
    "front.png": "Objectives",
    "importances.png": "How much each argument matters",
    "slices.png": "Along each argument",
    "epochs.png": "Validation error by epoch",
}


def study_page(
    title: str,
    facts: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    best: Sequence[int],
    plots: Sequence[Path],
    recipe: str,
) -> str:
    """Return the page: what was asked, the best trials, plots, all trials, the winning recipe."""
    parts = [
        f"<h1>{escape(title)}</h1>",
        _facts(facts),
        "<h2>Best</h2>",
        _table([row for row in rows if row["trial"] in best], best),
        *(_plot(path) for path in plots),
        "<h2>All trials</h2>",
        _table(rows, best),
        "<h2>The winning recipe (best.yaml)</h2>",
        f"<pre>{escape(recipe)}</pre>",
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(_text(value))}</td></tr>" for name, value in facts.items())
    return f'<div class="wide"><table>{rows}</table></div>'


def _table(rows: Sequence[Mapping[str, Any]], best: Sequence[int]) -> str:
    if not rows:
        return "<p>None.</p>"
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    lines = []
    for row in rows:
        kind = "best" if row["trial"] in best else row["state"]
        cells = "".join(f'<td class="{escape(name)}">{escape(_text(row[name]))}</td>' for name in names)
        lines.append(f'<tr class="{escape(str(kind))}">{cells}</tr>')
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _plot(path: Path) -> str:
    title = _TITLES[path.name]
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<h2>{title}</h2>\n<img alt="{title}" src="data:image/png;base64,{content}">'


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
