"""What the memories of a model of DNA did while it read a sequence."""

from __future__ import annotations

import numpy as np
import pytest
from planted_motifs import planted

from titans_seq import DNAClassifier
from titans_seq.estimators.analysis import analyze_sequence

SMALL = {"channels": 8, "d_model": 8, "n_heads": 2, "n_layers": 1, "n_members": 1, "max_epochs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def model() -> DNAClassifier:
    strings, holds = planted(60)
    return DNAClassifier(**SMALL, stride=4).fit(strings, holds)


def test_every_token_of_the_sequence_is_told(model: DNAClassifier) -> None:
    found = analyze_sequence(model, "ACGT" * 50)
    assert found.overall["tokens"].to_list() == [50, 50]  # of two heads; a token is four bases
    assert found.table["position"].max() == 49
    assert found.table["surprise"].is_not_null().all()
    assert len(analyze_sequence(model, "ACGT" * 50, max_points=10).table) == 20


def test_the_memory_is_surprised_less_by_what_repeats(model: DNAClassifier) -> None:
    random = np.random.default_rng(0)
    noise = "".join(random.choice(list("ACGT"), 400))
    repeated = analyze_sequence(model, "ACGGTCAT" * 50).table["surprise"].tail(100).mean()
    assert repeated < analyze_sequence(model, noise).table["surprise"].tail(100).mean()


def test_the_model_is_not_changed(model: DNAClassifier) -> None:
    before = model.predict_proba(["ACGT" * 10])
    analyze_sequence(model, "ACGT" * 30)
    np.testing.assert_array_equal(model.predict_proba(["ACGT" * 10]), before)


def test_several_sequences_and_models_without_memory_are_refused(model: DNAClassifier) -> None:
    with pytest.raises((ValueError, TypeError)):
        analyze_sequence(model, ["ACGT", "ACGT"])
    strings, holds = planted(60)
    without = DNAClassifier(**SMALL, variant="swa").fit(strings, holds)
    with pytest.raises(ValueError, match="memory"):
        analyze_sequence(without, "ACGT" * 10)
