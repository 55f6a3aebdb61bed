"""neuralforecast's models, beside ours: same rows, same windows, same CPU minutes, validation-based stopping.

Widths and learning of each are what its authors took for data of this size (PatchTST: ETTh; iTransformer: ETT; NHITS
and DLinear: neuralforecast's defaults). All learn at 1e-3, the rate ours learns at, for 1e-4 and below get nowhere in
minutes; the loss is the one that is scored.
"""

from __future__ import annotations

import copy
import logging
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MSE, MQLoss
from neuralforecast.models import NHITS, DLinear, PatchTST, iTransformer
from neuralforecast.tsdataset import TimeSeriesDataset
from pytorch_lightning.callbacks import Callback

from .budget import FIT_MINUTES
from .cells import Cell
from .sets import Split

VALIDATION_WINDOWS = 1024
"""Windows a validation reads at most, as ours does in an epoch."""
RATE, MOST_STEPS, CHECK_EVERY, PATIENCE = 1e-3, 100_000, 50, 10
ARGUMENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "PatchTST": (
        PatchTST,
        {"hidden_size": 16, "n_heads": 4, "linear_hidden_size": 128, "dropout": 0.3, "fc_dropout": 0.3,
         "windows_batch_size": 128},
    ),
    "iTransformer": (
        iTransformer, {"hidden_size": 128, "d_ff": 128, "n_heads": 8, "e_layers": 2, "windows_batch_size": 32},
    ),
    "NHITS": (NHITS, {"windows_batch_size": 256, "inference_windows_batch_size": 1024}),
    "DLinear": (DLinear, {"windows_batch_size": 128}),
}  # fmt: skip


class Budget(Callback):
    """Stops a fit when its CPU time is up or validation stays; the best weights are kept."""

    def __init__(self, seconds: float, stride: int, patience: int) -> None:
        self.seconds, self.stride, self.patience = seconds, stride, patience
        self.best, self.weights, self.misses = float("inf"), {}, 0
        self.stopped_by, self.checks, self.check_seconds = "max_steps", 0, 0.0

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self.began = time.process_time()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if time.process_time() - self.began + self.check_seconds > self.seconds:
            self.stopped_by, trainer.should_stop = "budget", True

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.check_began, pl_module.step_size = time.process_time(), self.stride

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        pl_module.step_size = 1
        if trainer.sanity_checking:
            return
        self.checks, self.check_seconds = self.checks + 1, time.process_time() - self.check_began
        loss = float(trainer.callback_metrics["ptl/val_loss"])
        if loss < self.best:
            self.best, self.misses, self.weights = loss, 0, copy.deepcopy(pl_module.state_dict())
        else:
            self.misses += 1
        if self.misses >= self.patience:
            self.stopped_by, trainer.should_stop = "early_stopping", True

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        self.steps = trainer.global_step
        if self.weights:
            pl_module.load_state_dict(self.weights)


def build(name: str, horizon: int, length: int, n_series: int, seed: int, stride: int, **options: Any) -> Any:
    """Return a model that trains on a budget; ``stride`` between the windows of its validation."""
    kind, arguments = ARGUMENTS[name]
    quick, minutes = options.pop("quick", False), options.pop("minutes", FIT_MINUTES)
    limit = Budget(3.0 if quick else 60 * minutes, stride, PATIENCE)
    given = {
        "learning_rate": RATE, "num_lr_decays": -1, "loss": MSE(), "random_seed": seed + 1,
        "max_steps": 20 if quick else MOST_STEPS, "val_check_steps": 10 if quick else CHECK_EVERY,
    }  # fmt: skip
    trainer = {
        "accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "num_sanity_val_steps": 0, "callbacks": [limit],
    }  # fmt: skip
    series = {"n_series": n_series} if name == "iTransformer" else {}
    return kind(h=horizon, input_size=length, **series, **(given | arguments | options), **trainer)


def fitted(model: Any, rows: pd.DataFrame, validation: int) -> tuple[Any, dict[str, Any]]:
    """Fit on long rows of which the last ones of each series validate; the model, and what it took."""
    quiet()
    began = time.process_time()
    forecaster = NeuralForecast(models=[model], freq=1)
    forecaster.fit(rows, val_size=validation)
    model = forecaster.models[0]
    limit = next(c for c in model.trainer_kwargs["callbacks"] if isinstance(c, Budget))
    return forecaster, {
        "fit_seconds": time.process_time() - began, "steps": limit.steps, "stopped_by": limit.stopped_by,
        "validation_loss": limit.best, "n_parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip


def windowed(cell: Cell, split: Split, errors: Any) -> dict[str, Any]:
    """Fit on the train rows and forecast every test window."""
    torch.set_num_threads(1)
    _, validation, test = split.rows
    columns = split.frame.columns.drop(split.time)
    name, multivariate = cell.model.removesuffix("_96"), cell.model.startswith("iTransformer")
    windows = (validation - cell.horizon + 1) * (1 if multivariate else len(columns))
    stride = max(1, -(-windows // VALIDATION_WINDOWS))
    options = {"quick": cell.options.get("quick", False)}
    model = build(name, cell.horizon, cell.options["context_length"], len(columns), cell.seed, stride, **options)
    every = long(split)
    forecaster, about = fitted(model, every[every["ds"] < split.test_begins], validation)
    began = time.process_time()
    model = forecaster.models[0]
    model.set_test_size(test)
    forecast = model.predict(TimeSeriesDataset.from_df(every)[0], step_size=1)
    forecast = forecast.reshape(len(columns), -1, cell.horizon)
    for channel, column in enumerate(columns):
        values = split.frame[column].to_numpy()[split.test_begins :]
        errors.add(forecast[channel], np.lib.stride_tricks.sliding_window_view(values, cell.horizon))
    return about | {"test_seconds": time.process_time() - began}


def long(split: Split) -> pd.DataFrame:
    """A wide split as neuralforecast wants it; times are row numbers. Ids sort as the columns stand."""
    values = split.frame.drop(columns=split.time)
    rows, channels = values.shape
    ids = np.repeat([f"{i:03d}" for i in range(channels)], rows)
    return pd.DataFrame({"unique_id": ids, "ds": np.tile(np.arange(rows), channels), "y": values.to_numpy().T.ravel()})


def quantile_loss(levels: tuple[float, ...]) -> Any:
    """The loss of a model that is to forecast quantiles."""
    return MQLoss(quantiles=list(levels))


def quiet() -> None:
    """Silence banners and advice about loggers and workers."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
