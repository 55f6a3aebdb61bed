"""`sample_weight`: what it changes, what it must not, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from series_frames import hourly

from titans_seq import TitansForecaster
from titans_seq.adapters.scaled import ScaledPanel, fit_scaling
from titans_seq.adapters.tokens import Patching
from titans_seq.data import read_panel
from titans_seq.estimators._combination import cautious_weight
from titans_seq.estimators._conformal import LEVELS, _weighted
from titans_seq.training.pieces import PieceSampler
from titans_seq.training.sampling import StretchSampler

Make = Callable[..., TitansForecaster]
LENGTHS = {"a": 200, "b": 160, "c": 120}


def frame_with(weight: Any, lengths: dict[str, int] = LENGTHS) -> pd.DataFrame:
    frame = hourly(lengths)
    return frame.assign(w=weight(frame) if callable(weight) else weight)


def two_kinds(n: int = 260) -> pd.DataFrame:
    """Series of two kinds that one map cannot forecast: a cycle of 6, and one of 6 that flips at every step of 7."""
    t, rng = np.arange(n), np.random.default_rng(0)
    kinds = {"slow": np.sin(2 * np.pi * t / 11), "fast": np.sin(2 * np.pi * t / 3.3)}
    ds = pd.date_range("2024-01-01", periods=n, freq="h")
    parts = [pd.DataFrame({"unique_id": k, "ds": ds, "y": y + 0.3 * rng.normal(size=n)}) for k, y in kinds.items()]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("mode", ["sampled", "contiguous"])
def test_weights_that_are_all_alike_change_no_bit(make: Make, mode: str) -> None:
    frame = frame_with(7.5)
    plain = make(training_mode=mode).fit(frame).predict(level=[80])
    for weight in ("w", {"a": 2, "b": 2, "c": 2}, [2, 2, 2], pd.Series(3.0, index=["a", "b", "c"])):
        weighted = make(training_mode=mode).fit(frame, sample_weight=weight).predict(level=[80])
        pd.testing.assert_frame_equal(weighted, plain, check_exact=True)


@pytest.mark.parametrize("mode", ["sampled", "contiguous"])
def test_twice_the_weights_are_the_same_forecasts_also_after_an_update(make: Make, mode: str) -> None:
    frame = frame_with(lambda f: 1.0 + np.arange(len(f)) % 3)
    history = frame.groupby("unique_id").head(110)
    later = frame.groupby("unique_id").nth(slice(110, 120))
    forecasts = []
    for scale in (1, 2):
        options = {"training_mode": mode, "online_linear": True}
        forecaster = make(**options).fit(history.assign(w=scale * history.w), sample_weight="w").update(later)
        forecasts.append(forecaster.predict(level=[80]))
    pd.testing.assert_frame_equal(*forecasts, check_exact=True)


def test_a_column_a_dict_and_an_array_say_the_same(make: Make) -> None:
    by_series = {"a": 1.0, "b": 0.25, "c": 4.0}
    frame = frame_with(lambda f: f.unique_id.map(by_series))
    forecasts = [
        make().fit(data, sample_weight=w).predict(level=[80])
        for data, w in ((frame, "w"), (frame, by_series), (frame, [1.0, 0.25, 4.0]), (pl.from_pandas(frame), "w"))
    ]
    plain = make().fit(frame).predict(level=[80])
    assert not np.allclose(plain.TitansForecaster, forecasts[0].TitansForecaster)
    for other in forecasts[1:3]:
        pd.testing.assert_frame_equal(other, forecasts[0], check_exact=True)
    np.testing.assert_array_equal(forecasts[3]["TitansForecaster"].to_numpy(), forecasts[0].TitansForecaster)


def test_an_array_of_rows_weighs_the_rows_of_an_array(make: Make) -> None:
    frame = frame_with(lambda f: 1.0 + np.arange(len(f)) % 5, {"a": 150, "b": 150})
    values, weights = (frame[name].to_numpy().reshape(2, 150) for name in ("y", "w"))
    options = {"max_epochs": 0}
    by_frame = make(**options).fit(frame.assign(ds=np.tile(np.arange(150), 2)), sample_weight="w").predict()
    by_array = make(**options).fit(values, sample_weight=weights).predict()
    np.testing.assert_array_equal(by_array.ravel(), by_frame.TitansForecaster)


def test_rows_of_weight_0_are_read_but_nothing_is_fitted_to_them(make: Make) -> None:
    frame = two_kinds()
    options = {"max_epochs": 0, "online_linear": False}
    alone = make(**options).fit(frame[frame.unique_id == "slow"])
    beside = make(**options).fit(frame, sample_weight={"fast": 0})
    assert beside.linear_.centring == alone.linear_.centring
    np.testing.assert_allclose(beside.linear_.weights[0], alone.linear_.weights[0], rtol=0, atol=1e-10)
    changed = frame.copy()
    changed.loc[changed.unique_id == "fast", "y"] *= -3.0
    other = make(**options).fit(changed, sample_weight={"fast": 0})
    np.testing.assert_allclose(other.linear_.weights[0], beside.linear_.weights[0], rtol=0, atol=1e-10)
    assert not np.allclose(other.predict().TitansForecaster[-6:], beside.predict().TitansForecaster[-6:])


def test_what_counts_more_is_forecast_better(make: Make) -> None:
    t, rng = np.arange(600), np.random.default_rng(0)
    early, late = t < 300, t >= 300
    values = (np.where(early, np.sin(2 * np.pi * t / 11), np.sin(2 * np.pi * t / 3.3)) + 0.3 * rng.normal(size=600))[
        None
    ]
    options = {"max_epochs": 0, "context_length": 4, "online_linear": False, "validation_fraction": 0.1}

    def errors(counted: np.ndarray) -> tuple[float, float]:
        forecaster = make(**options).fit(values, sample_weight=np.where(counted, 1.0, 0.01)[None])
        found = forecaster.backtest(values, first_cutoff=20)
        error = np.square(found.point - found.actual).mean(1)
        return error[found.cutoff < 290].mean(), error[found.cutoff >= 310].mean()

    for_early, for_late = errors(early), errors(late)
    assert for_early[0] < for_late[0]
    assert for_late[1] < for_early[1]


def test_the_network_draws_series_by_their_weight_and_rows_count_by_theirs() -> None:
    frame = frame_with(lambda f: np.where(f.unique_id == "a", 0.0, np.where(np.arange(len(f)) % 2, 1.0, 3.0)))
    panel, _ = read_panel(frame)
    weight = frame.w.to_numpy() / 3
    end = panel.lengths - 20
    data = ScaledPanel(panel, *fit_scaling(panel, end), np.zeros(3, dtype=np.int64), weight)
    patching, options = Patching(4, 16), {"tokens": 4, "batch_size": 64, "n_batches": 1, "seed": 0}
    sampler = StretchSampler(data, end, patching, 6, **options, history=True, partial=True)
    np.testing.assert_allclose(sampler.probability, np.array([0, 134, 94]) / 228)
    batch = sampler.stretch(np.array([1, 2]), np.array([30, 41]))
    np.testing.assert_allclose(batch.weight.numpy()[0] * 2 / 3, weight[200:360][14 : 14 + 38], rtol=1e-6)
    pieces = PieceSampler(data, end, patching, 6, **options)
    np.testing.assert_array_equal(pieces.series, [1, 2])
    read = next(iter(pieces))
    there = read.weight.numpy()[read.observed.numpy()]
    assert set(np.unique(there.round(5))) == {0.5, 1.5}


@pytest.mark.parametrize("carry_state", [True, False])
def test_a_series_of_weight_0_teaches_the_network_nothing_and_chooses_nothing(make: Make, carry_state: bool) -> None:
    frame = hourly({"a": 200, "b": 160})
    changed = frame.copy()
    changed.loc[changed.unique_id == "b", "y"] = np.random.default_rng(0).normal(size=160).cumsum()
    options = {"carry_state": carry_state, "context_length": 16}
    one, other = (make(**options).fit(f, sample_weight={"b": 0}) for f in (frame, changed))
    for (name, x), y in zip(one._model.state_dict().items(), other._model.state_dict().values(), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy(), err_msg=name)
    assert one.network_weight_ == other.network_weight_
    assert one.validation_score_ == other.validation_score_
    a = [f.predict(level=[80]).iloc[:6, 2:].to_numpy() for f in (one, other)]
    np.testing.assert_allclose(a[0], a[1], rtol=1e-6)


def test_quantiles_count_errors_by_their_weight() -> None:
    errors = np.random.default_rng(0).normal(size=3001)
    counts = np.where(np.arange(3001) % 3 == 0, 2.0, 1e-9)
    third = _weighted(errors[::3], np.ones(1001), LEVELS)
    np.testing.assert_allclose(_weighted(errors, counts, LEVELS), third, atol=0.1)
    alike = _weighted(errors, np.ones(3001), LEVELS)
    np.testing.assert_array_equal(_weighted(errors, np.full(3001, 0.3), LEVELS), alike)
    of_draws = _weighted(errors[::3], np.ones(1001), LEVELS, 5)
    np.testing.assert_allclose(_weighted(errors, counts, LEVELS, 5), of_draws, rtol=1e-6)


def test_the_weight_of_the_network_is_that_of_the_rows_that_count(make: Make) -> None:
    rng, n, h = np.random.default_rng(0), 400, 6
    shift = rng.normal(size=(n, h)).astype(np.float32)
    truth = np.where(np.arange(n)[:, None] % 2, 0.8 * shift, -0.8 * shift)  # right in odd windows, wrong in even ones
    observed, odd = np.ones((n, h), dtype=bool), np.broadcast_to(np.arange(n)[:, None] % 2, (n, h)).astype(float)
    given = (truth, shift, np.arange(n), observed)
    assert cautious_weight(*given) < 0.1
    assert cautious_weight(*given, np.maximum(odd, 1e-6)) == pytest.approx(0.8, abs=1e-3)


def test_validation_rows_have_weights_of_their_own(make: Make) -> None:
    frame = frame_with(1.0, {"a": 200})
    history, validation = frame[:150], frame[150:]
    half = validation.assign(w=np.where(np.arange(50) < 25, 1.0, 0.0))
    options = {"max_epochs": 0, "online_linear": False}
    weighted = make(**options).fit(history, validation=half, sample_weight="w")
    early = make(**options).fit(history, validation=validation[:25])
    assert (
        weighted.linear_.validation_score
        != make(**options).fit(history, validation=validation).linear_.validation_score
    )
    assert np.isfinite(early.validation_score_)
    with pytest.raises(ValueError, match="sample_weight names column 'w', which the frame has not"):
        make(**options).fit(history, validation=validation.drop(columns="w"), sample_weight="w")


def test_a_saved_map_goes_on_learning_with_its_weights(make: Make, tmp_path) -> None:
    frame = frame_with(lambda f: 1.0 + np.arange(len(f)) % 3)
    history, later = frame.groupby("unique_id").head(110), frame.groupby("unique_id").nth(slice(110, 120))
    forecaster = make(max_epochs=0, online_linear=True).fit(history, sample_weight="w")
    forecaster.save(tmp_path / "m")
    loaded = TitansForecaster.load(tmp_path / "m")
    pd.testing.assert_frame_equal(loaded.update(later).predict(), forecaster.update(later).predict(), check_exact=True)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ("w", ValueError, "series 'a', row 17: w is -1; a weight must be a number of at least 0"),
        ("v", ValueError, "series 'b', row 205: v is missing"),
        ("nope", ValueError, "sample_weight names column 'nope', which the frame has not"),
        ({"a": -2}, ValueError, "sample_weight of series 'a' is -2"),
        ({"a": np.nan}, ValueError, "sample_weight of series 'a' is nan"),
        ({"a": "x"}, TypeError, "sample_weight of series 'a' is 'x'"),
        ({"z": 1}, ValueError, "sample_weight names series 'z', which is not in X"),
        ([1, 2], ValueError, "one weight for each of 3 series, found shape \\(2,\\)"),
        ([1, 2, np.inf], ValueError, "sample_weight of series 'c' is inf"),
        ({"a": 0, "b": 0, "c": 0}, ValueError, "sample_weight is 0 for every row"),
    ],
)
def test_weights_that_cannot_be_are_named(make: Make, weight: Any, error: type[Exception], message: str) -> None:
    frame = hourly(LENGTHS).assign(w=1.0, v=1.0)
    frame.loc[17, "w"] = -1.0
    frame.loc[205, "v"] = np.nan
    with pytest.raises(error, match=message) as caught:
        make().fit(frame, sample_weight=weight)
    assert "\n" not in str(caught.value)


def test_a_column_of_weights_needs_a_long_frame(make: Make) -> None:
    wide = pd.DataFrame({"ds": np.arange(100), "a": np.arange(100.0), "w": 1.0})
    for data in (wide, np.ones((2, 60))):
        with pytest.raises(ValueError, match="sample_weight='w' names a column, which only a long frame has"):
            make().fit(data, sample_weight="w")
    rows = np.ones((2, 60))
    rows[1, 3] = -1
    with pytest.raises(ValueError, match="series 1, row 3: sample_weight is -1"):
        make().fit(np.random.default_rng(0).normal(size=(2, 60)), sample_weight=rows)
