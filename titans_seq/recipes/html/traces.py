"""What surprised the model in the test rows, and what its memories did while it read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes.html.markup import Html, count, heading, note, number, paragraph, percent, table, tag
from titans_seq.recipes.html.pictures import picture, titled

if TYPE_CHECKING:
    from titans_seq.estimators import DNAClassifier, DNARegressor, TitansForecaster
    from titans_seq.evaluation.analysis import MemoryAnalysis
    from titans_seq.evaluation.memory_plots import Track
    from titans_seq.evaluation.surprise_plots import JudgedSeries
    from titans_seq.recipes._data import Series
    from titans_seq.recipes.dna.data import Part

MOST_SERIES, MOST_ROWS, MOST_PATCHES, MOST_BINS = 8, 3000, 512, 300
MOST_BASES = 20_000
_MOST_LISTED = 8
WITHOUT_MEMORY = ("swa", "attention")


def surprises(forecaster: TitansForecaster, series: Series, places: Sequence[int]) -> Iterable[Html]:
    """Yield which test rows were far from what was expected.

    Parameters
    ----------
    forecaster : TitansForecaster
        Fitted on the rows before the test.
    series : Series
    places : sequence of int
        Series to look at; the first eight are, up to 3,000 test rows of each.
    """
    from titans_seq.evaluation.surprise_plots import draw_surprise

    judged = _judge(forecaster, series, list(places)[:MOST_SERIES])
    flagged = [int(one.flagged.sum()) for one in judged]
    rows = sum(int(np.isfinite(one.surprise).sum()) for one in judged)
    yield paragraph(
        "Each test row is compared with the forecast made just before it, in robust standard deviations of the series' "
        f"usual errors. {_flagged_words(sum(flagged), rows)} The threshold was chosen on validation rows so that about "
        "one row in a thousand lies above it while a series goes on as before."
    )
    shown = judged[int(np.argmax(flagged))] if any(flagged) else judged[0]
    drawn = picture(lambda: draw_surprise(shown, None), "surprise", f"Surprise of the test rows of {shown.name}")
    why = (
        ""
        if len(judged) == 1
        else f", of the {count(len(judged), 'series', 'series')} looked at the one with most anomalies"
    )
    yield titled(drawn, f"Test rows of {shown.name}{why}: values, the forecasts that were due for them, and surprise.")
    if any(flagged):
        yield heading("The largest surprises")
        yield table(["Series", "When", "Value", "Expected", "Surprise, σ"], _largest(judged), text_columns=2)


def _judge(forecaster: TitansForecaster, series: Series, places: Sequence[int]) -> list[JudgedSeries]:
    from titans_seq.evaluation.surprise_plots import judged_series

    some = replace(series, panel=series.panel.select(list(places)))
    first = some.first_test_row
    frame = some.frame(first, min(int(some.panel.lengths.max()), first + MOST_ROWS))
    names = series.columns
    found = forecaster.surprise(frame)
    return [judged_series(found, name, names.id_col, names.time_col, forecaster.target_col) for name in some.panel.ids]


def _flagged_words(flagged: int, rows: int) -> str:
    if not flagged:
        return f"None of the {rows:,} rows is beyond the threshold."
    return f"{flagged:,} of the {rows:,} rows ({percent(flagged / max(rows, 1), 2)}) are beyond the threshold."


def _largest(judged: Sequence[JudgedSeries]) -> list[list[Any]]:
    found = [(one, int(at)) for one in judged for at in np.flatnonzero(one.flagged)]
    found.sort(key=lambda pair: -pair[0].surprise[pair[1]])
    return [
        [tag("span", one.name, class_="name"), _when(one.x[at]), *map(number, _numbers(one, at))]
        for one, at in found[:_MOST_LISTED]
    ]


def _numbers(one: JudgedSeries, at: int) -> tuple[float, float, float]:
    return float(one.value[at]), float(one.forecast[at]), float(one.surprise[at])


def _when(time: Any) -> str:
    if not isinstance(time, np.datetime64):
        return f"row {time}"
    text = str(time.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(" 00:00:00")


def memories(forecaster: TitansForecaster, series: Series, place: int) -> Iterable[Html]:
    """Yield what the memories did while they read the last patches of a series, 512 at most."""
    if forecaster.variant in WITHOUT_MEMORY:
        yield note(f"The variant {forecaster.variant} has no memory; mag, mal, mac and lmm have one.")
        return
    from titans_seq.estimators.analysis import analyze_forecaster

    one = series.panel.select([place])
    length, patch = int(one.lengths[0]), forecaster.patch_length_
    panel = one.slice_rows(max(0, length - MOST_PATCHES * patch), None)
    analysis = analyze_forecaster(forecaster, panel, max_points=MOST_BINS)
    values, observed = panel.series(0)
    stop = int(panel.lengths[0]) // patch * patch
    track = _track(str(panel.ids[0]), panel.ds_of(0)[:stop], np.where(observed, values, np.nan)[:stop])
    if not forecaster.network_weight_:
        yield note(
            "The network has no weight in these forecasts: on the validation rows the linear map was as good without "
            "it. What its memory does is shown all the same."
        )
    yield from memory_trace(analysis, track, {}, f"{count(stop // patch, 'patch', 'patches')} of {patch} rows")


def sequence_memories(model: DNAClassifier | DNARegressor, test: Part, row: int) -> Iterable[Html]:
    """Yield what the memories did while they read a test sequence."""
    if model.variant in WITHOUT_MEMORY:
        yield note(f"The variant {model.variant} has no memory; mag, mal, mac and lmm have one.")
        return
    if int(test.sequences.lengths[row]) > MOST_BASES:
        yield note(f"Sequences of more than {MOST_BASES:,} bases are not read again for a report.")
        return
    from titans_seq.estimators.analysis import analyze_sequence

    text = test.sequences[row]
    analysis = analyze_sequence(model, text, max_points=MOST_BINS)
    tokens = int(analysis.overall["tokens"][0])
    read = f"{test.sequences.ids[row]}, {len(text):,} bases in {count(tokens, 'token')}, from the first to the last"
    yield from memory_trace(analysis, None, {}, read)


def _track(name: str, times: Any, values: Any) -> Track:
    from titans_seq.evaluation.memory_plots import Track

    return Track(name, times, values)


def memory_trace(analysis: MemoryAnalysis, track: Track | None, marks: dict[str, Any], read: str) -> Iterable[Html]:
    """Yield one stream's memories as words, a figure and a table."""
    from titans_seq.evaluation.memory_plots import draw_memory

    yield paragraph(
        "The long-term memory is a small network that goes on learning while it reads. Surprise is how far what it "
        "held was from what came; the gates say how much it writes (step θ), for how long a write goes on (momentum "
        "η) and how fast it forgets (α); drift is how far its weights have moved from where they began. "
        f"Shown here: {read}."
    )
    drawn = picture(lambda: draw_memory(analysis.table, track, marks, None), "memory", "What the memories did")
    yield titled(
        drawn,
        "From top to bottom: what was read, then a line for each head of each layer. Where many tokens share a point, "
        "the line is their mean and the shade above it reaches up to the largest.",
    )
    yield table(_HEAD, map(_row, analysis.overall.to_dicts()))


_HEAD = (
    "Memory",
    "Closed (θ = 0)",
    "Step θ",
    "Momentum η",
    "Forgetting α",
    "Surprise",
    "Recalled",
    "Attended",
    "Drift",
)


def _row(row: dict[str, Any]) -> list[Any]:
    names = ("theta", "eta", "alpha", "surprise", "recalled", "attended", "drift")
    closed = percent(row["closed"]) if row["closed"] is not None else number(None)
    return [
        f"Layer\N{NO-BREAK SPACE}{row['layer']},\N{NO-BREAK SPACE}head\N{NO-BREAK SPACE}{row['head']}",
        closed,
        *(number(row[name]) for name in names),
    ]
