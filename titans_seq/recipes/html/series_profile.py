"""What series look like: rows, gaps, ranges, and how the test rows differ from those of the training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.recipes.html.markup import Html, count, facts, heading, note, number, paragraph, percent, table, tag
from titans_seq.recipes.html.pictures import picture, titled

if TYPE_CHECKING:
    from titans_seq.data import Panel
    from titans_seq.data.frequency import Frequency
    from titans_seq.recipes._data import Series

MOST_ROWS = 12
_DRIFTS = 0.5
"""Shifts of more than so many standard deviations are pointed out."""
_HEAD = ("Series", "Rows", "Missing", "Lowest", "Median", "Highest", "Mean, train", "Mean, test", "Shift", "Spread")


@dataclass(frozen=True)
class SeriesFacts:
    """What is known of one series.

    Attributes
    ----------
    name : str
    rows, missing, longest_gap : int
        The gap in rows.
    low, median, high : float
        NaN where nothing was observed.
    train_mean, test_mean : float
    shift : float
        Test mean minus train mean, in standard deviations of the train rows; NaN for a constant series.
    spread : float
        Standard deviation of the test rows over that of the train rows.
    constant : bool
    """

    name: str
    rows: int
    missing: int
    longest_gap: int
    low: float
    median: float
    high: float
    train_mean: float
    test_mean: float
    shift: float
    spread: float
    constant: bool

    @classmethod
    def of(cls, panel: Panel, i: int, split: Sequence[int]) -> SeriesFacts:
        """Look at one series of a panel."""
        values, observed = panel.series(i)
        seen = values[observed]
        first = split[0] + split[1]
        train, test = values[: split[0]][observed[: split[0]]], values[first:][observed[first:]]
        spread = float(train.std()) if len(train) else np.nan
        means = [float(part.mean()) if len(part) else np.nan for part in (train, test)]
        varies = bool(spread > 0)
        low, median, high = (float(f(seen)) if len(seen) else np.nan for f in (np.min, np.median, np.max))
        return cls(
            name=str(panel.ids[i]),
            rows=len(values),
            missing=int((~observed).sum()),
            longest_gap=_longest(~observed),
            low=low,
            median=median,
            high=high,
            train_mean=means[0],
            test_mean=means[1],
            shift=(means[1] - means[0]) / spread if varies else np.nan,
            spread=float(test.std()) / spread if varies and len(test) else np.nan,
            constant=bool(len(seen) and np.ptp(seen) == 0),
        )


def _longest(missing: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], missing, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def profile(series: Series, source: Iterable[tuple[str, Any]]) -> Iterable[Html]:
    """Yield what the data look like."""
    panel, split = series.panel, series.split
    every = [SeriesFacts.of(panel, i, split) for i in range(panel.n_series)]
    yield facts([*source, *_overall(series, every)])
    yield from _remarks(every)
    order = _by_shift(every)
    yield titled(_drawn(series, order), _caption(panel.n_series))
    yield heading("Ranges, and drift between training and test")
    yield paragraph(
        "Shift is the mean of the test rows minus that of the training rows, in standard deviations of the training "
        "rows: beyond ±1 the test rows lie where there was little to learn from. Spread is the standard deviation of "
        "the test rows over that of the training rows: 1 is no change."
    )
    shown = [every[i] for i in order[:MOST_ROWS]]
    yield table(_HEAD, map(_row, shown))
    if len(shown) < len(every):
        yield note(f"Shown are the {len(shown)} of {len(every):,} series that drift most.")


def _overall(series: Series, every: Sequence[SeriesFacts]) -> list[tuple[str, Any]]:
    panel = series.panel
    rows, missing = sum(one.rows for one in every), sum(one.missing for one in every)
    gap = max(one.longest_gap for one in every)
    train, validation, test = series.split
    season = f"{series.season_length} rows" if series.season_length > 1 else "none"
    return [
        ("Series", f"{panel.n_series:,}"),
        ("Rows", f"{rows:,}" + (f" in all, {every[0].rows:,} per series" if len(every) > 1 else "")),
        ("Step", _step(panel)),
        ("From, to", f"{panel.frequency.show(panel.origins.min())} to {panel.frequency.show(panel.last_ds.max())}"),
        ("Training, validation, test", f"{train:,}, {validation:,} and {test:,} rows of each series"),
        ("Missing values", f"{missing:,} ({percent(missing / rows)})" if missing else "0"),
        ("Longest gap", count(gap, "row") if gap else None),
        ("Season", season),
        ("Covariates", ", ".join(map(str, series.covariates.columns)) if series.covariates is not None else None),
    ]  # fmt: skip


_UNITS = {
    "W": "week", "D": "day", "h": "hour", "min": "minute", "s": "second", "ME": "month", "MS": "month",
    "QE": "quarter", "QS": "quarter", "YE": "year", "YS": "year", "B": "business day",
}  # fmt: skip


def steps_ahead(n: int, frequency: Frequency) -> str:
    """Return a number of steps in words: "26 weeks", "4 steps of 15min"."""
    alias = frequency.alias
    if frequency.kind == "integer":
        return count(n, "step")
    unit = _UNITS.get(alias.split("-")[0])
    return count(n, unit) if unit else f"{count(n, 'step')} of {alias}"


def _step(panel: Panel) -> str:
    alias = panel.frequency.alias
    if panel.frequency.kind == "integer":
        return f"{alias}, counted"
    return f"{steps_ahead(1, panel.frequency)} ({alias})"


def _remarks(every: Sequence[SeriesFacts]) -> Iterable[Html]:
    constant = [one.name for one in every if one.constant]
    if constant:
        yield note(f"{count(len(constant), 'series', 'series')} never change: {_some(constant)}.")
    drifting = [one for one in every if abs(one.shift) > _DRIFTS]
    if drifting and len(every) == 1:
        yield note(
            f"The mean of the test rows is {abs(every[0].shift):.2f} standard deviations "
            f"{'above' if every[0].shift > 0 else 'below'} that of the training rows: the series has moved."
        )
    elif drifting:
        names = _some([one.name for one in sorted(drifting, key=lambda one: -abs(one.shift))])
        word = "series moves" if len(drifting) == 1 else "series move"
        yield note(
            f"{len(drifting):,} of {len(every):,} {word} by more than half a standard deviation between training and "
            f"test: {names}. Scores on such test rows say what happens when the level changes."
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(name if len(name) <= 40 else f"{name[:39]}…" for name in names[:most])
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _by_shift(every: Sequence[SeriesFacts]) -> list[int]:
    return sorted(range(len(every)), key=lambda i: -np.nan_to_num(abs(every[i].shift), nan=-1.0))


def _drawn(series: Series, order: Sequence[int]) -> Html:
    from titans_seq.evaluation.data_plots import draw_series

    return picture(lambda: draw_series(series.panel, order, series.split), "data", "The series over time")


def _caption(n: int) -> str:
    which = "The series" if n == 1 else "The series" if n <= 4 else "The four series that drift most"
    return f"{which} over time. Validation and test rows are shaded; where the line breaks, values are missing."


def _row(one: SeriesFacts) -> list[Any]:
    shares = f"{one.missing:,}" + (f" ({percent(one.missing / one.rows)})" if one.missing else "")
    numbers = (one.low, one.median, one.high, one.train_mean, one.test_mean)
    shift = "\N{EN DASH}" if np.isnan(one.shift) else f"{one.shift:+.2f}"
    return [
        tag("span", one.name, class_="name"),
        f"{one.rows:,}",
        shares,
        *map(number, numbers),
        shift,
        number(one.spread),
    ]
