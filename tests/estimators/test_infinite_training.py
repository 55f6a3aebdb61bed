"""Trainings that go to infinity: an error that says what to do, or the weights of the last epoch that had an answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fitted_dna import LENGTH, one_strand
from planted_motifs import planted

from titans_seq import DNAClassifier, DNALanguageModel, DNARegressor, TitansClassifier, TitansRegressor, cli

STRINGS, HOLDS = planted(200, length=LENGTH)
ROWS = np.random.default_rng(1).normal(size=(200, 12))
LARGE: dict[str, Any] = {
    "d_model": 4, "channels": 4, "n_members": 1, "max_epochs": 3, "learning_rate": 1e6, "random_state": 0, "verbose": 0,
}  # fmt: skip


@pytest.mark.parametrize("n", [200, 40], ids=["validated", "too few to validate"])
@pytest.mark.parametrize(
    "fit",
    [
        lambda n: TitansClassifier(**LARGE).fit(ROWS[:n], ROWS[:n, 0] > 0),
        lambda n: TitansRegressor(**LARGE).fit(ROWS[:n], ROWS[:n, 0]),
        lambda n: DNAClassifier(**LARGE).fit(STRINGS[:n], HOLDS[:n]),
        lambda n: DNARegressor(**LARGE).fit(STRINGS[:n], ROWS[:n, 0]),
    ],
    ids=["numbers, classes", "numbers, numbers", "DNA, classes", "DNA, numbers"],
)
def test_a_training_that_goes_to_infinity_is_an_error_that_says_what_to_do(fit: Any, n: int) -> None:
    with pytest.raises(ValueError, match="learning_rate is too large, found 1000000.0: training went to inf") as caught:
        fit(n)
    assert str(caught.value).endswith("take a smaller one")
    assert cli._is_users(caught.value)


def test_weights_that_training_began_with_are_kept_where_they_were_an_answer() -> None:
    earlier = one_strand()
    options: dict[str, Any] = {"n_members": 1, "max_epochs": 3, "random_state": 0, "reverse_complement": False}
    model = DNAClassifier(**options, learning_rate=1e30, verbose=0).fit(
        STRINGS, np.where(HOLDS, "on", "off"), init=earlier
    )
    assert [(row["train_loss"], row["validation_loss"]) for row in model.history_[0]][1:] == [(None, None)]
    np.testing.assert_array_equal(model.embed(STRINGS[:8]), earlier.embed(STRINGS[:8]))
    assert np.isfinite(model.predict_proba(STRINGS)).all()


def test_a_language_model_keeps_the_last_weights_that_had_an_answer() -> None:
    bases = "".join(STRINGS[:40])
    model = DNALanguageModel(orders=(1, 2), d_model=8, max_epochs=3, learning_rate=1e30, random_state=0).fit([bases])
    assert (model.best_epoch_, model.history_[-1]["validation_bits"]) == (0, None)
    assert np.isfinite(model.surprise([bases])[0]).all()
