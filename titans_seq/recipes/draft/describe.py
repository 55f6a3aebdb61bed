"""What was seen in a file, as a recipe that says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes.draft.text import Key, recipe_text

if TYPE_CHECKING:
    from titans_seq.recipes.draft.series import Seen

_MARKS = {",": "commas", ";": "semicolons", "tab": "tabs", "|": "bars"}
_MOST_WINDOWS = 5000
"""Forecasts that are made from every row; of more rows the reader's default stride is enough."""
_COMMENTS = {
    "format": {"wide": "a column per series", "long": "a row per series and time"},
    "align": {
        "time": "series begin or end at different times: missing values are put there",
        "end": "of each series the last rows, as many as the shortest has",
    },
    "on_gap": {"mask": "rows are missing: they are read as missing values"},
}
_FIXED = {
    "path": "from the folder in which titans-seq is started",
    "decimal": "1,5 is one and a half",
    "missing": "words for a missing value",
    "sort": "the rows of the file are not in order of time",
    "encoding": "of the file",
}


def describe(seen: Seen, path: str, recipe_name: str) -> str:
    """Return the text of the recipe."""
    name = Path(path).name
    ahead = seen.plan.horizon
    title = f"{name}, the next {ahead:,} rows: drafted by titans-seq new from what is in the file"
    header = [
        ("What", _what(seen)),
        ("Command", f"titans-seq run {recipe_name}"),
        ("Read as", _read_as(seen)),
        *(("Note", note) for note in seen.notes),
    ]
    sections = {
        "task": _task(seen),
        "data": _data(seen),
        "train": [("max_minutes", 2, "at most; more may help with many rows"), ("random_state", 0, "")],
        "evaluate": _evaluate(seen),
        "output": [("dir", f"runs/{Path(recipe_name).stem}", "")],
    }
    return recipe_text(title, header, sections)


def _what(seen: Seen) -> str:
    panel = seen.panel
    n, rows = panel.n_series, int(panel.lengths[0])
    first, last = panel.frequency.show(panel.origins[0]), panel.frequency.show(panel.end_of(0))
    missing = int((~panel.observed).sum())
    series = "one series" if n == 1 else f"{n:,} series"
    values = "no value is missing" if not missing else f"{missing:,} of {panel.values.size:,} values are missing"
    when = f"{first} to {last}" if len(np.unique(panel.origins)) == 1 else f"the first from {first} to {last}"
    return f"{series} of {rows:,} rows, {when}, a row {_every(seen)}; {values}"


def _every(seen: Seen) -> str:
    frequency = seen.panel.frequency
    if frequency.kind == "integer":
        return "per step" if frequency.step == 1 else f"every {frequency.step} steps"
    names = {
        "D": "day", "h": "hour", "min": "minute", "s": "second", "W": "week", "B": "business day", "MS": "month",
        "ME": "month", "QS": "quarter", "QE": "quarter", "YS": "year", "YE": "year",
    }  # fmt: skip
    alias = frequency.alias
    return f"per {names[alias]}" if alias in names else f"every {alias}"


def _read_as(seen: Seen) -> str:
    data, time = seen.data, seen.layout.time
    marks = [f"{_MARKS[data['delimiter']]} between columns"] if "delimiter" in data else []
    marks += ["decimal commas"] if data.get("decimal") == "," else []
    marks += [f"{data['thousands']!r} between thousands"] if "thousands" in data else []
    marks += [f"times in {time.name!r} ({time.words}, the last is {time.example})"]
    if seen.layout.long:
        marks += [f"series named in {seen.layout.id!r}, values in {seen.layout.target!r}"]
    return "; ".join(marks)


def _task(seen: Seen) -> list[Key]:
    return [("kind", "forecast", ""), ("horizon", seen.plan.horizon, "rows to forecast")]


def _data(seen: Seen) -> list[Key]:
    keys: list[Key] = []
    for key, value in seen.data.items():
        choice = _COMMENTS.get(key, {}).get(value if isinstance(value, str) else "", "")
        keys.append((key, value, choice or _FIXED.get(key, "")))
    return [*keys, ("split", list(seen.plan.split), "rows of train, validation and test")]


def _evaluate(seen: Seen) -> list[Key]:
    several = seen.panel.n_series > 1
    metrics = ["mae", "rmse", *(["mase"] if _varies(seen) else []), "coverage"]
    scale = ("scale", "train_zscore", "errors in standard deviations of each series' train rows: series count alike")
    keys: list[Key] = [("mode", "streaming", "the memory is carried from row to row, as it is in use")]
    every_row = seen.plan.split[2] * seen.panel.n_series <= _MOST_WINDOWS
    keys += [("stride", 1, "a forecast from every row of the test")] if every_row else []
    keys += [scale] if several else []
    season: Any = seen.plan.season_length
    return [
        *keys,
        ("metrics", metrics, ""),
        ("baselines", ["seasonal_naive", "ridge"] if season > 1 else ["naive", "ridge"], ""),
        ("season_length", season, seen.plan.season_note),
        ("level", [80], "prediction intervals, in percent"),
    ]


def _varies(seen: Seen) -> bool:
    """Whether every series has a seasonal naive error in its train rows, by which mase divides."""
    train, season = seen.plan.split[0], seen.plan.season_length
    for i in range(seen.panel.n_series):
        values, observed = seen.panel.series(i)
        both = observed[season:train] & observed[: max(0, train - season)]
        change = np.abs(values[season:train] - values[: max(0, train - season)])[both]
        if not change.size or not change.any():
            return False
    return True
