"""Does memory earn its place? ETTm1, 2,048 rows per training sequence, the state carried, widths of equal size."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _recall.ettm1 import backbone_arguments

from titans_seq import TitansForecaster

from .cells import Cell
from .measure import Errors
from .sets import PATCH, Split, load

CONTEXT, SEQUENCE, EPOCHS = 336, 2048, 4
"""Rows the linear map looks back on; rows of a training sequence; epochs."""
WIDTHS = {"mag": 32, "mal": 32, "lmm": 36, "swa": 42}
"""Of about as many parameters. Attention sees 16 patches of 16 rows per layer: 512 rows in two."""


def measure(cell: Cell, *, quick: bool) -> dict[str, Any]:
    """One pass over everything, every test window; frozen: the memory never writes, in training neither."""
    split = load(cell.data)
    if quick:
        split = Split(split.frame[:2400], split.time, (1440, 480, 480), split.season_length)
    train, horizon = split.rows[0], cell.horizon
    variant, _, frozen = cell.model.partition("_")
    forecaster = TitansForecaster(
        horizon, context_length=CONTEXT, patch_length=PATCH[cell.data], sequence_length=512 if quick else SEQUENCE,
        variant=variant, d_model=WIDTHS[variant], max_epochs=1 if quick else EPOCHS, random_state=cell.seed,
        online_linear=False, error_memory=False, verbose=0, time_col=split.time,
    )  # fmt: skip
    began = time.process_time()
    with backbone_arguments({"hold_theta": 0.0} if frozen else {}):
        forecaster.fit(split.frame[:train], validation=split.frame[train : split.test_begins])
    fitted = time.process_time() - began
    result = forecaster.backtest(split.frame, first_cutoff=split.test_begins, mode="streaming", components=True)
    errors = Errors()
    errors.add(result.point, result.actual)
    parts = {name: float(np.square(x - result.actual).mean()) for name, x in result.components.items()}
    losses = [epoch["validation_loss"] for epoch in forecaster.history_]
    return errors.result(split, horizon) | {
        "parts": parts, "validation_loss": min(losses), "validation_loss_of_the_ridge": losses[0],
        "network_weight": float(forecaster.network_weight_), "n_parameters": int(forecaster.n_parameters_),
        "n_parameters_network": int(forecaster._model.n_parameters()), "epochs": len(losses) - 1,
        "sequence_length": SEQUENCE, "fit_seconds": fitted, "cpu_seconds": time.process_time() - began,
    }  # fmt: skip
