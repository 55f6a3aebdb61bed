"""The memories of a forecaster, patch by patch of the series."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from series_frames import hourly
from sklearn.exceptions import NotFittedError

from titans_seq import TitansForecaster
from titans_seq.adapters.forecasts import read_all
from titans_seq.estimators.analysis import analyze_forecaster, read_like
from titans_seq.nn.watch import watch_memories

PATCH = 4


@pytest.fixture(scope="module")
def series() -> pd.DataFrame:
    return hourly({"a": 203, "b": 120, "c": 161}, missing=0.05)


@pytest.fixture
def fitted(make: Callable[..., TitansForecaster], series: pd.DataFrame) -> TitansForecaster:
    return make(max_epochs=0).fit(series)


def test_a_planted_event_is_the_peak_of_surprise_within_its_patch(make: Callable[..., TitansForecaster]) -> None:
    t, random = np.arange(480), np.random.default_rng(0)
    calm = 20 + 3 * np.sin(2 * np.pi * t / 24) + 0.05 * random.normal(size=480)
    sizes = {"context_length": 96, "sequence_length": 96, "d_model": 32, "n_layers": 2, "window_size": 8}
    forecaster = make(max_epochs=0, variant="lmm", **sizes).fit(calm)
    events = [222, 301, 350]
    table = analyze_forecaster(forecaster, calm + 40.0 * (t == np.array(events)[:, None]), drift_every=50).table
    heads = table.group_by("stream", "row", maintain_order=True).agg(pl.col("surprise").mean())
    for stream, row in enumerate(events):
        later = heads.filter((pl.col("stream") == stream) & (pl.col("row") >= 80))
        peak = later["row"][int(later["surprise"].arg_max())]
        assert peak <= row < peak + PATCH
        assert later["surprise"].max() > 1.5 * later["surprise"].quantile(0.9)


def test_rows_and_timestamps_are_those_with_which_patches_begin(fitted: TitansForecaster, series: pd.DataFrame) -> None:
    table = analyze_forecaster(fitted, series).table
    assert table["stream"].unique(maintain_order=True).to_list() == ["a", "b", "c"]
    mine = table.filter(pl.col("stream") == "b").unique("position", maintain_order=True)
    assert mine["row"].to_list() == list(range(0, 120, PATCH))
    expected = series.loc[series["unique_id"] == "b", "ds"].to_numpy()[::PATCH]
    np.testing.assert_array_equal(mine["ds"].to_numpy(), expected)


def test_series_read_side_by_side_are_what_each_is_alone(fitted: TitansForecaster, series: pd.DataFrame) -> None:
    together = analyze_forecaster(fitted, series, drift_every=7)
    for name, length in (("a", 203), ("b", 120)):
        alone = analyze_forecaster(fitted, series[series["unique_id"] == name], drift_every=7, piece_length=5)
        found = together.table.filter(pl.col("stream") == name)
        assert len(found) == length // PATCH * 2
        for column in ("surprise", "theta", "recalled", "attended", "drift"):
            assert found[column].is_null().equals(alone.table[column].is_null())
            expected = alone.table[column].fill_null(0)
            np.testing.assert_allclose(found[column].fill_null(0), expected, rtol=1e-5, atol=1e-5)


def test_surprise_is_that_of_the_stream_that_fit_reads(fitted: TitansForecaster, series: pd.DataFrame) -> None:
    one = series[series["unique_id"] == "a"]
    found = analyze_forecaster(fitted, one).table["surprise"].fill_null(0).to_numpy().reshape(-1, 2)
    panel = read_like(fitted, one)
    data, reader = fitted._scaled(panel, panel.lengths), fitted._reader
    stream = reader.start(1)
    with watch_memories(fitted._model, surprise=True) as watch:
        read_all(reader, data, stream)
    np.testing.assert_allclose(found, torch.cat(watch.surprise[0], 1)[0], rtol=1e-5, atol=1e-5)


def test_a_patch_of_which_nothing_was_seen_has_no_gates(fitted: TitansForecaster, series: pd.DataFrame) -> None:
    frame = series[series["unique_id"] == "b"].copy()
    frame.iloc[40 : 40 + PATCH, frame.columns.get_loc("y")] = np.nan
    table = analyze_forecaster(fitted, frame).table
    nothing = table.filter(pl.col("row") == 40)
    assert all(nothing[name].is_null().all() for name in ("surprise", "theta", "eta", "alpha"))
    assert nothing["recalled"].is_not_null().all()
    assert table.filter(pl.col("row") != 40)["theta"].is_not_null().all()


@pytest.mark.parametrize(("last", "first_row"), [(4, None), (7, 116), (8, 112), (119, 4), (120, 0), (500, 0)])
def test_only_patches_within_the_last_rows_are_shown(
    fitted: TitansForecaster, series: pd.DataFrame, last: int, first_row: int | None
) -> None:
    frame = series[series["unique_id"] == "b"].iloc[:119] if first_row is None else series[series["unique_id"] == "b"]
    if first_row is None:  # rows 116 to 118 are an open patch
        with pytest.raises(ValueError, match=r"no series has a complete patch of 4 rows within the last 4 rows"):
            analyze_forecaster(fitted, frame, last=last)
        return
    assert analyze_forecaster(fitted, frame, last=last, drift_every=9).table["row"].min() == first_row


def test_the_forecaster_is_left_as_it_was(fitted: TitansForecaster, series: pd.DataFrame) -> None:
    before = fitted.predict()
    analyze_forecaster(fitted, series, max_points=5, drift_every=9)
    pd.testing.assert_frame_equal(fitted.predict(), before)


def test_what_cannot_be_analysed_is_refused(make: Callable[..., TitansForecaster], series: pd.DataFrame) -> None:
    with pytest.raises(NotFittedError):
        analyze_forecaster(make(), series)
    with pytest.raises(ValueError, match="variant 'swa' has no memory: there is nothing to analyse"):
        analyze_forecaster(make(max_epochs=0, variant="swa").fit(series), series)
