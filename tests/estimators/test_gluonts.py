"""The GluonTS predictor is the forecaster, and runs in GluonTS's own evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split
from gluonts.ev import metrics as theirs
from gluonts.evaluation import Evaluator, make_evaluation_predictions
from gluonts.model import Predictor, evaluate_model
from gluonts.model.forecast import QuantileForecast, SampleForecast
from hypothesis import example, given
from hypothesis import strategies as st
from series_entries import as_entries
from series_frames import hourly
from sklearn.exceptions import NotFittedError

from titans_seq import TitansForecaster
from titans_seq.evaluation import metrics

HORIZON, WINDOWS = 6, 3
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
Make = Callable[..., TitansForecaster]


@pytest.fixture
def frame() -> pd.DataFrame:
    """Series of different lengths with missing values; `c` is larger than the others."""
    made = hourly({"a": 150, "b": 131, "c": 97}, missing=0.1)
    made.loc[made.unique_id == "c", "y"] *= 50
    return made


@pytest.fixture
def fitted(loud_network: None, make: Make, frame: pd.DataFrame) -> TitansForecaster:
    return make(max_epochs=0).fit(cut(frame, HORIZON * WINDOWS))


def cut(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Return the frame without the last ``rows`` rows of each series."""
    return pd.concat([part.iloc[: len(part) - rows] for _, part in frame.groupby("unique_id", sort=False)])


def by_hand(forecaster: TitansForecaster, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Forecasts by `predict` from each window's history, and what then happened, in the order of GluonTS."""
    found = []
    for back in range(WINDOWS * HORIZON, 0, -HORIZON):
        history = cut(frame, back)
        out = forecaster.predict(history, quantiles=LEVELS)
        columns = out.iloc[:, 2:].to_numpy().reshape(3, HORIZON, 1 + len(LEVELS))
        for i, (name, part) in enumerate(history.groupby("unique_id", sort=False)):
            y = part.y.to_numpy()
            whole = frame.y[frame.unique_id == name].to_numpy()
            scale = metrics.seasonal_error(y, ~np.isnan(y), season_length=24)
            found.append((i, back, whole[len(y) : len(y) + HORIZON], columns[i], scale))
    found.sort(key=lambda one: (one[0], -one[1]))
    _, _, actual, forecast, scale = (np.array(part) for part in zip(*found, strict=True))
    return {"actual": actual, "point": forecast[..., 0], "quantiles": forecast[..., 1:], "scale": scale}


def test_the_evaluation_of_gluonts_finds_our_metrics_of_what_predict_says(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    _, template = split(as_entries(frame), offset=-HORIZON * WINDOWS)
    found = evaluate_model(
        fitted.to_gluonts(batch_size=4),
        test_data=template.generate_instances(HORIZON, windows=WINDOWS),
        metrics=[
            *(theirs.MSE(), theirs.MAE(), theirs.MASE(), theirs.SMAPE(), theirs.MSIS()),
            theirs.MeanWeightedSumQuantileLoss(LEVELS),
        ],
    ).iloc[0]
    ours = by_hand(fitted, frame)
    actual, scale, (low, _, median, _, high) = ours["actual"], ours["scale"], np.moveaxis(ours["quantiles"], -1, 0)
    seen = ~np.isnan(actual)
    assert not seen.all()
    expected = {
        "MSE[mean]": metrics.mse(actual, ours["point"], seen),
        "MAE[0.5]": metrics.mae(actual, median, seen),
        "MASE[0.5]": metrics.mase(actual, median, scale, seen),
        "sMAPE[0.5]": metrics.smape(actual, median, seen),
        "MSIS": metrics.msis(actual, low, high, scale, seen),
        "mean_weighted_sum_quantile_loss": metrics.weighted_quantile_loss(actual, ours["quantiles"], LEVELS, seen),
    }
    assert found.to_dict() == pytest.approx(expected, rel=1e-5)


def test_the_older_evaluation_runs_unchanged(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    forecasts, truths = make_evaluation_predictions(as_entries(frame.fillna(20.0)), fitted.to_gluonts())
    total, per_series = Evaluator(num_workers=0)(truths, forecasts)
    actual = np.stack([part.y.to_numpy()[-HORIZON:] for _, part in frame.fillna(20.0).groupby("unique_id")])
    out = fitted.predict(cut(frame.fillna(20.0), HORIZON))
    expected = metrics.mse(actual, out.TitansForecaster.to_numpy().reshape(3, HORIZON))
    assert total["MSE"] == pytest.approx(expected, rel=1e-5)
    assert per_series.item_id.tolist() == ["a", "b", "c"]
    assert np.isfinite([total[name] for name in ("MASE", "sMAPE", "MSIS", "mean_wQuantileLoss")]).all()


def test_forecasts_are_those_of_predict_in_the_order_of_the_entries(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    made = as_entries(frame)
    made = [made[i] for i in (2, 0, 1)]
    out = fitted.predict(made, level=[80, 95])
    forecasts = list(fitted.to_gluonts(batch_size=2).predict(made))
    assert [forecast.item_id for forecast in forecasts] == ["c", "a", "b"]
    for forecast, entry in zip(forecasts, made, strict=True):
        assert isinstance(forecast, QuantileForecast)
        rows = out[out.unique_id == entry["item_id"]]
        scale = np.nanmax(np.abs(entry["target"]))  # single precision, in batches of another size
        assert forecast.start_date == entry["start"] + len(entry["target"])
        assert forecast.index.to_timestamp().tolist() == rows.ds.tolist()
        columns = {"mean": "", "0.1": "-lo-80", "0.9": "-hi-80", "0.025": "-lo-95", "0.975": "-hi-95"}
        for key, suffix in columns.items():
            np.testing.assert_allclose(forecast[key], rows[f"TitansForecaster{suffix}"], rtol=0, atol=5e-7 * scale)


def test_the_network_and_the_scaling_of_fit_take_part(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    (entry,) = as_entries(frame[frame.unique_id == "c"])
    shifted = entry["target"] + np.linspace(0, 500, len(entry["target"]))  # its own scaling is another one
    known, new, nameless = fitted.to_gluonts().predict(
        [entry | {"target": shifted}, entry | {"target": shifted, "item_id": "z"}, entry | {"item_id": None}]
    )
    assert nameless.item_id is None
    assert np.abs(known.mean - new.mean).max() > 1e-3
    frames = [hourly_like(entry, shifted, name) for name in ("c", "z")]
    for forecast, history in zip((known, new), frames, strict=True):
        np.testing.assert_allclose(forecast.mean, fitted.predict(history).TitansForecaster, rtol=1e-5)
    fitted._combination = type(fitted._combination)(0.0, False, fitted._combination.offsets)
    linear = next(iter(fitted.to_gluonts().predict([entry | {"target": shifted}])))
    assert np.abs(known.mean - linear.mean).max() > 1e-3


def hourly_like(entry: dict, y: np.ndarray, name: str) -> pd.DataFrame:
    ds = pd.date_range(entry["start"].start_time, periods=len(y), freq="h")
    return pd.DataFrame({"unique_id": name, "ds": ds, "y": y})


def test_entries_without_a_name_are_not_taken_for_series_of_fit(loud_network: None, make: Make) -> None:
    nameless = [{k: v for k, v in entry.items() if k != "item_id"} for entry in as_entries(hourly({"a": 120, "b": 90}))]
    nameless[0]["target"] = nameless[0]["target"] * 100
    forecaster = make(max_epochs=0).fit(nameless)
    assert forecaster.ids_ == [0, 1]
    one, other = forecaster.to_gluonts(batch_size=1).predict([nameless[1], nameless[1]])
    expected = forecaster.predict([nameless[1] | {"item_id": "new"}]).TitansForecaster
    for forecast in (one, other):
        np.testing.assert_allclose(forecast.mean, expected, rtol=1e-5)


@pytest.fixture(scope="module")
def predicted() -> tuple[TitansForecaster, list[dict], QuantileForecast]:
    made = as_entries(hourly({"a": 80}))
    forecaster = TitansForecaster(horizon=4, max_epochs=0, verbose=0).fit(made)
    return forecaster, made, next(iter(forecaster.to_gluonts().predict(made)))


@given(level=st.floats(0.005, 0.995))
@example(level=0.007)  # between the outermost two, where GluonTS would not interpolate
@example(level=0.993)
def test_every_quantile_is_that_of_predict(
    predicted: tuple[TitansForecaster, list[dict], QuantileForecast], level: float
) -> None:
    forecaster, made, forecast = predicted
    out = forecaster.predict(made, quantiles=[level])
    np.testing.assert_allclose(forecast.quantile(level), out.iloc[:, -1], rtol=1e-9)
    np.testing.assert_array_equal(forecast.quantile(str(level)), forecast.quantile(level))


def test_quantiles_beyond_those_of_predict_still_spread(
    predicted: tuple[TitansForecaster, list[dict], QuantileForecast],
) -> None:
    forecast = predicted[2]
    assert (forecast.quantile(0.001) < forecast.quantile(0.005)).all()
    assert (forecast.quantile(0.999) > forecast.quantile(0.995)).all()
    assert np.array_equal(forecast.quantile("p90"), forecast.quantile(0.9))


def test_entries_are_read_and_forecast_a_batch_at_a_time(
    fitted: TitansForecaster, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, read = [], []
    honest = TitansForecaster._forecast_from
    monkeypatch.setattr(
        TitansForecaster, "_forecast_from", lambda self, data: calls.append(data.panel.n_series) or honest(self, data)
    )
    entry = as_entries(frame[frame.unique_id == "c"])[0]
    forecasts = fitted.to_gluonts(batch_size=3).predict(read.append(i) or entry for i in range(7))
    assert (calls, read) == ([], [])
    next(forecasts)
    assert (calls, read) == ([3], [0, 1, 2])
    assert len(list(forecasts)) == 6
    assert calls == [3, 3, 1]


@pytest.mark.parametrize(
    ("alias", "period"),
    [("W-SUN", "W-SUN"), ("ME", "M"), ("BME", "M"), ("QE", "Q"), ("MS", "M"), ("B", "B"), ("2h", "2h")],
)
def test_a_dataset_made_of_the_frame_is_forecast_as_the_frame_is(
    loud_network: None, make: Make, alias: str, period: str
) -> None:
    y = np.random.default_rng(0).normal(size=140)
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2001-02-04", periods=140, freq=alias), "y": y})
    forecaster = make(max_epochs=0).fit(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about periods of business days
        dataset = PandasDataset.from_long_dataframe(
            frame.copy(), item_id="unique_id", timestamp="ds", target="y", freq=period, dtype=np.float64
        )
        made = list(dataset)
        (forecast,) = forecaster.to_gluonts().predict(made)
    expected = forecaster.predict(frame)
    np.testing.assert_array_equal(forecast.mean, expected.TitansForecaster)
    pd.testing.assert_frame_equal(forecaster.predict(made), expected)


def test_a_predictor_stays_as_it_was_made(fitted: TitansForecaster, frame: pd.DataFrame, make: Make) -> None:
    made = as_entries(frame)
    predictor = fitted.to_gluonts()
    before = [forecast.mean for forecast in predictor.predict(made)]
    fitted.update(tail(made))
    fitted.fit(frame[frame.unique_id == "a"])
    np.testing.assert_array_equal([forecast.mean for forecast in predictor.predict(made)], before)


def tail(made: list[dict]) -> list[dict]:
    """Return the rows that `fitted` has not read."""
    rows = HORIZON * WINDOWS
    return [
        entry | {"start": entry["start"] + len(entry["target"]) - rows, "target": entry["target"][-rows:]}
        for entry in made
    ]


def test_sample_paths_have_the_quantiles_and_do_not_depend_on_the_batch_size(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    made = as_entries(frame)
    exact = list(fitted.to_gluonts().predict(made))
    sampled = list(fitted.to_gluonts(num_samples=101).predict(made))
    again = fitted.to_gluonts(num_samples=101, batch_size=1).predict(made, num_samples=None)
    for forecast, quantiles, other in zip(sampled, exact, again, strict=True):
        assert isinstance(forecast, SampleForecast)
        assert forecast.samples.shape == (101, HORIZON)
        assert forecast.start_date == quantiles.start_date
        for q in (0.1, 0.5, 0.9):
            low, high = quantiles.quantile(q - 0.02), quantiles.quantile(q + 0.02)
            assert ((low <= forecast.quantile(q)) & (forecast.quantile(q) <= high)).all()
        np.testing.assert_allclose(forecast.samples, other.samples, rtol=1e-5, atol=1e-4)
    ranks = sampled[0].samples.argsort(0).argsort(0)
    assert np.abs(np.corrcoef(ranks.T) - np.eye(HORIZON)).max() < 0.5
    (few,) = fitted.to_gluonts(num_samples=101).predict(made[:1], num_samples=7)
    assert few.samples.shape == (7, HORIZON)


def test_sample_paths_go_together_as_validation_errors_do(make: Make, frame: pd.DataFrame) -> None:
    forecaster = make(max_epochs=0).fit(frame)
    factor = forecaster._combination.dependence
    made = as_entries(frame)
    sampled = list(forecaster.to_gluonts(num_samples=2000).predict(made))
    for forecast in sampled:
        found = np.corrcoef(forecast.samples.argsort(0).argsort(0).T)
        np.testing.assert_allclose(found, factor.T @ factor, atol=0.12)
    again = list(forecaster.to_gluonts(num_samples=2000, batch_size=1).predict(made))
    np.testing.assert_allclose(again[2].samples, sampled[2].samples, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("num_samples", [None, 5])
def test_a_predictor_is_written_and_read_by_gluonts(
    fitted: TitansForecaster, frame: pd.DataFrame, tmp_path: Path, num_samples: int | None
) -> None:
    made = as_entries(frame)
    predictor = fitted.to_gluonts(num_samples=num_samples, batch_size=2)
    predictor.serialize(tmp_path)
    read = Predictor.deserialize(tmp_path)
    assert type(read) is type(predictor)
    assert (read.prediction_length, read.batch_size) == (HORIZON, 2)
    for ours, theirs_ in zip(predictor.predict(made), read.predict(made), strict=True):
        np.testing.assert_array_equal(ours.mean, theirs_.mean)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"start": pd.Period("2024-01-01", "D")}, ValueError, r"entry 4 \('c'\) steps by D .*the rows of fit by h"),
        ({"start": pd.Timestamp("2024-01-01")}, TypeError, "entry 4: start is a Timestamp; .* need a pandas Period"),
        ({"target": np.ones((2, 50))}, ValueError, r"entry 4 \('c'\): target has shape \(2, 50\)"),
        ({"target": []}, ValueError, r"entry 4 \('c'\): target is empty"),
        ({"target": [20.0, np.inf], "item_id": None}, ValueError, "entry 4, row 1: target is inf"),
    ],
)
def test_an_entry_that_cannot_be_forecast_is_named(
    fitted: TitansForecaster, frame: pd.DataFrame, changes: dict, error: type[Exception], words: str
) -> None:
    entry = as_entries(frame[frame.unique_id == "c"])[0]
    with pytest.raises(error, match=words):
        list(fitted.to_gluonts(batch_size=3).predict([entry] * 4 + [entry | changes]))


def test_a_history_of_one_row_or_of_nothing_observed_is_forecast(fitted: TitansForecaster) -> None:
    start = pd.Period("2024-01-01", "h")
    histories = ([21.0], [np.nan] * 30, [np.nan])
    for forecast in fitted.to_gluonts().predict([{"start": start, "target": y} for y in histories]):
        assert np.isfinite([forecast.mean, forecast.quantile(0.005)]).all()


def test_a_predictor_that_cannot_be_made_is_refused(fitted: TitansForecaster, make: Make) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        make().to_gluonts()
    with pytest.raises(ValueError, match="batch_size must be at least 1, found 0"):
        fitted.to_gluonts(batch_size=0)
    with pytest.raises(TypeError, match="num_samples must be an integer, found 2.5"):
        fitted.to_gluonts(num_samples=2.5)
    with pytest.raises(ValueError, match="fit read integer times, but GluonTS entries have dates"):
        make(max_epochs=0).fit(np.sin(np.arange(100.0))).to_gluonts()


def test_a_constructor_argument_changed_after_fit_changes_no_forecast(fitted: TitansForecaster) -> None:
    assert fitted.set_params(horizon=99).to_gluonts().prediction_length == HORIZON


def test_what_stands_at_the_lower_bound_is_the_bound_to_the_bit(make: Make) -> None:
    y = np.random.default_rng(0).poisson(0.1, (4, 200)) + 3.7
    entries = [{"start": pd.Period("2024-01-01", "h"), "target": x, "item_id": str(i)} for i, x in enumerate(y)]
    fitted = make(max_epochs=0, lower_bound=True).fit(entries)
    for forecast in fitted.to_gluonts().predict(entries):
        assert all((forecast.quantile(q) == 3.7).all() for q in (0.05, 0.11, 0.3))
    for forecast in fitted.to_gluonts(num_samples=20).predict(entries):
        assert forecast.samples.min() == 3.7 and (forecast.samples == 3.7).mean() > 0.3


def test_sample_paths_do_not_depend_on_the_other_entries_or_their_order(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    made = as_entries(frame)
    made = [*made, made[1] | {"target": made[1]["target"][:-10]}]
    paths = fitted.to_gluonts(num_samples=20)
    together = [one.samples for one in paths.predict(made)]
    for order in ([3, 2, 1, 0], [2], [1, 3]):
        for i, one in zip(order, paths.predict([made[i] for i in order]), strict=True):
            np.testing.assert_allclose(one.samples, together[i], rtol=1e-5, atol=1e-4)
    ranks = [samples.argsort(0).argsort(0) for samples in together]
    assert (ranks[1] != ranks[3]).any(), "another cut-off has other paths"
