"""What was tried on the closed form and what learns beside it: one change each, horizon 96, the network left out.

Look-backs are fixed, so that each row differs from another by what its name says alone. Validation errors are those of
the maps fitted on train rows; the others are those of every test window.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np

from titans_seq import TitansForecaster

from .cells import Cell
from .measure import Errors
from .sets import PATCH, Split, load

LOOK_BACK = {"ETTh1": 512, "ETTh2": 512, "ETTm1": 720, "ETTm2": 720}
PLAIN: tuple[tuple[float, float], ...] = ()
"""No priors on older rows: one ridge, its penalty, centring and sharing chosen on validation."""
PRIORS = {
    "plain": PLAIN,
    "narrowing": ((1.0, 1.0),),
    "short": ((0.0, 0.5),),
    "all_decays": ((0.0, 1.0), (1.0, 1.0)),
}
STREAMING = {
    "carried": {"online_linear": False, "error_memory": False},
    "carried_online": {"online_linear": True, "error_memory": False},
    "carried_errors": {"online_linear": False, "error_memory": "auto"},
    "carried_online_errors": {"online_linear": True, "error_memory": "auto"},
    "carried_online_all_errors": {"online_linear": True, "error_memory": True},
}


def measure(cell: Cell, *, quick: bool) -> dict[str, Any]:
    """Fit without the network, forecast every test window (carried: after every patch)."""
    split, length = load(cell.data), LOOK_BACK[cell.data]
    if quick:
        split, length = Split(split.frame[:2400], split.time, (1440, 480, 480), split.season_length), 48
    began, carried = time.process_time(), cell.model in STREAMING
    forecaster = TitansForecaster(
        cell.horizon, context_length=length, patch_length=PATCH[cell.data], carry_state=carried, max_epochs=0,
        random_state=cell.seed, verbose=0, time_col=split.time, **STREAMING.get(cell.model, {}),
    )  # fmt: skip
    train = split.rows[0]
    with _changed(cell.model):
        forecaster.fit(split.frame[:train], validation=split.frame[train : split.test_begins])
    fitted = time.process_time() - began
    mode, stride = ("streaming", PATCH[cell.data]) if carried else ("windowed", 1)
    errors = Errors()
    result = forecaster.backtest(split.frame, first_cutoff=split.test_begins, mode=mode, stride=stride)
    errors.add(result.point, result.actual)
    found = {"mse": float(np.square(result.point - result.actual).mean())} if carried else {}
    scores = found or errors.result(split, cell.horizon)
    return scores | {
        "validation": float(forecaster.validation_score_), "context_length": length, "stride": stride,
        "error_weight": float(forecaster.error_weight_), "fit_seconds": fitted,
        "cpu_seconds": time.process_time() - began,
    }  # fmt: skip


def _changed(model: str) -> ExitStack:
    stack = ExitStack()
    if model in PRIORS:
        stack.enter_context(mock.patch("titans_seq.estimators._fitting.PRIORS", PRIORS[model]))
    if model == "shared":
        stack.enter_context(mock.patch("titans_seq.adapters._linear_pool._separate", lambda reader: False))
    return stack
