"""`reverse_complement="auto"`: strands are told apart by what validation rows lose to their other strand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted_motifs import planted

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.data import load_labelled, read_sequences
from titans_seq.data.simulated import simulate_motif_grammar
from titans_seq.estimators._strands import Evidence, compare_strands
from titans_seq.training.objectives import Objective

SMALL: dict[str, Any] = {
    "channels": 16, "d_model": 4, "n_heads": 1, "memory_expansion": 1, "n_persistent": 2, "dropout": 0.1,
    "learning_rate": 0.005, "n_members": 1, "variant": "swa", "verbose": 0,
}  # fmt: skip
CLASSES = Objective("classes", 2)


def rows(own: list[float], opposite: list[float]) -> Evidence:
    """Compare networks of one head that tell the class of rows with these log odds of being right."""
    y = np.arange(len(own)) % 2
    logits = [np.stack((np.where(y, -0.5, 0.5) * x, np.where(y, 0.5, -0.5) * x), 1)[:, None] for x in (own, opposite)]
    return compare_strands(*logits, y, np.ones(len(y)), CLASSES)


def test_a_network_that_has_learned_nothing_says_nothing_of_strands() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = rows(list(rng.normal(0, 0.1, 100)), list(rng.normal(0, 0.1, 100)))
        assert not found.learned
        assert not found.unlike
        assert not found.alike(last=True)


def test_what_is_read_as_well_from_the_other_strand_is_alike_and_what_is_not_is_not() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(3, 1, 100)
    alike, lost = rows(list(own), list(rng.permutation(own))), rows(list(own), list(rng.normal(0, 1, 100)))
    assert (alike.unlike, alike.alike()) == (False, True)
    assert (lost.unlike, lost.alike(last=True)) == (True, False)
    partly = rows(list(own), list(own - rng.normal(1.5, 0.3, 100)))
    assert (partly.unlike, partly.alike(last=True)) == (True, False)
    hardly = Evidence(gain=0.7, gain_error=0.005, drop=0.02, drop_error=0.002)
    assert (hardly.unlike, hardly.alike(last=True)) == (False, False)


def test_gain_and_drop_are_weighted_mean_differences_of_losses_and_their_errors() -> None:
    y, weight = np.array([[1.0], [-1.0], [0.5]]), np.array([1.0, 2.0, 0.0])
    own, other = np.array([[[0.8]], [[-0.9]], [[9.0]]]), np.array([[[0.2]], [[-0.4]], [[9.0]]])
    found = compare_strands(own, other, y, weight, Objective("values", 1))
    mean = (1.0 - 2.0) / 3
    losses = [np.array([(1 - a) ** 2, (1 - b) ** 2]) for a, b in ((0.8, 0.9), (0.2, 0.4))]
    gain = np.array([(1 - mean) ** 2, (-1 - mean) ** 2]) - losses[0]
    drop = losses[1] - losses[0]
    for values, told in ((gain, found[:2]), (drop, found[2:])):
        middle = (values[0] + 2 * values[1]) / 3
        error = np.sqrt((values[0] - middle) ** 2 + 4 * (values[1] - middle) ** 2) / 3
        np.testing.assert_allclose(told, (middle, error), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("epochs", [6, 16])
@pytest.mark.parametrize("both", [False, True])
def test_a_planted_motif_has_the_strands_it_was_planted_on(both: bool, epochs: int, seed: int) -> None:
    strings, holds = planted(500, seed=seed, both=both)
    model = DNAClassifier(**SMALL, max_epochs=epochs, random_state=seed, kmers=False).fit(strings, holds)
    if epochs == 16:
        assert model.both_strands_ == both
        assert model.score(*planted(300, seed=seed + 50, both=both)) > 0.85
    else:  # too few to learn it from both: then it must not have been taken for a motif of both strands
        assert not (model.both_strands_ and not both)


@pytest.mark.slow
def test_a_grammar_of_one_strand_that_is_learned_late_is_not_read_from_both() -> None:
    for seed in range(2):
        made, asked = (simulate_motif_grammar(1000, length=64, random_state=seed + n) for n in (0, 100))
        options = SMALL | {"channels": 32, "d_model": 32, "learning_rate": 0.003, "batch_size": 32}
        model = DNAClassifier(**options, max_epochs=12, random_state=seed).fit(made.sequences, made.labels())
        assert not model.both_strands_
        assert model.score(asked.sequences, asked.labels()) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("both", [False, True])
def test_numbers_have_strands_too(both: bool) -> None:
    strings, holds = planted(500, seed=1, both=both)
    noise = np.random.default_rng(0).normal(0, 0.3, 500)
    model = DNARegressor(**SMALL, max_epochs=16, random_state=1).fit(strings, holds + noise)
    assert model.both_strands_ == both


@pytest.mark.slow
@pytest.mark.parametrize(("name", "both"), [("splice_uci", False)])
def test_real_sequences_of_one_strand_are_read_from_it_with_a_small_budget(name: str, both: bool) -> None:
    found = load_labelled(name)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(found.column("split") == "train"))[:700]
    chosen = found.take(np.sort(rows))
    model = DNAClassifier(max_epochs=8, n_members=1, random_state=0, verbose=0)
    assert model.fit(chosen.sequences, chosen.labels("label")).both_strands_ == both


def test_a_trial_of_both_ways_keeps_the_better_one_and_goes_on_with_it() -> None:
    strings, _ = planted(200)
    y = np.random.default_rng(0).integers(0, 2, 200)  # nothing can be learned, so nothing is clear
    model = DNAClassifier(**SMALL, max_epochs=10, early_stopping_patience=20, random_state=0).fit(strings, y)
    epochs = [entry["epoch"] for entry in model.history_[0]]
    assert epochs == list(range(11))
    again = DNAClassifier(**SMALL, max_epochs=10, early_stopping_patience=20, random_state=0).fit(strings, y)
    np.testing.assert_array_equal(again.predict_proba(strings), model.predict_proba(strings))


def test_a_copy_of_a_training_goes_on_as_the_training_itself_would(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from titans_seq.estimators import _sequence_fitting

    strings, holds = planted(80)
    seen = {}

    def fork(self: Any, one: Any) -> Any:
        other = one.fork()
        states = []
        for training in (one, other):
            torch.manual_seed(3)
            training.train_until(self.epochs, None)
            states.append(training.module.averaged.state_dict())
        seen["same"] = all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values(), strict=True))
        seen["runs"] = [training.run.best_validation for training in (one, other)]
        return False, one

    monkeypatch.setattr(_sequence_fitting._Training, "_train_both_ways", fork)
    options = SMALL | {"random_state": 0, "max_epochs": 6}
    DNAClassifier(**options).fit(read_sequences(strings), np.random.default_rng(1).permutation(holds))
    assert seen["same"]
    assert seen["runs"][0] == seen["runs"][1]
