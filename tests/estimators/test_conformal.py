"""Intervals from validation errors: coverage that holds for few windows and for series of any noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from titans_seq import TitansForecaster
from titans_seq.estimators import _storage
from titans_seq.estimators._conformal import (
    LEVELS,
    conformal_offsets,
    disjoint_windows,
    empirical_offsets,
    series_factors,
)


def interval(offsets: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.searchsorted(LEVELS, (0.5 - level / 2 - 1e-9, 0.5 + level / 2 - 1e-9))
    return offsets[low], offsets[high]


def covered(make_offsets: Callable[[np.ndarray], np.ndarray], draw: Callable, n: int, level: float) -> float:
    """Share of new errors within the interval, each drawn together with the ``n`` windows it is made from."""
    inside = []
    for _ in range(600):
        errors = draw(n + 1)
        low, high = interval(make_offsets(errors[:n]), level)
        inside.append((low <= errors[n]) & (errors[n] <= high))
    return float(np.mean(inside))


@pytest.mark.parametrize("n", [5, 10, 20, 60])
@pytest.mark.parametrize("kind", ["normal", "skewed", "same for every step"])
def test_a_new_error_lies_within_as_often_as_the_level_says(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    draw = {
        "normal": lambda m: rng.normal(size=(m, 3)) * [1.0, 2.0, 3.0],
        "skewed": lambda m: rng.exponential(size=(m, 3)) - 1,
        "same for every step": lambda m: np.repeat(rng.normal(size=(m, 1)), 3, axis=1),
    }[kind]
    for level in (0.8, 0.9):
        found = covered(lambda e: conformal_offsets(e, np.ones(e.shape, bool), len(e)), draw, n, level)
        # Ranks are whole numbers: few windows cover up to one rank at each end too much.
        assert level - 0.03 < found < level + max(2 / (n + 1), 0.035), (level, found)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_a_new_error_lies_within_as_often_where_windows_overlap(n: int) -> None:
    rng, horizon = np.random.default_rng(n), 12
    rows = (n - 1) * horizon + 1 + horizon // 2  # cut-offs, one after every row

    def walks(cutoffs: int) -> np.ndarray:
        """Errors of forecasts of a random walk."""
        steps = rng.normal(size=cutoffs + horizon)
        return np.lib.stride_tricks.sliding_window_view(steps, horizon)[:cutoffs].cumsum(1)

    inside: dict[float, list[np.ndarray]] = {0.8: [], 0.9: []}
    for _ in range(400):
        offsets, (new,) = conformal_offsets(errors := walks(rows), np.ones(errors.shape, bool), n), walks(1)
        for level, found in inside.items():
            low, high = interval(offsets, level)
            found.append((low <= new) & (new <= high))
    for level, found in inside.items():
        assert level - 0.05 < np.mean(found) < level + 0.06, (level, np.mean(found))


def test_quantiles_as_they_are_cover_less_than_they_say_with_few_windows() -> None:
    rng = np.random.default_rng(0)
    found = covered(lambda e: empirical_offsets(e, np.ones(e.shape, bool)), lambda m: rng.normal(size=(m, 1)), 10, 0.9)
    assert found < 0.82


@pytest.mark.parametrize("n", [1, 2, 3, 7, 19, 20, 1000])
def test_offsets_are_finite_and_do_not_cross(n: int) -> None:
    errors = np.random.default_rng(n).normal(size=(n, 4))
    offsets = conformal_offsets(errors, np.ones(errors.shape, bool), n)
    assert np.isfinite(offsets).all() and (np.diff(offsets, axis=0) >= 0).all()


def test_windows_that_overlap_count_once() -> None:
    seen = np.ones((9, 4), dtype=bool)
    series, cutoff = np.array([0] * 6 + [2] * 3), np.array([10, 11, 12, 13, 14, 18, 0, 4, 8])
    assert disjoint_windows(series, cutoff, seen, 4).tolist() == [3, 0, 3, 0]
    assert disjoint_windows(series, cutoff, seen & (series == 0)[:, None], 3).tolist() == [3, 0, 0]
    assert disjoint_windows(series[:0], cutoff[:0], seen[:0], 2).tolist() == [0, 0]


def test_the_factor_of_a_window_does_not_see_the_rows_of_that_window() -> None:
    rng = np.random.default_rng(0)
    series, cutoff = np.repeat([0, 1], 10), np.tile(np.arange(10) * 2, 2)
    errors = rng.normal(size=(20, 4)) * np.where(series == 0, 1.0, 4.0)[:, None]
    seen = np.ones(errors.shape, dtype=bool)
    seen[5] = False
    without, _ = series_factors(errors, seen, series, cutoff, 2)
    seen[5] = True
    with_it, factor = series_factors(errors, seen, series, cutoff, 2)
    errors[5] *= 8.0  # the mean of all moves every factor alike, but not those of other windows of the series
    with_more, _ = series_factors(errors, seen, series, cutoff, 2)
    assert factor[0] < 0.6 < 1.2 < factor[1] and factor[2] == 1
    assert without[5] == pytest.approx(with_it[5], rel=0.2)
    assert (with_more[5] < with_more[[0, 1, 2, 8, 9]]).all()


def test_series_that_do_not_differ_share_one_width() -> None:
    errors = np.random.default_rng(3).normal(size=(600, 4))
    series, cutoff = np.repeat(np.arange(60), 10), np.tile(np.arange(10) * 4, 60)
    _, factor = series_factors(errors, np.ones(errors.shape, bool), series, cutoff, 60)
    assert np.abs(factor - 1).max() < 0.15


def noisy(sizes: np.ndarray, rows: int, seed: int) -> np.ndarray:
    return sizes[:, None] * np.random.default_rng(seed).normal(size=(len(sizes), rows)) + np.sin(np.arange(rows) / 5)


def test_calm_and_noisy_series_are_both_covered() -> None:
    sizes = np.repeat([0.05, 0.2, 0.8], 20)
    y = noisy(sizes, 480, seed=1)
    found = {}
    for intervals in ("conformal", "empirical"):
        forecaster = TitansForecaster(8, max_epochs=0, context_length=32, intervals=intervals).fit(y[:, :400])
        result = forecaster.backtest(y, first_cutoff=400, stride=8)
        inside = (result.quantiles[..., 0] <= result.actual) & (result.actual <= result.quantiles[..., -1])
        assert result.coverage(80) == pytest.approx(inside.mean())
        found[intervals] = [inside[result.series // 20 == i].mean() for i in range(3)]
    assert all(0.75 < share < 0.85 for share in found["conformal"]), found
    assert found["empirical"][0] > 0.9 and found["empirical"][2] < 0.75, found  # one width does not fit all


def test_of_many_series_each_has_a_width_of_its_own() -> None:
    sizes = np.tile([0.05, 0.8], 300)
    y = noisy(sizes, 240, seed=5)
    forecaster = TitansForecaster(4, max_epochs=0, context_length=32).fit(y[:, :200])
    factor = forecaster._combination.factor[:-1]
    assert factor[sizes < 0.1].max() < factor[sizes > 0.1].min()
    result = forecaster.backtest(y, first_cutoff=200, stride=4)
    inside = (result.quantiles[..., 0] <= result.actual) & (result.actual <= result.quantiles[..., -1])
    shares = [inside[sizes[result.series] == size].mean() for size in (0.05, 0.8)]
    assert all(0.75 < share < 0.85 for share in shares), shares


@pytest.mark.filterwarnings("error")
def test_where_nothing_was_forecast_in_validation_no_warning_is_printed() -> None:
    own, factor = series_factors(np.zeros((0, 4)), np.zeros((0, 4), dtype=bool), np.zeros(0, int), np.zeros(0, int), 1)
    assert own.shape == (0,) and factor.tolist() == [1.0, 1.0]
    y = np.full(40, np.nan)
    y[3] = 7
    found = TitansForecaster(4, max_epochs=0, verbose=0).fit(y).predict(level=[80])
    assert np.isfinite(found).all()


def test_coverage_of_a_backtest_names_levels_it_does_not_have(make: Callable) -> None:
    y = noisy(np.ones(2), 200, seed=2)
    result = make(max_epochs=0).fit(y[:, :150]).backtest(y, first_cutoff=150)
    assert 0.5 < result.coverage(60) < result.coverage(80) <= 1
    with pytest.raises(ValueError, match=r"90 % interval needs quantiles at 0.05 and 0.95; .*quantile_levels"):
        result.coverage(90)


def test_a_model_of_before_there_was_a_choice_forecasts_as_it_did(make: Callable, tmp_path: Path) -> None:
    y = noisy(np.array([0.2, 1.0]), 200, seed=4)
    forecaster = make(max_epochs=0, intervals="empirical").fit(y)
    forecaster.save(tmp_path / "new")
    tensors, description = _storage.read_model(tmp_path / "new")
    for name in ("own.factor", "own.dependence"):
        del tensors[name]
    del description["sha256"]
    for part in ("parameters", "settings"):
        del description[part]["intervals"]
    _storage.write_model(tmp_path / "old", tensors, description)
    old = TitansForecaster.load(tmp_path / "old")
    assert old.intervals == "empirical"
    np.testing.assert_array_equal(old.predict(level=[80]), forecaster.predict(level=[80]))
    np.testing.assert_array_equal(
        old.update(y[:, :9]).predict(level=[80]), forecaster.update(y[:, :9]).predict(level=[80])
    )


def test_an_unknown_choice_is_refused(make: Callable) -> None:
    with pytest.raises(ValueError, match="intervals must be"):
        make(intervals="bayesian").fit(noisy(np.ones(1), 100, seed=0))


@pytest.mark.parametrize("n_series", [1, 6])
def test_one_stretch_of_validation_rows_does_not_say_on_which_side_errors_lie(n_series: int) -> None:
    """A walk that rose in its only validation window may as well fall in the next one."""
    y = np.random.default_rng(0).normal(size=(n_series, 200))
    y[:, 150:] += np.linspace(0, 8, 50)
    forecaster = TitansForecaster(50, validation_fraction=0.25, max_epochs=0, random_state=0, verbose=0).fit(y)
    found = forecaster._combination.offsets
    np.testing.assert_allclose(found, -found[::-1], rtol=0, atol=1e-9)
    many = TitansForecaster(4, validation_fraction=0.25, max_epochs=0, random_state=0, verbose=0).fit(y)
    assert not np.allclose(many._combination.offsets, -many._combination.offsets[::-1], atol=1e-3)
