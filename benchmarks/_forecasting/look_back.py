"""The look-back of a data set: one for all horizons, chosen on validation rows; ours by our own closed form.

Streaming has one of its own: a map that goes on learning from few windows at first wants a shorter one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from titans_seq import TitansForecaster
from titans_seq.adapters.linear import PRIORS, LinearMap, fit_linear
from titans_seq.adapters.online import OnlineLinear, online_forecasts
from titans_seq.adapters.scaled import ScaledPanel, fit_scaling
from titans_seq.data import read_panel

from .cells import chosen_over
from .choosing import Errors, longest_as_good
from .sets import LOOK_BACKS, PATCH, Split, load

Priors = Sequence[tuple[float, float]]
RESULTS = Path(__file__).parents[1] / "results" / "forecasting"
BLOCKS, MOST_CUTOFFS = 10, 720


def look_back(data: str, cache: Path, closed_form: str) -> int:
    """The longest look-back whose validation error is within one standard error of the smallest.

    Over all horizons together, by blocks of time (the one-standard-error rule of Breiman et al., 1984): where
    validation does not tell look-backs apart, the one that sees most is taken.
    ``closed_form``: "ridge", the plain one, or "ours", that of the forecaster; for streaming "online_ridge" and
    "online_ours".
    """
    return int(
        longest_as_good([errors(data, horizon, cache, closed_form) for horizon in chosen_over(data, closed_form)])
    )


def errors(data: str, horizon: int, cache: Path, closed_form: str) -> Errors:
    """Validation errors of each look-back at a horizon: of this run, of the results there are, or computed now."""
    name = f"choose_{data}_{horizon}_{closed_form}_s0.json"
    for file in (cache / name, RESULTS / name):
        if file.exists():
            found = json.loads(file.read_text())
            return found.get("results", found)["validation"]
    return choose(load(data), data, horizon, cache, closed_form)


def choose(split: Split, data: str, horizon: int, cache: Path, closed_form: str) -> Errors:
    """Compute them and keep them for the cells to come."""
    measure = {
        "ours": _ours,
        "ridge": _ridge,
        "online_ours": partial(_online, priors=PRIORS),
        "online_ridge": partial(_online, priors=()),
    }[closed_form]
    lengths = [length for length in LOOK_BACKS[data] if length + horizon < split.rows[0]]
    found = {str(length): measure(split, data, horizon, length) for length in lengths}
    keep(cache / f"choose_{data}_{horizon}_{closed_form}_s0.json", {"validation": found})
    return found


def _ridge(split: Split, data: str, horizon: int, length: int) -> list[float]:
    """Validation errors of the plain closed form."""
    scaled, linear, series, cutoff = _fitted(split, horizon, length)
    values, observed = scaled.gather(series, cutoff - length, length)
    forecast = linear.predict(values.numpy(), observed.numpy(), scaled.group[series])
    return _judged(scaled, series, cutoff, forecast)


def _online(split: Split, data: str, horizon: int, length: int, *, priors: Priors) -> list[float]:
    """Validation errors of a closed form that goes on learning, solved again after every patch."""
    scaled, linear, series, cutoff = _fitted(split, horizon, length, priors)
    forecast = online_forecasts(OnlineLinear.empty(linear), scaled, series, cutoff, refresh=PATCH[data])
    return _judged(scaled, series, cutoff, forecast)


def _fitted(
    split: Split, horizon: int, length: int, priors: Priors = ()
) -> tuple[ScaledPanel, LinearMap, np.ndarray, np.ndarray]:
    """Rows before the test, the map of the train rows, and every validation window: its series and cut-off."""
    panel, _ = read_panel(split.frame[: split.test_begins], time_col=split.time)
    train = np.full(panel.n_series, split.rows[0])
    center, scale = fit_scaling(panel, train)
    linear = fit_linear(panel, scale, center, train, length, horizon, priors=priors)
    cutoffs = _cutoffs(split, horizon)
    series, cutoff = np.repeat(np.arange(panel.n_series), len(cutoffs)), np.tile(cutoffs, panel.n_series)
    group = np.zeros(panel.n_series, dtype=np.int64) if linear.shared else np.arange(panel.n_series)
    return ScaledPanel(panel, center, scale, group), linear, series, cutoff


def _judged(data: ScaledPanel, series: np.ndarray, cutoff: np.ndarray, forecast: np.ndarray) -> list[float]:
    actual = data.panel.gather(series, cutoff, forecast.shape[1])[0]
    return _in_blocks(data.to_original(forecast, series) - actual, cutoff)


def _ours(split: Split, data: str, horizon: int, length: int) -> list[float]:
    """Validation errors of the forecaster without its network."""
    forecaster = TitansForecaster(
        horizon, context_length=length, patch_length=PATCH[data], carry_state=False, max_epochs=0, random_state=0,
        verbose=0, time_col=split.time,
    )  # fmt: skip
    train, ends = split.rows[0], split.test_begins
    forecaster.fit(split.frame[:train], validation=split.frame[train:ends])
    cutoffs = _cutoffs(split, horizon)
    stride = int(cutoffs[1] - cutoffs[0]) if len(cutoffs) > 1 else 1
    found = forecaster.backtest(split.frame[:ends], first_cutoff=train, mode="windowed", stride=stride)
    return _in_blocks(found.point - found.actual, found.cutoff)


def _cutoffs(split: Split, horizon: int) -> np.ndarray:
    """Cut-offs among the validation rows, evenly spread."""
    last = split.test_begins - horizon
    return np.arange(split.rows[0], last + 1, max(1, -(-(last + 1 - split.rows[0]) // MOST_CUTOFFS)))


def _in_blocks(error: np.ndarray, cutoff: np.ndarray) -> list[float]:
    """Mean squared error of each of the blocks of time, (BLOCKS,)."""
    times = np.unique(cutoff)
    block = np.searchsorted(times, cutoff) * BLOCKS // len(times)
    squared = np.square(error).mean(1)
    return [float(squared[block == i].mean()) for i in range(BLOCKS)]


def keep(file: Path, found: dict[str, Any]) -> None:
    """Write whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(file)
