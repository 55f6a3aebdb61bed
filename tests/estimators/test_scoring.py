"""`score` and scikit-learn's model selection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from series_frames import hourly
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from titans_seq import RollingOrigin, TitansForecaster
from titans_seq.estimators._storage import read_model, write_model

Make = Callable[..., TitansForecaster]
HORIZON = 6


def split(frame: pd.DataFrame, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    groups = [part for _, part in frame.groupby("unique_id")]
    return pd.concat([p.iloc[:-rows] for p in groups]), pd.concat([p.iloc[-rows:] for p in groups])


def squared_errors(history: pd.DataFrame, later: pd.DataFrame, forecast: pd.DataFrame) -> np.ndarray:
    """Squared errors in units of each series' standard deviation in its history; NaN where nothing was observed."""
    both = later.merge(forecast, on=["unique_id", "ds"])
    deviation = both.unique_id.map(history.groupby("unique_id").y.std(ddof=0))
    return (((both.y - both.TitansForecaster) / deviation) ** 2).to_numpy()


@pytest.mark.usefixtures("loud_network")
@pytest.mark.parametrize("carry_state", [True, False])
def test_the_score_is_minus_the_mean_squared_error_in_standard_deviations_of_fit(make: Make, carry_state: bool) -> None:
    frame = hourly({"a": 150, "b": 97}, missing=0.1)
    frame.loc[frame.unique_id == "b", "y"] *= 1000
    history, later = split(frame, HORIZON)
    forecaster = make(max_epochs=0, carry_state=carry_state).fit(history)
    errors = squared_errors(history, later, forecaster.predict())
    assert np.isnan(errors).any()
    assert forecaster.score(later) == pytest.approx(-np.nanmean(errors), rel=1e-6)


@pytest.mark.usefixtures("loud_network")
def test_rows_beyond_the_horizon_are_forecast_after_the_earlier_ones_were_read(make: Make) -> None:
    history, later = split(hourly({"a": 150, "b": 97}, missing=0.1), 2 * HORIZON + 3)
    later = later[~((later.unique_id == "b") & (later.ds > later.ds[later.unique_id == "b"].iloc[HORIZON]))]  # 7 rows
    forecaster = make(max_epochs=0).fit(history)
    found = forecaster.score(later)
    errors = []
    for first in range(0, 15, HORIZON):
        block = later.groupby("unique_id").nth(slice(first, first + HORIZON))
        errors.append(squared_errors(history, block, forecaster.predict()))
        forecaster.update(block)
    assert sum(len(part) for part in errors) == 15 + 7
    assert found == pytest.approx(-np.nanmean(np.concatenate(errors)), rel=1e-6)


@pytest.mark.usefixtures("loud_network")
def test_scoring_changes_nothing(make: Make, tmp_path: Path) -> None:
    history, later = split(hourly({"a": 120}), 15)
    forecaster = make(max_epochs=0).fit(history)
    forecaster.save(tmp_path / "before")
    assert forecaster.score(later) == forecaster.score(later)
    forecaster.save(tmp_path / "after")
    before, after = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("before", "after"))
    assert before == after
    forecaster.update(later)


def test_a_model_saved_before_there_was_a_score_can_be_loaded(make: Make, tmp_path: Path) -> None:
    history, later = split(hourly({"a": 120}), HORIZON)
    forecaster = make(max_epochs=0).fit(history)
    forecaster.save(tmp_path / "new")
    tensors, description = read_model(tmp_path / "new")
    del tensors["own.spread"], description["sha256"]
    write_model(tmp_path / "old", tensors, description)
    old, new = (TitansForecaster.load(tmp_path / name) for name in ("old", "new"))
    pd.testing.assert_frame_equal(old.predict(), new.predict())
    assert new.score(later) == forecaster.score(later)
    assert old.score(later) == pytest.approx(new.score(later), rel=0.2)


def test_the_mean_of_the_training_rows_would_score_minus_one(make: Make) -> None:
    y = np.random.default_rng(0).normal(size=4000) * 30 + 7
    assert make(max_epochs=0).fit(y[:3000]).score(y[3000:]) == pytest.approx(-1, abs=0.1)


def test_fewer_rows_than_the_horizon_and_fewer_series_can_be_scored(make: Make) -> None:
    history, later = split(hourly({"a": 120, "b": 90}), HORIZON)
    forecaster = make(max_epochs=0).fit(history)
    errors = squared_errors(history, later, forecaster.predict())
    assert forecaster.score(later[later.unique_id == "b"]) == pytest.approx(-errors[HORIZON:].mean(), rel=1e-6)
    assert forecaster.score(later.groupby("unique_id").head(2)) == pytest.approx(-errors[[0, 1, 6, 7]].mean(), rel=1e-6)


def test_what_cannot_be_scored_is_refused(make: Make) -> None:
    history, later = split(hourly({"a": 120}), HORIZON)
    with pytest.raises(NotFittedError, match="call fit first"):
        make().score(later)
    forecaster = make(max_epochs=0).fit(history)
    with pytest.raises(ValueError, match="already there; pass only rows after that"):
        forecaster.score(history)
    with pytest.raises(ValueError, match="no value of X is observed, so there is nothing to score"):
        forecaster.score(later.assign(y=np.nan))
    with pytest.raises(ValueError, match="series 'z' was not in fit"):
        forecaster.score(later.assign(unique_id="z"))
    with pytest.raises(ValueError, match="1 row is missing"):
        forecaster.score(later.iloc[1:])


def as_data(frame: pd.DataFrame, form: str) -> object:
    wide = frame.pivot(index="ds", columns="unique_id", values="y")
    return {
        "long": frame,
        "interleaved": frame.sort_values("ds", ignore_index=True),
        "shuffled": frame.sample(frac=1, random_state=0),
        "polars": pl.from_pandas(frame),
        "wide": wide.reset_index(),
        "dates in the index": wide,
        "wide polars": pl.from_pandas(wide.reset_index()),
        "one series": wide["a"],
        "array": wide["a"].to_numpy(),
    }[form]


@pytest.mark.parametrize(
    "form",
    ["long", "interleaved", "shuffled", "polars", "wide", "dates in the index", "wide polars", "one series", "array"],
)
def test_cross_validation_scores_each_fold_by_a_forecaster_fitted_before_it(make: Make, form: str) -> None:
    frame = hourly({"a": 120, "b": 120})
    kept = frame[frame.unique_id == "a"] if form in ("one series", "array") else frame
    cv = RollingOrigin(HORIZON, n_splits=2)
    found = cross_val_score(make(max_epochs=0), as_data(frame, form), cv=cv)
    expected = []
    for back in (HORIZON, 0):
        until = kept.groupby("unique_id").head(120 - back)
        history, later = split(until, HORIZON)
        expected.append(make(max_epochs=0).fit(history).score(later))
    # An array has no calendar, and the linear map, all that is fitted here, needs none.
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_grid_search_chooses_by_the_score_and_fits_the_best_on_everything(make: Make) -> None:
    frame = hourly({"a": 150, "b": 90, "short": 10})
    search = GridSearchCV(
        make(max_epochs=0), {"context_length": [4, 24]}, cv=RollingOrigin(HORIZON, n_splits=2), error_score="raise"
    ).fit(frame)
    scores = search.cv_results_["mean_test_score"]
    assert search.best_params_ == {"context_length": [4, 24][int(np.argmax(scores))]}
    assert scores[0] != scores[1]
    best = search.best_estimator_
    expected = make(max_epochs=0, **search.best_params_).fit(frame).predict(level=[90])
    pd.testing.assert_frame_equal(best.predict(level=[90]), expected)
    with pytest.raises(NotFittedError):
        clone(best).predict()
    assert clone(best).get_params() == best.get_params()


def test_the_validation_score_is_the_error_of_the_rows_that_chose(make: Callable) -> None:
    frame = hourly({"a": 260})
    train, validation = frame[:200], frame[200:]
    forecaster = make(max_epochs=0, carry_state=False).fit(train, validation=validation)
    result = forecaster.backtest(frame, first_cutoff=200)
    errors = (result.point - result.actual) / train.y.std(ddof=0)
    assert forecaster.validation_score_ == pytest.approx(np.square(errors).mean(), rel=1e-5)


def test_the_validation_score_is_kept_with_the_model(make: Callable, tmp_path) -> None:
    forecaster = make(max_epochs=0).fit(hourly({"a": 260}))
    forecaster.save(tmp_path / "model")
    assert TitansForecaster.load(tmp_path / "model").validation_score_ == forecaster.validation_score_
