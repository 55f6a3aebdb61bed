"""Arguments of the memories reach them, from every estimator."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from titans_seq import DNAClassifier, DNARegressor, TitansClassifier, TitansForecaster, TitansRegressor
from titans_seq.nn.memory_layer import NeuralMemory

GIVEN = {
    "surprise_threshold": 0.25, "initial_theta": 0.125, "initial_eta": 0.75, "initial_alpha": 0.0625, "hold_eta": 0.0,
}  # fmt: skip
RANDOM = np.random.default_rng(0)
SERIES = RANDOM.normal(size=(1, 120)).cumsum(1)
ROWS = RANDOM.normal(size=(30, 16))
DNA = ["ACGTTATAAAGC", "GCGCGGCCATGC"] * 15
SMALL = {"d_model": 8, "n_layers": 1, "max_epochs": 0, "random_state": 0, "verbose": 0}


def fitted(kind: type, **arguments: Any) -> Any:
    arguments = SMALL | arguments
    if kind is TitansForecaster:
        return kind(4, **arguments).fit(SERIES)
    X = ROWS if kind in (TitansClassifier, TitansRegressor) else DNA
    return kind(**arguments).fit(X, np.arange(30) % 2)


def memory_of(estimator: Any) -> NeuralMemory:
    network = estimator._model if hasattr(estimator, "_model") else estimator._members[0].model
    return next(module for module in network.modules() if isinstance(module, NeuralMemory))


KINDS = (TitansForecaster, TitansClassifier, TitansRegressor, DNAClassifier, DNARegressor)


@pytest.mark.parametrize("kind", KINDS)
def test_they_reach_the_memory_layer(kind: type) -> None:
    memory = memory_of(fitted(kind, **GIVEN))
    assert memory.surprise_threshold == 0.25
    assert memory.hold == (None, 0.0, None)
    biases = memory.gates.bias[: 3 * memory.n_heads].view(3, -1)
    for bias, level in zip(biases, (0.125, 0.75, 0.0625), strict=True):
        torch.testing.assert_close(bias, torch.full_like(bias, math.log(level / (1 - level))))


@pytest.mark.parametrize("kind", KINDS)
def test_left_out_they_change_nothing(kind: type) -> None:
    memory = memory_of(fitted(kind))
    assert (memory.surprise_threshold, memory.hold) == (0.0, (None, None, None))


def test_momentum_that_is_held_is_in_the_forecast(tmp_path: Path) -> None:
    with_momentum, without = (fitted(TitansForecaster, max_epochs=2, hold_eta=hold) for hold in (None, 0.0))
    without.save(tmp_path / "model")
    again = TitansForecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(), without.predict())
    assert memory_of(again).hold == (None, 0.0, None)
    assert with_momentum.history_[-1]["train_loss"] != without.history_[-1]["train_loss"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("surprise_threshold", -0.1), ("initial_theta", 1.0), ("initial_eta", 0.0), ("initial_alpha", 0), ("hold_eta", 2)],
)
@pytest.mark.parametrize("kind", [TitansForecaster, TitansClassifier])
def test_values_out_of_range_are_refused(kind: type, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        fitted(kind, **{name: value})


def test_a_fit_from_an_earlier_forecaster_needs_the_same_momentum() -> None:
    earlier = fitted(TitansForecaster)
    with pytest.raises(ValueError, match="hold_eta is 0.0, but the forecaster of init has None"):
        TitansForecaster(4, **SMALL | {"hold_eta": 0.0}).fit(SERIES, init=earlier)
