"""A backtest as a frame: every forecast beside what then happened, with the columns that users know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from series_frames import hourly

from titans_seq import TitansForecaster

Make = Callable[..., TitansForecaster]


def test_the_frame_has_a_row_for_each_forecast_row_at_its_time(make: Make) -> None:
    frame = hourly({"a": 150, "b": 131}, missing=0.05)
    model = make(max_epochs=0).fit(frame)
    result = model.backtest(frame, first_cutoff=120, stride=4)
    found = result.to_frame(level=[80])
    names = ["TitansForecaster", "TitansForecaster-lo-80", "TitansForecaster-hi-80"]
    assert list(found.columns) == ["unique_id", "ds", "cutoff", "y", *names]
    assert len(found) == result.n_windows * 6
    joined = found.merge(frame, on=["unique_id", "ds"], suffixes=("", "_true"))
    pd.testing.assert_series_equal(joined["y"], joined["y_true"], check_names=False)
    ahead = (found["ds"] - found["cutoff"]) / pd.Timedelta("1h")
    assert ahead.tolist() == [1, 2, 3, 4, 5, 6] * result.n_windows
    np.testing.assert_array_equal(found["TitansForecaster"], result.point.ravel())
    inside = (found["TitansForecaster-lo-80"] <= found["y"]) & (found["y"] <= found["TitansForecaster-hi-80"])
    assert inside[found["y"].notna()].mean() == pytest.approx(result.coverage(80))


def test_a_forecast_in_the_frame_is_the_one_of_predict_from_the_rows_up_to_its_cut_off(make: Make) -> None:
    frame = hourly({"a": 150})
    model = make(max_epochs=0, online_linear=False).fit(frame)
    found = model.backtest(frame, first_cutoff=140).to_frame()
    for cutoff, part in found.groupby("cutoff"):
        expected = model.predict(frame[frame["ds"] <= cutoff], quantiles=[0.1])
        assert part["ds"].tolist() == expected["ds"].tolist()
        np.testing.assert_allclose(part["TitansForecaster"], expected["TitansForecaster"], rtol=1e-5)
        np.testing.assert_allclose(part["TitansForecaster-q-0.1"], expected["TitansForecaster-q-0.1"], rtol=1e-5)


def test_other_libraries_and_forms(make: Make) -> None:
    frame = pl.from_pandas(hourly({"a": 150, "b": 150}))
    wide = frame.pivot(on="unique_id", index="ds", values="y")
    model = make(max_epochs=0).fit(wide)
    found = model.backtest(wide, first_cutoff=140).to_frame()
    assert isinstance(found, pl.DataFrame) and found["unique_id"].unique(maintain_order=True).to_list() == ["a", "b"]
    assert found["cutoff"].dtype == wide["ds"].dtype
    array = make(max_epochs=0).fit(np.sin(np.arange(150.0)))
    result = array.backtest(np.sin(np.arange(150.0)), first_cutoff=140)
    with pytest.raises(ValueError, match="the data were an array"):
        result.to_frame()
    with pytest.raises(ValueError, match="the 95 % interval needs quantiles at 0.025 and 0.975"):
        model.backtest(wide, first_cutoff=140).to_frame(level=[95])


@pytest.mark.parametrize("roles", [{"future": ["price"]}, ["price"], {"past": ("a", "b")}])
def test_roles_the_other_way_round_are_told_how_they_should_be(make: Make, roles: object) -> None:
    with pytest.raises(TypeError, match=r"\{'price': '(future|past)'"):
        make(roles=roles).fit(hourly({"a": 150}))


@pytest.mark.parametrize("mode", ["windowed", "streaming"])
def test_what_happened_is_said_in_the_very_values_of_the_data(make: Callable, mode: str) -> None:
    y = np.random.default_rng(0).normal(size=(3, 160)) * [[1e-3], [1.0], [1e6]] + 0.1
    y[1, 130:135] = np.nan
    result = make(max_epochs=0).fit(y[:, :120]).backtest(y, first_cutoff=120, mode=mode)
    rows = result.cutoff[:, None] + np.arange(result.actual.shape[1])
    np.testing.assert_array_equal(np.where(result.observed, result.actual, np.nan), y[result.series[:, None], rows])
