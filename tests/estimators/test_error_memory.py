"""A memory of forecast errors: it follows a drift that the linear map cannot, and knows nothing of what is to come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from titans_seq import TitansForecaster

FIRST, REGIME, STEP = 1600, 200, 4


def flipping(n: int, seed: int = 0, length: int = 2000) -> pd.DataFrame:
    """Series whose next patch is the last one with a sign, which turns every 200 rows: on average, nothing is known."""
    random = np.random.default_rng(seed)
    y = np.zeros((n, length))
    for t in range(STEP, length, STEP):
        sign = 0.95 if t // REGIME % 2 else -0.95
        y[:, t : t + STEP] = sign * y[:, t - STEP : t] + 0.3 * random.normal(size=(n, STEP))
    ds = pd.date_range("2024-01-01", periods=length, freq="h")
    return pd.concat([pd.DataFrame({"unique_id": f"s{i}", "ds": ds, "y": y[i]}) for i in range(n)])


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return flipping(3)


def until(frame: pd.DataFrame, row: int, start: int = 0) -> pd.DataFrame:
    return frame.groupby("unique_id", sort=False).nth(slice(start, row))


def build(**options: object) -> TitansForecaster:
    given = {
        "horizon": 4,
        "context_length": 4,
        "patch_length": 4,
        "max_epochs": 0,
        "online_linear": False,
        "d_model": 8,
    }
    return TitansForecaster(**{**given, "random_state": 0, "verbose": 0, "n_layers": 1, **options})


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame) -> TitansForecaster:
    return build().fit(until(frame, FIRST))


def error_of(forecaster: TitansForecaster, frame: pd.DataFrame) -> float:
    found = forecaster.backtest(frame, first_cutoff=FIRST, mode="streaming", stride=STEP)
    return float(((found.point - found.actual) ** 2).mean())


def points(forecaster: TitansForecaster, X: pd.DataFrame | None = None) -> np.ndarray:
    return forecaster.predict(X)["TitansForecaster"].to_numpy()


def test_it_follows_a_drift_that_the_linear_map_cannot(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    without = build(error_memory=False).fit(until(frame, FIRST))
    assert fitted.error_weight_ > 0.5 and without.error_weight_ == 0
    assert error_of(fitted, frame) < 0.4 * error_of(without, frame)


def test_where_errors_are_noise_it_does_next_to_no_harm() -> None:
    noise = np.random.default_rng(0).normal(size=(4, 2000))
    one, other = (build(error_memory=given).fit(noise[:, :FIRST]) for given in ("auto", False))
    errors = [
        ((x.point - x.actual) ** 2).mean()
        for x in (f.backtest(noise, first_cutoff=FIRST, mode="streaming", stride=STEP) for f in (one, other))
    ]
    assert errors[0] < 1.01 * errors[1]


@pytest.mark.parametrize("online_linear", [True, False])
@pytest.mark.parametrize("max_epochs", [0, 1])
def test_update_in_pieces_of_any_size_gives_the_forecasts_of_the_backtest(
    frame: pd.DataFrame, online_linear: bool, max_epochs: int
) -> None:
    options = {"online_linear": online_linear, "max_epochs": max_epochs, "error_memory": True}
    one, many = (build(**options).fit(until(frame, FIRST)) for _ in range(2))
    fresh = points(one)
    ends = [FIRST, FIRST + 1, FIRST + 12, FIRST + 13, FIRST + 90, FIRST + 96]
    found = one.backtest(frame, first_cutoff=FIRST, mode="streaming", stride=1)
    one.update(until(frame, ends[-1], FIRST))
    for a, b in zip(ends[:-1], ends[1:], strict=True):
        many.update(until(frame, b, a))
        expected = found.point[found.cutoff == b].ravel()
        np.testing.assert_allclose(points(many), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(points(one), points(many), rtol=1e-4, atol=1e-4)
    assert np.abs(points(one) - fresh).max() > 1e-3


@pytest.mark.parametrize("stride", [1, 3, 4, 8])
def test_no_forecast_knows_a_later_row(fitted: TitansForecaster, frame: pd.DataFrame, stride: int) -> None:
    changed = frame.copy()
    late = changed.groupby("unique_id").cumcount() >= 1701
    changed.loc[late.to_numpy(), "y"] += 5.0
    one, other = (fitted.backtest(x, first_cutoff=FIRST, mode="streaming", stride=stride) for x in (frame, changed))
    early = one.cutoff <= 1701
    np.testing.assert_array_equal(one.point[early], other.point[early])
    assert np.abs(one.point[~early] - other.point[~early]).max() > 0.1
    assert set(one.cutoff) == set(range(FIRST, 2000 - 4 + 1, stride))


def test_strides_change_no_forecast(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    every = fitted.backtest(frame, first_cutoff=FIRST, mode="streaming", stride=1)
    some = fitted.backtest(frame, first_cutoff=FIRST, mode="streaming", stride=8)
    same = (every.cutoff - FIRST) % 8 == 0
    np.testing.assert_allclose(every.point[same], some.point, rtol=1e-4, atol=1e-4)


def test_a_loaded_forecaster_goes_on_with_the_same_bits(
    fitted: TitansForecaster, frame: pd.DataFrame, tmp_path
) -> None:
    forecaster = build().fit(until(frame, FIRST)).update(until(frame, 1650, FIRST))
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(points(loaded), points(forecaster))
    new = until(frame, 1702, 1650)
    np.testing.assert_array_equal(points(loaded.update(new)), points(forecaster.update(new)))
    assert loaded.error_weight_ == fitted.error_weight_


def test_other_histories_are_read_as_those_of_fit_were(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    np.testing.assert_allclose(points(fitted, until(frame, FIRST)), points(fitted), rtol=1e-4, atol=1e-4)
    later = until(frame, 1700)
    ahead = build().fit(until(frame, FIRST)).update(until(frame, 1700, FIRST))
    np.testing.assert_allclose(points(fitted, later), points(ahead), rtol=1e-4, atol=1e-4)
    strangers = later.assign(unique_id="x" + later.unique_id)
    assert np.isfinite(points(fitted, strangers)).all()


def test_the_order_of_series_changes_no_bit(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    turned = pd.concat([x for _, x in reversed(list(frame.groupby("unique_id", sort=False)))])
    other = build().fit(until(turned, FIRST))
    np.testing.assert_array_equal(points(other).reshape(3, -1)[::-1], points(fitted).reshape(3, -1))


def test_intervals_are_those_of_the_corrected_forecasts(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    found = fitted.backtest(frame, first_cutoff=FIRST, mode="streaming", stride=STEP)
    low, high = found.quantiles[..., 0], found.quantiles[..., -1]
    assert 0.7 < ((found.actual >= low) & (found.actual <= high)).mean() < 0.9
    without = build(error_memory=False).fit(until(frame, FIRST))
    wide = without.backtest(frame, first_cutoff=FIRST, mode="streaming", stride=STEP).quantiles
    assert (high - low).mean() < 0.7 * (wide[..., -1] - wide[..., 0]).mean()


def test_missing_rows_are_passed_over(frame: pd.DataFrame) -> None:
    random = np.random.default_rng(1)
    holes = frame.assign(y=frame.y.where(random.random(len(frame)) > 0.1))
    forecaster = build(error_memory=True, on_gap="mask").fit(until(holes, FIRST)).update(until(holes, 1801, FIRST))
    assert np.isfinite(points(forecaster)).all()


def test_adaptive_intervals_and_paths_work_with_it(frame: pd.DataFrame) -> None:
    forecaster = build(intervals="adaptive", error_memory=True).fit(until(frame, FIRST))
    forecaster.update(until(frame, 1701, FIRST))
    assert np.isfinite(forecaster.sample(5, random_state=0)["TitansForecaster"]).all()
    assert len(forecaster.predict(horizon=10, level=[80])) == 30
    forecaster.backtest(frame, first_cutoff=FIRST, mode="streaming", stride=3, components=True)


def test_it_needs_a_state_that_is_carried(make: Callable, frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="error_memory=True learns from the errors .* needs carry_state=True"):
        make(error_memory=True, carry_state=False).fit(frame)
    with pytest.raises(ValueError, match="error_memory must be one of 'auto', True, False, found 'yes'"):
        make(error_memory="yes").fit(frame)
