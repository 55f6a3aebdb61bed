"""What a cell does: choose on validation, read the test rows once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from titans_seq import TitansForecaster
from titans_seq.data import read_panel
from titans_seq.evaluation import naive, online_ridge, seasonal_naive

from .cells import Cell
from .sets import LOOK_BACKS, PATCH, Split, load

Result = dict[str, Any]


def measure(cell: Cell, *, quick: bool) -> Result:
    """Fit and choose on train and validation rows, forecast every test window, assert that none is missing."""
    split = load(cell.data)
    if quick:
        split = Split(split.frame[:900], split.time, (500, 200, 200), split.season_length)
        cell = Cell(cell.data, 24, cell.model, cell.mode, cell.seed, cell.options | {"context_length": 48})
    began = time.process_time()
    kind = cell.model.removesuffix("_96")
    found = {"naive": _naive, "seasonal_naive": _naive, "online_ridge": _online_ridge}.get(kind, _ours)(cell, split)
    error = found.pop("forecast") - found.pop("actual")
    assert error.size == split.windows(cell.horizon) * cell.horizon, "a test window is missing"
    return {
        "mse": float(np.square(error).mean()), "mae": float(np.abs(error).mean()),
        "windows": split.windows(cell.horizon), "cpu_seconds": time.process_time() - began,
    } | found  # fmt: skip


def _cutoffs(split: Split, horizon: int) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """Panel, series and cut-off of every test window, and what then happened."""
    panel, _ = read_panel(split.frame, time_col=split.time)
    rows = np.arange(split.test_begins, sum(split.rows) - horizon + 1)
    series, cutoffs = np.repeat(np.arange(panel.n_series), len(rows)), np.tile(rows, panel.n_series)
    return panel, series, cutoffs, panel.gather(series, cutoffs, horizon)[0]


def _naive(cell: Cell, split: Split) -> Result:
    panel, series, cutoffs, actual = _cutoffs(split, cell.horizon)
    if cell.model == "naive":
        forecast = naive(panel, series, cutoffs, cell.horizon)
    else:
        forecast = seasonal_naive(panel, series, cutoffs, cell.horizon, split.season_length)
    return {"forecast": forecast, "actual": actual}


def _online_ridge(cell: Cell, split: Split) -> Result:
    panel, series, cutoffs, actual = _cutoffs(split, cell.horizon)
    length, scores = _look_back(cell, split)
    forecast = online_ridge(
        panel, series, cutoffs, cell.horizon, context_length=length, train_end=split.rows[0],
        fit_end=split.test_begins, refresh=PATCH[cell.data],
    )  # fmt: skip
    return {"forecast": forecast, "actual": actual, "context_length": length, "validation": scores}


def _ours(cell: Cell, split: Split) -> Result:
    """The ridge alone, or with a network of the variant that the model is named after."""
    length, scores = _look_back(cell, split)
    alone = cell.model.startswith("ridge")
    forecaster = _forecaster(cell, length, {"max_epochs": 0} if alone else {"variant": cell.model, "max_epochs": 8})
    _fit(forecaster, split)
    result = forecaster.backtest(split.frame, first_cutoff=split.test_begins, mode=cell.mode, components=not alone)
    parts = {
        part: float(np.square(x - result.actual).mean()) for part, x in result.components.items() if part != "combined"
    }
    return {
        "forecast": result.point, "actual": result.actual, "context_length": length, "validation": scores,
        "parts": parts, "network_weight": float(forecaster.network_weight_),
        "online_linear": bool(forecaster.online_linear_), "n_parameters": int(forecaster.n_parameters_),
        "fit_seconds": forecaster.fit_seconds_, "epochs": len(forecaster.history_),
    }  # fmt: skip


def _look_back(cell: Cell, split: Split) -> tuple[int, dict[str, float]]:
    """The look-back with which the closed form forecasts the validation rows best, and the score of each."""
    if "context_length" in cell.options:
        return cell.options["context_length"], {}
    scores = {}
    for length in LOOK_BACKS[cell.data]:
        if length + cell.horizon < split.rows[0]:
            ridge = _forecaster(cell, length, {"max_epochs": 0, "online_linear": False})
            scores[str(length)] = _fit(ridge, split).validation_score_
    return int(min(scores, key=scores.__getitem__)), scores


def _forecaster(cell: Cell, length: int, options: Result) -> TitansForecaster:
    carried = {"carry_state": cell.mode == "streaming"}
    return TitansForecaster(
        cell.horizon, context_length=length, patch_length=PATCH[cell.data], random_state=cell.seed, verbose=0,
        time_col="ds", **(carried | options),
    )  # fmt: skip


def _fit(forecaster: TitansForecaster, split: Split) -> TitansForecaster:
    train, validation, _ = split.rows
    return forecaster.fit(split.frame[:train], validation=split.frame[train : train + validation])
