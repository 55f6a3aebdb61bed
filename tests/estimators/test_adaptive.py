"""Adaptive intervals: they follow the errors of what was read, in pieces of any size, and know nothing later."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from series_frames import hourly

from titans_seq import TitansForecaster

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


def rows(frame: pd.DataFrame, start: int, stop: int | None) -> pd.DataFrame:
    return frame.groupby("unique_id", sort=False).nth(slice(start, stop))


def bands(forecaster: TitansForecaster) -> np.ndarray:
    return forecaster.predict(level=[50, 90]).drop(columns=["unique_id", "ds"]).to_numpy()


@pytest.mark.parametrize("network", [True, False])
@pytest.mark.parametrize("online_linear", [True, False])
def test_pieces_of_any_size_end_in_the_same_intervals(
    make: Callable, network: bool, online_linear: bool, request: pytest.FixtureRequest
) -> None:
    if network:
        request.getfixturevalue("loud_network")
    frame = hourly({"a": 300, "b": 289}, missing=0.05)
    options = {"max_epochs": 0, "intervals": "adaptive", "online_linear": online_linear}
    one, many = (make(**options).fit(rows(frame, 0, 203)) for _ in range(2))
    fresh = bands(one)
    one.update(rows(frame, 203, None))
    for start, stop in ((203, 204), (204, 205), (205, 217), (217, 250), (250, 251), (251, None)):
        many.update(rows(frame, start, stop))
    assert np.abs(bands(one) - fresh).max() > 1e-3
    np.testing.assert_allclose(bands(many), bands(one), rtol=1e-4, atol=1e-3)


def test_series_may_be_updated_one_at_a_time(make: Callable) -> None:
    frame = hourly({"a": 300, "b": 300})
    both, single = (make(max_epochs=0, intervals="adaptive").fit(rows(frame, 0, 200)) for _ in range(2))
    new = rows(frame, 200, None)
    both.update(new)
    single.update(new[new.unique_id == "b"])
    single.update(new[new.unique_id == "a"])
    np.testing.assert_allclose(bands(single), bands(both), rtol=1e-6)


def test_before_anything_was_read_they_are_the_conformal_ones(make: Callable) -> None:
    frame = hourly({"a": 200, "b": 200})
    one, other = (make(max_epochs=0, intervals=name).fit(frame) for name in ("adaptive", "conformal"))
    np.testing.assert_allclose(bands(one), bands(other), rtol=2e-2, atol=2e-2)


def test_a_loaded_forecaster_goes_on_with_the_same_bits(make: Callable, tmp_path) -> None:
    frame = hourly({"a": 300, "b": 289}, missing=0.05)
    forecaster = make(max_epochs=1, intervals="adaptive").fit(rows(frame, 0, 203)).update(rows(frame, 203, 240))
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(bands(loaded), bands(forecaster))
    new = rows(frame, 240, None)
    np.testing.assert_array_equal(bands(loaded.update(new)), bands(forecaster.update(new)))
    for name, array in forecaster._recent.tensors().items():
        np.testing.assert_array_equal(array, loaded._recent.tensors()[name])


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_a_backtest_says_what_update_and_predict_would_have_said(
    make: Callable, loud_network: None, stride: int
) -> None:
    frame = hourly({"a": 260}, missing=0.05)
    options = {"max_epochs": 0, "intervals": "adaptive", "online_linear": False, "quantile_levels": LEVELS}
    forecaster = make(**options).fit(rows(frame, 0, 200))
    result = forecaster.backtest(frame, first_cutoff=200, stride=stride)
    assert result.cutoff.tolist() == list(range(200, 255, stride))
    quantiles = {int(cutoff): q for cutoff, q in zip(result.cutoff, result.quantiles, strict=True)}
    for cutoff in range(200, 255):
        if cutoff in quantiles:
            found = forecaster.predict(quantiles=LEVELS).to_numpy()[:, 3:].astype(float)
            np.testing.assert_allclose(quantiles[cutoff], found, rtol=1e-4, atol=1e-3)
        forecaster.update(rows(frame, cutoff, cutoff + 1))


@pytest.mark.parametrize("stride", [1, 4])
def test_no_interval_of_a_backtest_knows_a_later_row(make: Callable, stride: int) -> None:
    frame = hourly({"a": 320, "b": 320})
    forecaster = make(max_epochs=0, intervals="adaptive", online_linear=False).fit(rows(frame, 0, 200))
    honest = forecaster.backtest(frame, first_cutoff=200, stride=stride)
    changed = frame.copy()
    late = changed.groupby("unique_id").cumcount() >= 260
    changed.loc[late, "y"] += 30.0
    found = forecaster.backtest(changed, first_cutoff=200, stride=stride)
    before = honest.cutoff <= 260
    np.testing.assert_array_equal(found.quantiles[before], honest.quantiles[before])
    assert np.abs(found.quantiles[~before] - honest.quantiles[~before]).max() > 1.0


def doubling(n_series: int, calm: int, rough: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    size = np.repeat([1.0, 2.0], [calm, rough])
    return 10 * np.sin(np.arange(calm + rough) * 2 * np.pi / 24) + size * rng.normal(size=(n_series, calm + rough))


def test_coverage_comes_back_after_the_noise_of_a_series_doubled() -> None:
    y = doubling(4, 500, 1400, seed=0)
    found = {}
    for intervals in ("adaptive", "conformal"):
        forecaster = TitansForecaster(
            8, max_epochs=0, context_length=48, patch_length=8, intervals=intervals, online_linear=False, verbose=0,
            quantile_levels=LEVELS,
        ).fit(y[:, :500])  # fmt: skip
        result = forecaster.backtest(y, first_cutoff=504, stride=8)
        late = result.cutoff > 1200
        q = result.quantiles[late]
        actual = result.actual[late]
        found[intervals] = [
            ((q[..., low] <= actual) & (actual <= q[..., high])).mean() for low, high in ((1, 3), (0, 4))
        ]
    assert found["adaptive"] == pytest.approx([0.8, 0.9], abs=0.025), found
    assert found["conformal"][0] < 0.7 and found["conformal"][1] < 0.8, found


def test_one_series_does_not_move_the_intervals_of_another(make: Callable) -> None:
    frame = hourly({"a": 320, "b": 320})
    calm, rough = (make(max_epochs=0, intervals="adaptive", online_linear=False).fit(rows(frame, 0, 200)) for _ in "12")
    new = rows(frame, 200, None)
    calm.update(new)
    louder = new.copy()
    louder.loc[louder.unique_id == "a", "y"] += 20 * np.random.default_rng(0).normal(size=120)
    rough.update(louder)
    np.testing.assert_allclose(bands(rough)[6:], bands(calm)[6:], rtol=1e-5)
    assert (np.ptp(bands(rough)[:6], axis=1) > 2 * np.ptp(bands(calm)[:6], axis=1)).all()


def test_a_state_that_is_not_carried_cannot_follow(make: Callable) -> None:
    with pytest.raises(ValueError, match="intervals='adaptive' .* needs carry_state=True"):
        make(intervals="adaptive", carry_state=False).fit(hourly({"a": 150}))
