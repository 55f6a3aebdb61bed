"""1,000 cut-offs, step 1, on a series of 20,000 rows: one pass with the state carried, or a window for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any
from unittest import mock

from titans_seq import TitansForecaster
from titans_seq.adapters.stream import StreamReader

from .cells import Cell
from .sets import Split, load

ROWS, CUTOFFS, LOOK_BACK, REPEATS = 20_000, 1000, 512, 5
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "PatchTST": ("PatchTST", {"hidden_size": 128, "n_heads": 16, "linear_hidden_size": 256}),
    "PatchTST, small": ("PatchTST", {}),
    "NHITS": ("NHITS", {}),
}
"""Their sizes are neuralforecast's own, and that of PatchTST in the tables of errors, which its authors give ETTh1."""


def measure(cell: Cell, *, quick: bool) -> dict[str, Any]:
    """Median CPU seconds of a backtest of each, taken in turns after a first one that is not counted; no fit is."""
    rows, cutoffs, length = (3000, 50, 96) if quick else (ROWS, CUTOFFS, LOOK_BACK)
    split = load(cell.data)
    series = split.frame[[split.time, "OT"]][:rows]
    first = rows - cell.horizon - cutoffs + 1
    forecaster = TitansForecaster(
        cell.horizon, context_length=length, patch_length=16, max_epochs=1, random_state=0, verbose=0,
        time_col=split.time,
    ).fit(series[:first])  # fmt: skip
    runs = {"ours": lambda: forecaster.backtest(series, first_cutoff=first, mode="streaming").n_windows}
    peer_split = Split(series, split.time, (first, 0, 0), 1)
    for name in PEERS:
        runs[name] = _peer(name, peer_split, cell.horizon, length, cutoffs)
    seconds = _timed(runs, cutoffs, 1 if quick else REPEATS)
    medians = {name: median(found) for name, found in seconds.items()}
    with _counted() as count:
        forecaster.backtest(series, first_cutoff=first, mode="streaming")
    return {
        "rows": rows, "cutoffs": cutoffs, "look_back": length, "cpu_seconds": medians, "every": seconds,
        "times_as_fast": {name: medians[name] / medians["ours"] for name in PEERS},
        "online_linear": bool(forecaster.online_linear_), "n_parameters": int(forecaster.n_parameters_),
        "read": count
        | {
            "rows_before_the_first_patch": first % 16,
            "rows_to_the_last_cutoff": rows - cell.horizon,
            "cutoffs_at_the_end_of_a_patch": -(-cutoffs // 16),
        },
    }  # fmt: skip


def _peer(name: str, split: Split, horizon: int, length: int, cutoffs: int) -> Callable[[], int]:
    """A peer fitted for a moment: what is timed is its `cross_validation` with the weights it has."""
    from . import peers

    rows = peers.long(split)
    kind, options = PEERS[name]
    model = peers.build(kind, horizon, length, 1, 0, 1, quick=True, **options)
    forecaster, _ = peers.fitted(model, rows[rows["ds"] < split.rows[0]], horizon)

    def run() -> int:
        found = forecaster.cross_validation(rows, n_windows=cutoffs, step_size=1, refit=False, use_fitted=True)
        return int(found["cutoff"].nunique())

    return run


def _timed(runs: dict[str, Callable[[], int]], cutoffs: int, repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            began = time.process_time()
            assert run() == cutoffs, f"{name} left cut-offs out"
            if repeat:
                seconds[name].append(time.process_time() - began)
    return seconds


@contextmanager
def _counted() -> Iterator[dict[str, int]]:
    """Count the rows that are read into the stream, and the looks ahead by copies of it."""
    count = {"rows_read": 0, "peeks": 0}
    read, peek = StreamReader.read, StreamReader.forecast_now

    def reading(self: Any, stream: Any, values: Any, observed: Any, lengths: Any, *rest: Any, **more: Any) -> Any:
        count["rows_read"] += int(lengths.sum())
        return read(self, stream, values, observed, lengths, *rest, **more)

    def peeking(self: Any, stream: Any, *rest: Any, **more: Any) -> Any:
        count["peeks"] += stream.n_series
        return peek(self, stream, *rest, **more)

    with mock.patch.object(StreamReader, "read", reading), mock.patch.object(StreamReader, "forecast_now", peeking):
        yield count
