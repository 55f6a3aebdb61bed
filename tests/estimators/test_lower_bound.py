"""Forecasts that stay above what a series has never been below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from titans_seq import TitansForecaster
from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.tokens import LinearForecast
from titans_seq.data import Panel, read_panel
from titans_seq.estimators import _storage
from titans_seq.estimators._bounds import LastRows

Make = Callable[..., TitansForecaster]


def with_idle_hours(n: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    """Half a cycle, and zeros for the other half (2, n)."""
    wave = 50 * np.sin(2 * np.pi * np.arange(n) / 12) + 4 * np.random.default_rng(seed).normal(size=(2, n))
    return scale * np.maximum(wave, 0.0)


def rare(n: int, floor: float = 0.0, seed: int = 0) -> np.ndarray:
    """Counts that are nothing in nine rows of ten, above a floor (6, n)."""
    return np.random.default_rng(seed).poisson(0.1, (6, n)) + floor


def falling(n: int) -> np.ndarray:
    return (200 - 0.3 * np.arange(n) + np.random.default_rng(0).normal(size=n))[None]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("carry_state", [True, False])
def test_nothing_that_is_said_of_what_was_never_negative_is_negative(
    make: Make, scale: float, carry_state: bool
) -> None:
    y = with_idle_hours(300, scale)
    options = {"max_epochs": 1, "carry_state": carry_state}
    free, bounded = (make(**options, lower_bound=bound).fit(y) for bound in (False, "auto"))
    assert bounded.lower_bound_ and not free.lower_bound_
    levels = {"quantiles": [0.01, 0.5, 0.99]}
    assert free.predict(**levels).min() < 0
    h = bounded.horizon
    for found in (
        bounded.predict(**levels), bounded.predict(y[:, :200], **levels), bounded.predict(horizon=3 * h, **levels),
        bounded.sample(20, random_state=0), bounded.sample(20, horizon=3 * h, random_state=0),
    ):  # fmt: skip
        assert found.min() >= 0
    for mode in ("windowed", "streaming"):
        result = bounded.backtest(y, first_cutoff=220, mode=mode)
        assert min(result.point.min(), result.quantiles.min()) >= 0
        assert (np.diff(result.quantiles, axis=-1) >= 0).all()


def test_it_lowers_the_error_of_validation_or_is_not_there(make: Make) -> None:
    y = with_idle_hours(400)
    free, bounded = (make(max_epochs=0, lower_bound=bound).fit(y) for bound in (False, "auto"))
    assert bounded.validation_score_ < free.validation_score_
    assert not make(max_epochs=0).fit(y - 1.0).lower_bound_, "negative values have no floor that is known"
    assert not make(max_epochs=0, context_length=24).fit(falling(500)).lower_bound_, "new lows come all the time"


@pytest.mark.parametrize("more", [0, 1, 30])
def test_the_bound_is_the_lowest_value_of_the_look_back_and_moves_with_it(make: Make, more: int) -> None:
    y = falling(300) - 300
    free, bounded = (make(max_epochs=0, lower_bound=b, context_length=16).fit(y[:, :200]) for b in (False, True))
    if more:
        free.update(y[:, 200 : 200 + more])
        bounded.update(y[:, 200 : 200 + more])
    low = y[0, 200 + more - 16 : 200 + more].min()
    assert free.predict().min() < low
    np.testing.assert_allclose(bounded.predict(), np.maximum(free.predict(), low), rtol=1e-6)


def test_rows_that_are_missing_are_no_bound(make: Make) -> None:
    linear = LinearMap(np.zeros((1, 3, 2)), np.zeros((1, 2)), "last")
    windows = torch.tensor([[5.0, 0.0, 3.0], [0.0, 0.0, 0.0]], dtype=torch.float64)  # zeros stand where one is missing
    seen = torch.tensor([[True, False, True], [False, False, False]])
    assert LinearForecast(linear, lower_bound=True).lowest(windows, seen).tolist() == pytest.approx([3.0, -np.inf])
    assert LinearForecast(linear).lowest(windows, seen).tolist() == [-np.inf, -np.inf]
    forecaster = make(max_epochs=0, lower_bound=True, on_gap="mask").fit(with_idle_hours(200))
    assert np.isfinite(forecaster.update(np.full((2, 40), np.nan)).predict()).all()


def test_a_stream_is_bounded_as_updates_would_bound_it(make: Make) -> None:
    y = with_idle_hours(300)
    forecaster = make(max_epochs=1).fit(y[:, :250])
    assert forecaster.lower_bound_
    result = forecaster.backtest(y, first_cutoff=250, stride=7)
    for row in range(250, 280, 7):
        mine = np.flatnonzero(result.cutoff == row)
        np.testing.assert_allclose(result.point[mine], forecaster.predict(), rtol=1e-4, atol=1e-3)
        forecaster.update(y[:, row : row + 7])


def test_a_saved_model_keeps_it(make: Make, tmp_path: Path) -> None:
    y = with_idle_hours(300)
    forecaster = make(max_epochs=1).fit(y)
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    assert loaded.lower_bound_
    np.testing.assert_array_equal(loaded.predict(), forecaster.predict())


def test_covariates_that_are_known_ahead_leave_no_bound(make: Make) -> None:
    n = 300
    frame = pd.DataFrame({"ds": np.arange(n), "y": with_idle_hours(n)[0], "x": np.random.default_rng(1).normal(size=n)})
    assert make(max_epochs=0, roles={"x": "past"}).fit(frame.assign(unique_id="a")).lower_bound_
    roles = {"x": "future"}
    assert not make(max_epochs=0, roles=roles).fit(frame.assign(unique_id="a")).lower_bound_
    with pytest.raises(ValueError, match="lower_bound=True .* covariates of role 'future'"):
        make(max_epochs=0, roles=roles, lower_bound=True).fit(frame.assign(unique_id="a"))


def test_what_does_not_count_takes_no_bound_away(make: Make) -> None:
    y = with_idle_hours(300)
    y[1] -= 100.0
    frame = pd.DataFrame({"unique_id": np.repeat(["a", "b"], 300), "ds": np.tile(np.arange(300), 2), "y": y.ravel()})
    assert not make(max_epochs=0).fit(frame).lower_bound_
    assert make(max_epochs=0).fit(frame, sample_weight={"b": 0}).lower_bound_


def test_what_it_may_be_is_said(make: Make) -> None:
    with pytest.raises(ValueError, match="lower_bound must be one of 'auto', True, False, found 'zero'"):
        make(lower_bound="zero").fit(with_idle_hours(200))


def only_the_floor_is_near_it(found: np.ndarray, floor: float) -> bool:
    """Whether many numbers are the floor to the bit, and all others well above it."""
    at = found == floor
    return bool(at.mean() > 0.2 and (found[~at] > floor + 1e-9).all())


@pytest.mark.parametrize("floor", [0.0, 3.7])
@pytest.mark.parametrize("carry_state", [True, False])
def test_what_stands_at_the_bound_is_the_bound_to_the_bit(
    make: Make, floor: float, carry_state: bool, tmp_path: Path
) -> None:
    y = rare(260, floor)
    model = make(max_epochs=0, carry_state=carry_state, lower_bound=True).fit(y[:, :200])
    h, low = model.horizon, {"quantiles": [0.1]}
    model.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    for found in (
        model.predict(**low)[..., 1], model.predict(y[:, :150], **low)[..., 1], loaded.predict(**low)[..., 1],
        model.predict(horizon=3 * h, **low)[..., 1], model.predict(y[:, :150], horizon=3 * h, **low)[..., 1],
        model.sample(20, random_state=0), model.sample(20, horizon=3 * h, random_state=0),
        loaded.update(y[:, 200:207]).predict(**low)[..., 1], model.update(y[:, 200:230]).predict(**low)[..., 1],
    ):  # fmt: skip
        assert only_the_floor_is_near_it(found, floor)
    for start, rows in (("carried", y[:, 230:]), ("fresh", y)):
        said = model.surprise(rows, start=start)["TitansForecaster"]
        said = said[~np.isnan(said)]
        assert said.min() >= floor and (said[said != floor] > floor + 1e-9).all()


@pytest.mark.parametrize("mode", ["windowed", "streaming"])
@pytest.mark.parametrize("floor", [0.0, 3.7])
def test_a_backtest_counts_what_is_at_the_bound_as_covered(make: Make, mode: str, floor: float) -> None:
    y = rare(260, floor)
    result = make(max_epochs=0, lower_bound=True).fit(y[:, :200]).backtest(y, first_cutoff=201, mode=mode)
    assert only_the_floor_is_near_it(result.quantiles[..., 0], floor)
    inside = (result.quantiles[..., 0] - 1e-9 <= result.actual) & (result.actual <= result.quantiles[..., -1] + 1e-9)
    assert result.coverage(80) == inside.mean() > 0.7


@pytest.mark.parametrize("mode", ["windowed", "streaming"])
def test_rows_before_the_first_patch_of_a_stream_are_no_bound_of_it(make: Make, mode: str) -> None:
    y = rare(60, 5.0)
    y[:, 0] = 0.0
    model = make(max_epochs=0, lower_bound=True).fit(rare(200, 5.0))
    result = model.backtest(y, first_cutoff=13, mode=mode)  # patches of 4 rows: a stream begins with row 1
    early = result.quantiles[result.cutoff == 13]
    assert early.min() >= (5.0 if mode == "streaming" else 0.0)


def test_a_model_of_before_the_bound_was_exact_keeps_to_it(make: Make, tmp_path: Path) -> None:
    model = make(max_epochs=0, lower_bound=True).fit(rare(200))
    model.save(tmp_path / "new")
    tensors, description = _storage.read_model(tmp_path / "new")
    del tensors["own.last_rows"], description["sha256"]
    _storage.write_model(tmp_path / "old", tensors, description)
    old = TitansForecaster.load(tmp_path / "old")
    np.testing.assert_allclose(old.predict(level=[80]), model.predict(level=[80]), atol=1e-12)


def test_the_last_rows_are_those_of_the_whole_whatever_the_pieces() -> None:
    y = np.where(np.random.default_rng(0).random((2, 40)) < 0.3, np.nan, np.arange(80.0).reshape(2, 40))

    def panel(a: int, b: int) -> Panel:
        return read_panel(y, on_gap="mask")[0].slice_rows(a, b)

    for pieces in ([0, 40], [0, 3, 3, 10, 40], [0, 12, 13, 31, 40]):
        rows = LastRows.of(panel(pieces[0], pieces[1]), 12)
        for a, b in zip(pieces[1:-1], pieces[2:], strict=True):
            rows = rows.read(panel(a, b))
        np.testing.assert_array_equal(rows.values, y[:, -12:])
    assert rows.lowest(5).tolist() == np.nanmin(y[:, -5:], axis=1).tolist()
    assert LastRows(np.full((1, 3), np.nan)).lowest(2).tolist() == [-np.inf]
