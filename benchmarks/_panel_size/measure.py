"""What a cell does: fit with default settings, predict, update, and note time and memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from titans_seq import TitansForecaster

from .cells import Cell

Result = dict[str, Any]
HORIZON = 24


def measure(cell: Cell, *, quick: bool) -> Result:
    """Seconds, CPU seconds and peak resident memory of each step; the data are made before."""
    if quick:
        cell = Cell(min(cell.n_series, 20), min(cell.rows, 300), cell.seed)
    frame = hourly(cell.n_series, cell.rows + HORIZON, cell.seed)
    last = frame.groupby("unique_id", sort=False).cumcount() >= cell.rows
    history, later = frame[~last], frame[last]
    result: Result = {"series": cell.n_series, "rows": cell.rows, "megabytes_before": _peak()}
    forecaster = TitansForecaster(HORIZON, random_state=cell.seed, verbose=0, **({"max_epochs": 1} if quick else {}))
    _timed(result, "fit", lambda: forecaster.fit(history))
    forecast = _timed(result, "predict", lambda: forecaster.predict(level=[80]))
    _timed(result, "update", lambda: forecaster.update(later))
    both = forecast.merge(later, on=["unique_id", "ds"])
    assert len(both) == cell.n_series * HORIZON and np.isfinite(forecast.iloc[:, 2:].to_numpy()).all()
    naive = later.y.to_numpy() - np.repeat(history.groupby("unique_id", sort=False).y.last().to_numpy(), HORIZON)
    return result | {
        "mse": float(np.square(both.y - both.TitansForecaster).mean()), "naive_mse": float(np.square(naive).mean()),
        "epochs": len(forecaster.history_), "network_weight": float(forecaster.network_weight_),
        "context_length": forecaster.context_length_, "patch_length": forecaster.patch_length_,
        "online_linear": bool(forecaster.online_linear_), "n_parameters": int(forecaster.n_parameters_),
    }  # fmt: skip


def _timed(result: Result, name: str, call: Callable[[], Any]) -> Any:
    began, cpu = time.perf_counter(), time.process_time()
    found = call()
    result[name] = {
        "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu, "peak_megabytes": _peak(),
    }  # fmt: skip
    return found


def _peak() -> float:
    """Most memory ever resident in this process, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hourly(n_series: int, rows: int, seed: int) -> pd.DataFrame:
    """Long frame of hourly series: a daily cycle of random phase, size and shape, a weekly one, and noise."""
    rng, t = np.random.default_rng(seed), np.arange(rows)
    draw = rng.uniform(0, 1, size=(4, n_series, 1))
    day, week = 2 * np.pi * (t / 24 + draw[0]), 2 * np.pi * (t / 168 + draw[1])
    y = (1 + draw[2]) * np.sin(day) + draw[3] * np.sin(2 * day) + 0.5 * np.sin(week)
    y += 0.5 * rng.normal(size=(n_series, rows))
    names = np.array([f"s{i}" for i in range(n_series)], dtype=object)
    ds = pd.date_range("1900-01-01", periods=rows, freq="h").to_numpy()
    return pd.DataFrame({"unique_id": np.repeat(names, rows), "ds": np.tile(ds, n_series), "y": 10 + y.ravel()})
