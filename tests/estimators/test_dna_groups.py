"""Groups in `fit`: rows of one group are on one side of the validation split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.estimators import _sequence_fitting
from titans_seq.estimators._sequence_validation import split
from titans_seq.training.examples import Labelled
from titans_seq.training.objectives import Objective

TINY: dict[str, Any] = {"channels": 8, "d_model": 4, "n_heads": 1, "max_epochs": 1, "random_state": 0, "verbose": 0}


def parts(groups: np.ndarray, classes: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    labelled = Labelled(None, classes, np.ones(len(classes)))  # type: ignore[arg-type]
    return split(labelled, Objective("classes", int(classes.max()) + 1), fraction, seed, groups)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1, 3, 10])
def test_no_group_is_on_both_sides_and_every_class_is_trained_on(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    groups, classes = random.permutation(np.repeat(np.arange(300 // size), size)), random.integers(0, 3, 300)
    rows, held = parts(groups, classes, 0.2, seed)
    assert not set(groups[rows]) & set(groups[held])
    assert sorted([*rows, *held]) == list(range(300))
    assert 45 <= len(held) <= 90
    assert set(classes[rows]) == {0, 1, 2}


def test_a_class_of_one_group_is_trained_on() -> None:
    classes = np.r_[np.zeros(100, int), np.ones(10, int)]
    groups = np.r_[np.arange(100), np.full(10, 200)]
    for seed in range(10):
        rows, _ = parts(groups, classes, 0.3, seed)
        assert (classes[rows] == 1).sum() == 10


def test_one_group_leaves_nothing_to_validate_on() -> None:
    rows, held = parts(np.zeros(100, int), np.arange(100) % 2, 0.2, 0)
    assert len(rows) == 100 and not len(held)


@pytest.mark.parametrize("kind", [DNAClassifier, DNARegressor])
def test_fit_takes_names_of_groups(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    X = ["".join(random.choice(list("ACGT"), 40)) for _ in range(120)]
    names = np.array([f"family {i % 30}" for i in range(120)], dtype=object)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    honest = _sequence_fitting.split
    monkeypatch.setattr(_sequence_fitting, "split", lambda *given: seen.append(honest(*given)) or seen[-1])
    kind(**TINY, n_members=2).fit(X, np.arange(120) % 2, groups=list(names))
    assert len(seen) == 2
    for rows, held in seen:
        assert len(held) >= 12 and not set(names[rows]) & set(names[held])


def test_groups_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"groups has shape \(3,\); it must have one entry for each of 4 sequences"):
        DNAClassifier(**TINY).fit(["ACGT"] * 4, [0, 1, 0, 1], groups=[1, 2, 3])
