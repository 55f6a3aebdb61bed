"""M4 Hourly under the competition's split: all train rows, horizon 48, 414 forecasts of each model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from titans_seq import TitansForecaster
from titans_seq.data import load_dataset
from titans_seq.evaluation import coverage, mase, seasonal_error, smape, weighted_quantile_loss

from .budget import cpu_clock
from .cells import NEURAL, Cell
from .look_back import keep
from .naive2 import naive2

FIT_MINUTES = 4.0
"""CPU minutes of a fit, for every model."""
SEASON = 24
LOOK_BACKS = (96, 168, 336)
DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LEVELS = (0.05, *DECILES, 0.95)
VALIDATION = 140
"""Rows that choose in the peers: a fifth of the shortest series. Ours: the last fifth of each."""
Forecast = tuple[np.ndarray, np.ndarray | None, dict[str, Any]]
"""Point (n, horizon), quantiles (n, horizon, n_levels), and what else there is to say."""


@dataclass(frozen=True)
class Competition:
    """Histories and what then happened.

    Attributes
    ----------
    train : DataFrame
        Long: unique_id, ds, y.
    histories : list of float array
    actual : float array (n_series, horizon)
    """

    train: pd.DataFrame
    histories: list[np.ndarray]
    actual: np.ndarray


def measure(cell: Cell, cache: Path, *, quick: bool) -> dict[str, Any]:
    """Forecast every series and score as the competition did."""
    data = competition(12 if quick else None)
    if cell.model == "choose":
        return {"validation": choose(data, cache)}
    began = time.process_time()
    point, quantiles, about = _model(cell.model)(cell, data, cache, quick)
    seconds = {"cpu_seconds": time.process_time() - began}
    return score(data, point, quantiles) | about | seconds


def competition(n_series: int | None = None) -> Competition:
    """Read the data."""
    train, test = (_numbered(load_dataset(f"m4_hourly_{part}")) for part in ("train", "test"))
    if n_series is not None:
        train, test = (frame[frame["unique_id"] < f"{n_series:03d}"] for frame in (train, test))
    histories = [group["y"].to_numpy(np.float64) for _, group in train.groupby("unique_id")]
    actual = np.stack([group["y"].to_numpy(np.float64) for _, group in test.groupby("unique_id")])
    assert len(histories) == len(actual)
    return Competition(train, histories, actual)


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """H1, H2, … as 000, 001, …, which sort as they stand."""
    number = frame["unique_id"].str[1:].astype(int) - 1
    return frame.assign(unique_id=[f"{i:03d}" for i in number])


def score(data: Competition, point: np.ndarray, quantiles: np.ndarray | None) -> dict[str, Any]:
    """Return sMAPE in percent, MASE, OWA; with quantiles the weighted quantile loss of the deciles and coverage."""
    assert point.shape == data.actual.shape, "a series is missing"
    horizon = point.shape[1]
    scale = np.array([seasonal_error(x, season_length=SEASON) for x in data.histories])
    reference = np.stack([naive2(x, horizon, SEASON) for x in data.histories])

    def both(forecast: np.ndarray) -> tuple[float, float]:
        return 100 * smape(data.actual, forecast), mase(data.actual, forecast, scale)

    (percent, scaled), (percent_2, scaled_2) = both(point), both(reference)
    found = {"smape": percent, "mase": scaled, "owa": (percent / percent_2 + scaled / scaled_2) / 2}
    if quantiles is not None:
        deciles = quantiles[..., [LEVELS.index(level) for level in DECILES]]
        found["wql"] = weighted_quantile_loss(data.actual, deciles, DECILES)
        found["coverage_90"] = coverage(data.actual, quantiles[..., 0], quantiles[..., -1])
    return found | {"series": len(point)}


def _model(name: str) -> Callable[[Cell, Competition, Path, bool], Forecast]:
    if name in NEURAL:
        return _neural
    return {"naive2": _naive, "seasonal_naive": _naive, "AutoETS": _statistical, "AutoTheta": _statistical}.get(
        name, _ours
    )


def _naive(cell: Cell, data: Competition, cache: Path, quick: bool) -> Forecast:
    ahead = np.arange(cell.horizon) % SEASON - SEASON

    def forecast(history: np.ndarray) -> np.ndarray:
        return naive2(history, cell.horizon, SEASON) if cell.model == "naive2" else history[ahead]

    return np.stack([forecast(history) for history in data.histories]), None, {"fit_seconds": 0.0}


def choose(data: Competition, cache: Path) -> dict[str, float]:
    """Validation score of the closed form with each look-back."""
    found = {}
    for length in LOOK_BACKS:
        ridge = TitansForecaster(48, context_length=length, max_epochs=0, random_state=0, verbose=0)
        found[str(length)] = ridge.fit(data.train).validation_score_
    keep(cache / "choose_m4_hourly.json", found)
    return found


def _look_back(data: Competition, cache: Path) -> int:
    import json

    from .look_back import RESULTS

    for file in (cache / "choose_m4_hourly.json", RESULTS / "official_m4_hourly_48_choose_s0.json"):
        if file.exists():
            found = json.loads(file.read_text())
            scores = found["results"]["validation"] if "results" in found else found
            return int(min(scores, key=scores.__getitem__))
    scores = choose(data, cache)
    return int(min(scores, key=scores.__getitem__))


def _ours(cell: Cell, data: Competition, cache: Path, quick: bool) -> Forecast:
    length = LOOK_BACKS[0] if quick else _look_back(data, cache)
    alone = {"max_epochs": 0} if cell.model == "ridge" else {"variant": cell.model}
    forecaster = TitansForecaster(
        cell.horizon, context_length=length, random_state=cell.seed, verbose=0, max_minutes=FIT_MINUTES,
        **(alone | ({"max_epochs": 1} if quick and cell.model != "ridge" else {})),
    )  # fmt: skip
    with cpu_clock():
        forecaster.fit(data.train)
    found = forecaster.predict(quantiles=LEVELS)
    shape = (len(data.histories), cell.horizon)
    quantiles = np.stack([found[f"TitansForecaster-q-{q:g}"].to_numpy().reshape(shape) for q in LEVELS], -1)
    about = {
        "context_length": length, "network_weight": float(forecaster.network_weight_),
        "online_linear": bool(forecaster.online_linear_), "n_parameters": int(forecaster.n_parameters_),
        "epochs": len(forecaster.history_), "fit_seconds": forecaster.fit_seconds_,
    }  # fmt: skip
    return found["TitansForecaster"].to_numpy().reshape(shape), quantiles, about


def _neural(cell: Cell, data: Competition, cache: Path, quick: bool) -> Forecast:
    """Trained on quantiles, every series divided by its mean size as ours are; the median is the point forecast."""
    import torch
    from neuralforecast.tsdataset import TimeSeriesDataset

    from . import peers

    torch.set_num_threads(1)
    length = LOOK_BACKS[0] if quick else _look_back(data, cache)
    stride = -(-(VALIDATION - cell.horizon + 1) * len(data.histories) // peers.VALIDATION_WINDOWS)
    model = peers.build(
        cell.model, cell.horizon, length, 1, cell.seed, stride, loss=peers.quantile_loss(LEVELS), quick=quick,
        scaler_type="standard", minutes=FIT_MINUTES,
    )  # fmt: skip
    size = np.array([np.abs(x).mean() for x in data.histories])
    rows = data.train.assign(y=data.train["y"] / size[data.train["unique_id"].astype(int)])
    forecaster, about = peers.fitted(model, rows, VALIDATION)
    model = forecaster.models[0]
    model.set_test_size(0)
    found = model.predict(TimeSeriesDataset.from_df(rows)[0]).reshape(len(size), cell.horizon, len(LEVELS))
    quantiles = np.sort(found * size[:, None, None], axis=-1)
    return quantiles[..., LEVELS.index(0.5)], quantiles, about | {"context_length": length}


def _statistical(cell: Cell, data: Competition, cache: Path, quick: bool) -> Forecast:
    """Series by series; those that are left when the budget is spent get the seasonal naive."""
    from statsforecast import models

    warnings.filterwarnings("ignore")
    began, point, quantiles, late = time.process_time(), [], [], 0
    for history in data.histories:
        if time.process_time() - began > 60 * FIT_MINUTES:
            late += 1
            point.append(history[np.arange(cell.horizon) % SEASON - SEASON])
            quantiles.append(np.repeat(point[-1][:, None], len(LEVELS), 1))
            continue
        model = getattr(models, cell.model)(season_length=SEASON)
        found = model.forecast(y=history, h=cell.horizon, level=[20, 40, 60, 80, 90])
        point.append(found["mean"])
        quantiles.append(np.stack([_quantile(found, q) for q in LEVELS], -1))
    about = {"fit_seconds": time.process_time() - began, "out_of_budget": late}
    return np.stack(point), np.stack(quantiles), about


def _quantile(found: dict[str, np.ndarray], q: float) -> np.ndarray:
    """A quantile out of central intervals."""
    if q == 0.5:
        return found["mean"]
    return found[f"{'lo' if q < 0.5 else 'hi'}-{abs(round(100 - 200 * q))}"]
