"""`TitansClassifier`, `TitansRegressor` and `DNARegressor`: what is beside scikit-learn's own checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planted_motifs import planted, ragged

from titans_seq import DNARegressor, TitansClassifier, TitansRegressor

TINY = {
    "channels": 8, "d_model": 4, "n_heads": 1, "n_persistent": 1, "memory_expansion": 1, "max_epochs": 3,
    "random_state": 0, "verbose": 0,
}  # fmt: skip


def waves(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two channels whose waves run together or apart; a single step tells nothing."""
    rng = np.random.default_rng(seed)
    y, phase = rng.integers(0, 2, n), rng.random((n, 1)) * 7
    t = np.arange(24) / 2
    first = np.sin(t + phase)
    second = np.sin(t + phase + np.pi * y[:, None])
    return np.stack((first, second), 2) + 0.1 * rng.normal(size=(n, 24, 2)), y


@pytest.mark.slow
def test_series_of_several_channels_are_told_apart() -> None:
    model = TitansClassifier(**TINY | {"max_epochs": 15, "channels": 16}).fit(*waves(200))
    assert model.n_features_in_ == 24
    assert model.score(*waves(200, seed=1)) > 0.95


@pytest.mark.slow
def test_several_targets_are_measured_each_in_its_own_units() -> None:
    X, y = waves(300)
    targets = np.stack((1000.0 * y, 1e-3 * X[:, 3, 0]), 1)
    model = TitansRegressor(**TINY | {"max_epochs": 25, "channels": 16}).fit(X[:200], targets[:200])
    found = model.predict(X[200:])
    assert found.shape == (100, 2)
    for k in range(2):
        assert np.corrcoef(found[:, k], targets[200:, k])[0, 1] > 0.8
        assert np.std(found[:, k]) == pytest.approx(np.std(targets[200:, k]), rel=0.5)


@pytest.mark.parametrize("kind", [TitansClassifier, TitansRegressor])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_files_give_the_same_bits(kind: type, dimensions: int, tmp_path) -> None:
    X, y = waves(40)
    X = X if dimensions == 3 else X[..., 0]
    model = kind(**TINY).fit(X, y)
    model.save(tmp_path / "m")
    again = kind.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.n_features_in_ == model.n_features_in_ == 24
    with pytest.raises(ValueError, match="features|shape"):
        again.predict(X[:, :-1])


def test_arrays_of_other_channels_are_refused() -> None:
    X, y = waves(40)
    model = TitansClassifier(**TINY).fit(X, y)
    with pytest.raises(ValueError, match="X has shape .*; fit was given \\(n, 24, 2\\)"):
        model.predict(X[..., :1])


def test_scale_and_place_of_a_column_mean_nothing() -> None:
    X, y = waves(60)
    X = X[..., 0]
    factor, offset = 2.0 ** np.arange(-12, 12), np.arange(24) * 64.0
    found = TitansClassifier(**TINY).fit(X, y).decision_function(X)
    moved = (
        TitansClassifier(**TINY).fit(X * factor + offset * factor, y).decision_function(X * factor + offset * factor)
    )
    np.testing.assert_allclose(moved, found, rtol=0, atol=1e-3)


# --- numbers of DNA ----------------------------------------------------------------------------------------


def make(**options: Any) -> DNARegressor:
    return DNARegressor(**{**TINY, "n_members": 1, **options})


@pytest.mark.slow
def test_numbers_of_dna_are_learned() -> None:
    (strings, holds), (others, expected) = planted(400), planted(200, seed=1)
    model = make(max_epochs=20, channels=16, learning_rate=0.005, reverse_complement=False)
    model.fit(strings, 250.0 + 30 * holds)
    assert model.score(others, 250.0 + 30 * expected) > 0.6


def test_one_target_comes_back_flat_and_several_side_by_side(tmp_path) -> None:
    strings, _ = ragged(40)
    gc = np.array([bases.upper().count("G") / len(bases) for bases in strings])
    flat = make(max_epochs=1).fit(strings, gc)
    assert flat.predict(strings).shape == (40,)
    model = make(max_epochs=1, reverse_complement=True).fit(strings, np.stack((gc, -gc, gc), 1))
    found = model.predict(strings)
    assert found.shape == (40, 3)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(DNARegressor.load(tmp_path / "m").predict(strings), found)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([1.0, np.nan], ValueError, "y, row 1: the target is missing or infinite"),
        ([1.0, np.inf], ValueError, "y, row 1: the target is missing or infinite"),
        (["high", "low"], TypeError, "y must be numbers; DNAClassifier and TitansClassifier take labels"),
        ([1.0], ValueError, "X has 2 sequences, y has 1 rows"),
    ],
)
def test_targets_that_cannot_be_are_refused(y, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make().fit(["ACGT", "ACGA"], y)


def test_a_target_that_never_changes_is_predicted_as_it_is() -> None:
    strings, _ = ragged(40)
    np.testing.assert_allclose(make().fit(strings, np.full(40, 3.5)).predict(strings), 3.5, atol=0.3)
