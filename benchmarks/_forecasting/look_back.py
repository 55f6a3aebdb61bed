"""The look-back of a data set: one for all horizons and models, chosen on validation rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from titans_seq import TitansForecaster

from .cells import horizons
from .sets import LOOK_BACKS, PATCH, Split, load

RESULTS = Path(__file__).parents[1] / "results" / "forecasting"
Scores = dict[str, float]


def look_back(data: str, cache: Path) -> int:
    """Rows with which the closed form forecasts validation rows best, in the mean over the horizons."""
    every = [scores(data, horizon, cache) for horizon in horizons(data)]
    common = [length for length in every[0] if all(length in found for found in every)]
    return int(min(common, key=lambda length: sum(found[length] for found in every)))


def scores(data: str, horizon: int, cache: Path) -> Scores:
    """Validation score of each look-back at a horizon: of this run, of the results there are, or computed now."""
    name = f"choose_{data}_{horizon}_ridge_s0.json"
    for file in (cache / name, RESULTS / name):
        if file.exists():
            found = json.loads(file.read_text())
            return found.get("results", found)["validation"]
    return choose(load(data), data, horizon, cache)


def choose(split: Split, data: str, horizon: int, cache: Path) -> Scores:
    """Compute them and keep them for the cells to come."""
    found = {}
    for length in LOOK_BACKS[data]:
        if length + horizon < split.rows[0]:
            found[str(length)] = fitted_ridge(split, data, horizon, length).validation_score_
    keep(cache / f"choose_{data}_{horizon}_ridge_s0.json", {"validation": found})
    return found


def fitted_ridge(split: Split, data: str, horizon: int, length: int) -> TitansForecaster:
    """The forecaster without its network."""
    ridge = TitansForecaster(
        horizon, context_length=length, patch_length=PATCH[data], carry_state=False, max_epochs=0, random_state=0,
        verbose=0, time_col=split.time,
    )  # fmt: skip
    train, validation, _ = split.rows
    return ridge.fit(split.frame[:train], validation=split.frame[train : train + validation])


def keep(file: Path, found: dict[str, Any]) -> None:
    """Write whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(file)
