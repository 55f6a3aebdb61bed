"""The ETTm1 column of the ablation: the forecaster with one setting changed, reading 2,048 rows and more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np

from titans_seq import TitansForecaster
from titans_seq.data.catalog import dataset_card, load_dataset
from titans_seq.estimators import _fitting

from .ablations import COLUMN

ROWS = (34560, 11520, 11520)


def ettm1(name: str, seed: int, *, quick: bool) -> dict[str, Any]:
    """Fit on train and validation rows; test MSE of one pass over everything, in z-scores of the train rows."""
    card, frame = dataset_card("ETTm1"), load_dataset("ETTm1")
    train, validation, test = (1440, 480, 480) if quick else ROWS
    forecaster = TitansForecaster(
        96, context_length=336, patch_length=16, sequence_length=512 if quick else 2048,
        max_epochs=1 if quick else 4, random_state=seed, verbose=0, time_col=card.time,
        online_linear=False, error_memory=False,  # what is compared is the network's memory
    )  # fmt: skip
    began = time.process_time()
    with backbone_arguments(COLUMN[name]):
        forecaster.fit(frame[:train], validation=frame[train : train + validation])
    fitted = time.process_time() - began
    result = forecaster.backtest(
        frame[: train + validation + test], first_cutoff=train + validation, stride=16, components=True
    )
    spread = frame[:train].drop(columns=card.time).to_numpy().std(0)[result.series, None]
    return {
        "mse": {part: _mse((x - result.actual) / spread, result.observed) for part, x in result.components.items()},
        "validation_loss": min(epoch["validation_loss"] for epoch in forecaster.history_),
        "network_weight": float(forecaster.network_weight_),
        "n_parameters": forecaster.n_parameters_,
        "epochs": len(forecaster.history_),
        "windows": result.n_windows,
        "train_cpu_seconds": fitted,
    }


@contextmanager
def backbone_arguments(extra: dict[str, Any]) -> Iterator[None]:
    """Give a forecaster arguments of the backbone that the estimator does not have."""
    resolve = _fitting.resolve

    def resolved(*arguments: Any) -> Any:
        settings = resolve(*arguments)
        return replace(settings, backbone=settings.backbone | extra)

    with mock.patch.object(_fitting, "resolve", resolved):
        yield


def _mse(error: np.ndarray, observed: np.ndarray) -> float:
    return float(np.square(error[observed]).mean())
