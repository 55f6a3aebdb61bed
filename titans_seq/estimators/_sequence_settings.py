"""Arguments of sequence estimators checked, and those left to the data filled in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.adapters.sequence_network import NetworkShape
from titans_seq.data._calendar import Int64Array
from titans_seq.estimators._settings import (
    OF_BACKBONE,
    VARIANTS,
    check_choice,
    check_device,
    check_integer,
    check_memory,
    check_processes,
    check_real,
    check_seed,
)

if TYPE_CHECKING:
    from titans_seq.estimators._sequence_base import SequenceEstimator

_AT_LEAST_ONE = (
    "d_model", "n_layers", "n_heads", "memory_depth", "memory_expansion", "chunk_size", "window_size", "channels",
    "batch_size", "early_stopping_patience",
)  # fmt: skip
_POOLING = ((160, 1), (500, 2), (1500, 4))
"""Positions that become one after the first convolution, for lengths up to each."""

USUAL = 0.5
"""Share of the sequences that have to be of one length for their places to be told apart."""

MOST_TOKENS, MOST_STRIDE = 12, 16
"""Tokens that the backbone reads of a sequence, unless it is so long that a token would stand for too many steps."""
MOST_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 1000, 12, 40


def check_arguments(estimator: SequenceEstimator) -> None:
    """Raise a TypeError or ValueError that names the first bad argument."""
    for name in _AT_LEAST_ONE:
        check_integer(name, getattr(estimator, name), 1)
    for name, least in (("stride", 1), ("n_members", 1), ("max_epochs", 0)):
        if getattr(estimator, name) is not None:
            check_integer(name, getattr(estimator, name), least)
    check_integer("n_persistent", estimator.n_persistent, 0)
    check_choice("variant", estimator.variant, VARIANTS)
    check_choice("rule", estimator.rule, ("bounded", "titans"))
    check_memory(estimator)
    check_choice("precision", estimator.precision, ("32", "bf16"))
    check_device(estimator.device)
    check_seed(estimator.random_state)
    if estimator.strategy == "fsdp":
        raise ValueError(f"{type(estimator).__name__} is too small to be spread over devices; use strategy='ddp'")
    check_processes(estimator, ("auto", "ddp"))
    check_real("dropout", estimator.dropout, -1e-9, 1.0)
    check_real("learning_rate", estimator.learning_rate, 0.0, np.inf)
    check_real("weight_decay", estimator.weight_decay, -1e-9, np.inf)
    check_real("validation_fraction", estimator.validation_fraction, -1e-9, 1.0)
    if estimator.max_minutes is not None:
        check_real("max_minutes", estimator.max_minutes, 0.0, np.inf)


def network_shape(estimator: SequenceEstimator, lengths: Int64Array, n_features: int, n_outputs: int) -> NetworkShape:
    """Fill in what is left to the lengths of the sequences."""
    usual = int(np.median(lengths))
    pooling, stride = _strides(estimator.stride, usual)
    backbone = {name: getattr(estimator, name) for name in OF_BACKBONE}
    backbone["dropout"] = estimator.dropout / 2
    return NetworkShape(
        n_features,
        n_outputs,
        usual if (lengths == usual).mean() >= USUAL else None,
        pooling,
        stride,
        channels=estimator.channels,
        dropout=float(estimator.dropout),
        backbone=backbone,
    )


def _strides(wanted: int | None, length: int) -> tuple[int, int]:
    """Return positions for each step of the convolutions, and steps for each token of the backbone."""
    pooling = next((p for longest, p in _POOLING if length <= longest), 8)
    if wanted is not None:
        pooling = math.gcd(pooling, wanted)
        return pooling, wanted // pooling
    steps = -(-length // pooling)
    return pooling, min(MOST_STRIDE, -(-steps // MOST_TOKENS))


def default_members(n: int, positions: int) -> int:
    """Return how many networks are averaged: three where one does not cost much."""
    return 3 if n >= 200 and positions <= 5_000_000 else 1


def default_epochs(batches: int) -> int:
    """Return epochs for about 1,000 steps, but from 12 to 40."""
    return int(np.clip(-(-MOST_STEPS // batches), FEWEST_EPOCHS, MOST_EPOCHS))


def plain(value: Any) -> Any:
    """Turn a parameter into what JSON knows."""
    if isinstance(value, np.random.RandomState):
        return None
    return value.item() if isinstance(value, np.generic) else value
