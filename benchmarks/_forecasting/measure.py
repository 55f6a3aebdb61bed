"""What a cell of the long-horizon protocol does: choose on validation, read the test rows once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from titans_seq import TitansForecaster
from titans_seq.data import read_panel
from titans_seq.evaluation import naive, online_ridge, ridge, seasonal_naive

from .budget import FIT_MINUTES, cpu_clock
from .cells import NEURAL, STREAMED, Cell
from .look_back import choose, look_back
from .sets import PATCH, Split, load

Result = dict[str, Any]
QUICK = {"rows": (500, 200, 200), "horizon": 24, "context_length": 48}


class Errors:
    """Sums over test windows, so that not all of them have to be there at once."""

    def __init__(self) -> None:
        self.windows, self.entries, self.squared, self.absolute, self.inside = 0, 0, 0.0, 0.0, 0.0

    def add(self, forecast: np.ndarray, actual: np.ndarray, interval: np.ndarray | None = None) -> None:
        """Count windows (n, horizon) in; ``interval`` (n, horizon, 2) holds lower and upper ends."""
        error = forecast - actual
        self.windows, self.entries = self.windows + len(error), self.entries + error.size
        self.squared += float(np.square(error).sum(dtype=np.float64))
        self.absolute += float(np.abs(error).sum(dtype=np.float64))
        if interval is not None:
            self.inside += float(((interval[..., 0] <= actual) & (actual <= interval[..., 1])).sum())

    def result(self, split: Split, horizon: int) -> Result:
        """Return the means; every test window must be among them."""
        expected = split.windows(horizon)
        assert self.windows == expected, f"{self.windows} test windows of {expected}"
        assert self.entries == expected * horizon
        found = {"mse": self.squared / self.entries, "mae": self.absolute / self.entries, "windows": self.windows}
        return found | ({"coverage_80": self.inside / self.entries} if self.inside else {})


def measure(cell: Cell, cache: Path, *, quick: bool) -> Result:
    """Fit and choose on train and validation rows, forecast every test window, assert that none is missing."""
    split = load(cell.data)
    if quick:
        split, cell = _small(split, cell)
    if cell.mode == "choose":
        return {"validation": choose(split, cell.data, cell.horizon, cache, cell.model)}
    began, errors = time.process_time(), Errors()
    if cell.model not in ("naive", "seasonal_naive") and "context_length" not in cell.options:
        length = look_back(cell.data, cache, _closed_form(cell))
        cell = replace(cell, options=cell.options | {"context_length": length})
    about = _of(cell.model.removesuffix("_96"))(cell, split, errors)
    cpu = {"cpu_seconds": time.process_time() - began}
    return errors.result(split, cell.horizon) | cell.options | about | cpu


def _closed_form(cell: Cell) -> str:
    """What the look-back is chosen by."""
    if cell.mode == "streaming":
        return STREAMED[cell.model]
    return "ridge" if cell.model in (*NEURAL, "ridge") else "ours"


def _of(model: str) -> Callable[[Cell, Split, Errors], Result]:
    if model in NEURAL:
        from .peers import windowed

        return windowed
    baselines = {"naive": _naive, "seasonal_naive": _naive, "ridge": _ridge, "online_ridge": _ridge}
    return baselines.get(model, _ours)


def _small(split: Split, cell: Cell) -> tuple[Split, Cell]:
    rows = QUICK["rows"]
    options = cell.options | {"context_length": QUICK["context_length"], "quick": True}
    small = Split(split.frame[: sum(rows)], split.time, rows, split.season_length)
    return small, replace(cell, horizon=QUICK["horizon"], options=options)


def _cutoffs(split: Split, horizon: int) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """Panel, series and cut-off of every test window, and what then happened."""
    panel, _ = read_panel(split.frame, time_col=split.time)
    rows = np.arange(split.test_begins, sum(split.rows) - horizon + 1)
    series, cutoffs = np.repeat(np.arange(panel.n_series), len(rows)), np.tile(rows, panel.n_series)
    return panel, series, cutoffs, panel.gather(series, cutoffs, horizon)[0]


def _naive(cell: Cell, split: Split, errors: Errors) -> Result:
    panel, series, cutoffs, actual = _cutoffs(split, cell.horizon)
    season = 1 if cell.model == "naive" else split.season_length
    forecast = naive if season == 1 else lambda *where: seasonal_naive(*where, season)
    errors.add(forecast(panel, series, cutoffs, cell.horizon), actual)
    return {"season_length": season}


def _ridge(cell: Cell, split: Split, errors: Errors) -> Result:
    """The closed form alone; going on learning in streaming mode."""
    panel, series, cutoffs, actual = _cutoffs(split, cell.horizon)
    length = cell.options["context_length"]
    ends = {"context_length": length, "train_end": split.rows[0], "fit_end": split.test_begins}
    if cell.mode == "streaming":
        forecast = online_ridge(panel, series, cutoffs, cell.horizon, **ends, refresh=PATCH[cell.data])
    else:
        forecast = ridge(panel, series, cutoffs, cell.horizon, **ends)
    errors.add(forecast, actual)
    return {}


def _ours(cell: Cell, split: Split, errors: Errors) -> Result:
    """The forecaster as it comes, with a look-back and a budget."""
    streaming, train = cell.mode == "streaming", split.rows[0]
    forecaster = TitansForecaster(
        cell.horizon, context_length=cell.options["context_length"], patch_length=PATCH[cell.data],
        carry_state=streaming, variant=cell.model.removesuffix("_96"), random_state=cell.seed, verbose=0,
        max_minutes=FIT_MINUTES, time_col=split.time,
        **({"max_epochs": 1} if cell.options.get("quick") else {}),
    )  # fmt: skip
    with cpu_clock():
        forecaster.fit(split.frame[:train], validation=split.frame[train : split.test_begins])
    began = time.process_time()
    parts = _streamed(forecaster, split, errors) if streaming else _channel_by_channel(forecaster, split, errors)
    return parts | {
        "network_weight": float(forecaster.network_weight_), "online_linear": bool(forecaster.online_linear_),
        "validation_score": float(forecaster.validation_score_), "n_parameters": int(forecaster.n_parameters_),
        "epochs": len(forecaster.history_), "fit_seconds": forecaster.fit_seconds_,
        "test_seconds": time.process_time() - began,
    }  # fmt: skip


def _channel_by_channel(forecaster: TitansForecaster, split: Split, errors: Errors) -> Result:
    """Forecast one channel after the other: quantiles of all at horizon 720 would take gigabytes."""
    for column in split.frame.columns.drop(split.time):
        one = split.frame[[split.time, column]]
        result = forecaster.backtest(one, first_cutoff=split.test_begins, mode="windowed")
        _add(errors, result)
    return {}


def _streamed(forecaster: TitansForecaster, split: Split, errors: Errors) -> Result:
    result = forecaster.backtest(split.frame, first_cutoff=split.test_begins, mode="streaming", components=True)
    _add(errors, result)
    parts = {name: float(np.square(x - result.actual).mean()) for name, x in result.components.items()}
    return {"parts": parts}


def _add(errors: Errors, result: Any) -> None:
    at = [result.quantile_levels.index(level) for level in (0.1, 0.9)]
    errors.add(result.point, result.actual, result.quantiles[..., at])
