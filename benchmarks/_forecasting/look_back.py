"""The look-back of a data set: one for all horizons, chosen on validation rows; ours by our own closed form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from titans_seq import TitansForecaster
from titans_seq.adapters.linear import fit_linear
from titans_seq.adapters.scaled import fit_scaling
from titans_seq.data import read_panel

from .cells import horizons
from .sets import LOOK_BACKS, PATCH, Split, load

RESULTS = Path(__file__).parents[1] / "results" / "forecasting"
Scores = dict[str, float]


def look_back(data: str, cache: Path, closed_form: str) -> int:
    """Rows with which a closed form forecasts validation rows best, in the mean over the horizons.

    ``closed_form``: "ridge", the plain one, or "ours", that of the forecaster.
    """
    every = [scores(data, horizon, cache, closed_form) for horizon in horizons(data)]
    common = [length for length in every[0] if all(length in found for found in every)]
    return int(min(common, key=lambda length: sum(found[length] for found in every)))


def scores(data: str, horizon: int, cache: Path, closed_form: str) -> Scores:
    """Validation score of each look-back at a horizon: of this run, of the results there are, or computed now."""
    name = f"choose_{data}_{horizon}_{closed_form}_s0.json"
    for file in (cache / name, RESULTS / name):
        if file.exists():
            found = json.loads(file.read_text())
            return found.get("results", found)["validation"]
    return choose(load(data), data, horizon, cache, closed_form)


def choose(split: Split, data: str, horizon: int, cache: Path, closed_form: str) -> Scores:
    """Compute them and keep them for the cells to come."""
    score = _ours if closed_form == "ours" else _ridge
    lengths = [length for length in LOOK_BACKS[data] if length + horizon < split.rows[0]]
    found = {str(length): score(split, data, horizon, length) for length in lengths}
    keep(cache / f"choose_{data}_{horizon}_{closed_form}_s0.json", {"validation": found})
    return found


def _ridge(split: Split, data: str, horizon: int, length: int) -> float:
    """Validation score of the plain closed form."""
    panel, _ = read_panel(split.frame[: split.test_begins], time_col=split.time)
    train = np.full(panel.n_series, split.rows[0])
    center, scale = fit_scaling(panel, train)
    return float(fit_linear(panel, scale, center, train, length, horizon).validation_score)


def _ours(split: Split, data: str, horizon: int, length: int) -> float:
    """Validation score of the forecaster without its network."""
    ridge = TitansForecaster(
        horizon, context_length=length, patch_length=PATCH[data], carry_state=False, max_epochs=0, random_state=0,
        verbose=0, time_col=split.time,
    )  # fmt: skip
    train, validation, _ = split.rows
    ridge.fit(split.frame[:train], validation=split.frame[train : train + validation])
    return float(ridge.validation_score_)


def keep(file: Path, found: dict[str, Any]) -> None:
    """Write whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(file)
