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
from titans_seq.adapters._linear_moments import solve_ridge
from titans_seq.adapters.online import OnlineLinear

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
    "online_four_decays": ((0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (1.5, 1.0)),
}
STREAMING = {
    "carried": {"online_linear": False, "error_memory": False},
    "carried_online": {"online_linear": True, "error_memory": False},
    "carried_errors": {"online_linear": False, "error_memory": "auto"},
    "carried_online_errors": {"online_linear": True, "error_memory": "auto"},
    "carried_online_all_errors": {"online_linear": True, "error_memory": True},
    "online_forgetting": {"online_linear": True, "error_memory": False},
    "online_steady_penalty": {"online_linear": True, "error_memory": False},
    "online_four_decays": {"online_linear": True, "error_memory": False},
}
HALF_LIFE, FORGOTTEN_EVERY = 8_000, 256
"""Rows after which a window counts half, and rows from one time to the next that this is done."""


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
    mode, stride = ("streaming", PATCH[cell.data]) if carried else ("windowed", 1)
    errors = Errors()
    with _changed(cell.model, train - length - cell.horizon + 1, split.frame.shape[1] - 1):
        forecaster.fit(split.frame[:train], validation=split.frame[train : split.test_begins])
        fitted = time.process_time() - began
        result = forecaster.backtest(split.frame, first_cutoff=split.test_begins, mode=mode, stride=stride)
    errors.add(result.point, result.actual)
    found = {"mse": float(np.square(result.point - result.actual).mean())} if carried else {}
    scores = found or errors.result(split, cell.horizon)
    return scores | {
        "validation": float(forecaster.validation_score_), "context_length": length, "stride": stride,
        "error_weight": float(forecaster.error_weight_), "fit_seconds": fitted,
        "cpu_seconds": time.process_time() - began,
    }  # fmt: skip


def _changed(model: str, windows: int, n_series: int) -> ExitStack:
    stack = ExitStack()
    if model in PRIORS:
        stack.enter_context(mock.patch("titans_seq.estimators._fitting.PRIORS", PRIORS[model]))
    if model == "shared":
        stack.enter_context(mock.patch("titans_seq.adapters._linear_pool._separate", lambda reader: False))
    if model == "online_forgetting":
        stack.enter_context(mock.patch.object(OnlineLinear, "add", _forgetting(OnlineLinear.add)))
    if model == "online_steady_penalty":
        steady = _steady(solve_ridge, windows, n_series)
        for place in ("_linear_pool", "online"):
            stack.enter_context(mock.patch(f"titans_seq.adapters.{place}.solve_ridge", steady))
    return stack


def _forgetting(add: Any) -> Any:
    """Let all sums shrink as rows are added."""

    def forget_and_add(online: OnlineLinear, data: Any, before: np.ndarray, known: np.ndarray) -> None:
        while (before < known).any():
            until = np.minimum(known, before + FORGOTTEN_EVERY)
            kept = 0.5 ** (float((until - before).max()) / HALF_LIFE)
            for moments in online.moments:
                moments.inputs *= kept
                moments.cross *= kept
                moments.squares *= kept
            add(online, data, before, until)
            before = until

    return forget_and_add


def _steady(solve: Any, windows: int, n_series: int) -> Any:
    """Let the penalty be that of the windows it was chosen with, and not grow with those that are added."""

    def solve_steadily(moments: Any, penalty: float, *, intercept: bool) -> Any:
        every = windows * n_series if moments.n > 2.5 * windows else windows
        share = min(1.0, every / moments.n) if moments.n else 1.0
        return solve(moments, penalty * share, intercept=intercept)

    return solve_steadily
