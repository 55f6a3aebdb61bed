"""Validation losses reach who watches, and an error of theirs ends the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from titans_seq import TitansClassifier, TitansForecaster
from titans_seq.training.watching import watching


def forecaster(**arguments: object) -> TitansForecaster:
    small = {"d_model": 8, "n_layers": 1, "max_epochs": 3, "random_state": 0, "verbose": 0} | arguments
    return TitansForecaster(4, **small)


def classifier(**arguments: object) -> TitansClassifier:
    small = {"d_model": 8, "channels": 4, "max_epochs": 3, "random_state": 0, "verbose": 0} | arguments
    return TitansClassifier(**small)


SERIES = np.random.default_rng(0).normal(size=(1, 240)).cumsum(1)
ROWS = np.random.default_rng(1).normal(size=(120, 12))


def test_a_watcher_sees_the_losses_of_the_history() -> None:
    seen: list[tuple[int, float]] = []
    with watching(lambda epoch, loss: seen.append((epoch, loss))):
        model = forecaster().fit(SERIES)
    assert seen == [(row["epoch"], row["validation_loss"]) for row in model.history_]
    assert len(seen) == 4


def test_a_watcher_sees_every_network_of_a_classifier() -> None:
    seen: list[tuple[int, float]] = []
    with watching(lambda epoch, loss: seen.append((epoch, loss))):
        model = classifier(n_members=2).fit(ROWS, ROWS[:, 0] > 0)
    assert seen == [(row["epoch"], row["validation_loss"]) for run in model.history_ for row in run]
    assert [epoch for epoch, _ in seen].count(0) == 2


@pytest.mark.parametrize("fit", [lambda: forecaster().fit(SERIES), lambda: classifier().fit(ROWS, ROWS[:, 0] > 0)])
def test_what_a_watcher_raises_ends_the_training(fit: object) -> None:
    class EnoughError(Exception):
        pass

    epochs = []

    def stop(epoch: int, loss: float) -> None:
        epochs.append(epoch)
        if epoch == 1:
            raise EnoughError

    with pytest.raises(EnoughError), watching(stop):
        fit()
    assert epochs == [0, 1]


def test_nobody_watches_after_the_block() -> None:
    seen: list[int] = []
    with watching(lambda epoch, loss: seen.append(epoch)):
        pass
    forecaster(max_epochs=1).fit(SERIES)
    assert not seen


def test_a_training_that_goes_to_infinity_leaves_a_forecaster_that_can_be_saved(tmp_path: Path) -> None:
    model = forecaster(learning_rate=1e30).fit(SERIES)
    assert model.history_[-1]["validation_loss"] is None
    model.save(tmp_path / "model")
    again = TitansForecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(), model.predict())
    assert np.isfinite(again.predict()).all()
    assert again.history_ == model.history_
